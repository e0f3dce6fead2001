"""Layouts of items, groups and builds, and the transitions that a change makes. Pure."""
