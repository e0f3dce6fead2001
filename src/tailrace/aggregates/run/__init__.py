"""Loading aggregates and appending to them, as requests that a client carries out."""
