"""Sources: streams that can be read."""
