"""Manifests, data files and their lines, positions, and which exports join to a chain. Pure."""
