"""Unit tests of the parts of `tailrace demo`."""
