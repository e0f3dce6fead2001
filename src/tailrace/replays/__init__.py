"""The room of replays: a handler again over changes that a journal has, on trial or for real.

Floors: `core` ◆ says what effects are, how two revisions differ and how far a run is, `run` reads, calls and
compares.
"""
