"""Tests of tailrace.leases."""
