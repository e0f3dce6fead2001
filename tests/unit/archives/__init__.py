"""Tests of the archives, beyond what the contract says."""
