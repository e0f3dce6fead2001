"""The composition root: the only file that picks implementations."""
