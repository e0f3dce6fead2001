"""The table engine: one owner of state."""
