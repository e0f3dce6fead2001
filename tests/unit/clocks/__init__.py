"""Tests of the clocks, beyond what the contract says."""
