"""Stores: where rows, logs and state are kept."""
