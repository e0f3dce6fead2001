"""What compares a mirror with its table: one scan, a working set on disk, further looks, repair."""
