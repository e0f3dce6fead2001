"""Clocks: the system's, and one that a test drives."""
