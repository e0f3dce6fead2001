"""What a write means: schema, limits and mutations of a table."""
