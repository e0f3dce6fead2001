"""The room of history: a journal keeps every change of a table for ever, in an archive.

Floors: `core` ◆ says what a change in a journal is, where files are and what proves them, `run` archives,
reads and merges.
"""
