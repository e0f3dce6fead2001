"""Mirrors in databases that speak SQL: one core, and what single databases do otherwise."""
