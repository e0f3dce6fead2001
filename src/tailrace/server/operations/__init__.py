"""One file per API operation, named after it."""
