"""Tests of tailrace.aws, one file per module."""
