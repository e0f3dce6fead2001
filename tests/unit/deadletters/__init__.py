"""Tests of tailrace.deadletters."""
