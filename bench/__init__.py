"""Benchmarks: every figure of the performance table, with its target and its limit beside it."""
