"""Unit tests of what the examples are made of."""
