"""The room of dead letters: changes that are kept because they were not handled, and how they are put back.

Floors: `core` ◆ says what is kept and what a redrive decides, `run` carries that out and tells
destinations, `views` reads it.
"""
