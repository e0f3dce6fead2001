"""Manifests, data files and their lines, positions, what is to be written, and which exports join. Pure."""
