"""Tests of the room of snapshots."""
