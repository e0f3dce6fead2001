"""Seeded simulation of delivery: independent checkers, and a planted bug for each of them."""
