"""Destinations: states, the way through a log, deliveries."""
