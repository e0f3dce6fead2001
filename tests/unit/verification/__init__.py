"""The room that compares mirrors with their tables."""
