"""Data streams of Kinesis beside the tables: the same store, commits, numbers and clock."""
