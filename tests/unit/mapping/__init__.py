"""Tests of tailrace.mapping, one file per module."""
