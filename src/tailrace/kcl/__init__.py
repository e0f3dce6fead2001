"""Lease tables of the Kinesis Client Library: their checkpoints become ours, and ours theirs."""
