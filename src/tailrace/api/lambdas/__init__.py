"""Lambda's API, one file per operation."""
