"""What a table of files is: its manifest, deltas, names. Pure."""
