"""Manifests in an archive, and tables with positions over them."""
