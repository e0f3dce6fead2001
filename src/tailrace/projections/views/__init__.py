"""Projections and their builds, as people read them."""
