"""Listing the exports of a place, and reading one page by page."""
