"""Tests of the stores, beyond what the contract says."""
