"""What a write means: schema, limits and mutations of a table; what reading all of it comes to."""
