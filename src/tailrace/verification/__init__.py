"""Whether a mirror is what its table is, while both change; and what is done where it is not."""
