"""Tests of the room of exports."""
