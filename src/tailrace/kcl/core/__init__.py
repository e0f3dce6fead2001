"""What rows of a lease table say, and what each becomes on the other side."""
