"""Mutated requests of every operation, sent to the server: `make fuzz`."""
