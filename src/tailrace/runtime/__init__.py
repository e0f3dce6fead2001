"""Runs machines: what touches the world on behalf of the mapping."""
