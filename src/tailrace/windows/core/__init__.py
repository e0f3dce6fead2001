"""Which windows there are, what is in them, and the rows that say so. Pure."""
