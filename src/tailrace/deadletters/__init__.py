"""Records given up and kept whole: their layout in the state store."""
