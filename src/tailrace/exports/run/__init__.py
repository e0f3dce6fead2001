"""Listing the exports of a place, reading one page by page, and writing one."""
