"""Data streams of Kinesis."""
