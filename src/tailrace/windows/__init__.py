"""Windows in event time: which there are, what is in them, and the rows that say so. Pure."""
