"""What cannot be read: the reason alone, for whoever knows the file and the line.

Stands alone because both floors need it, and each knows one half of the message.
Rules of this file: it never leaves the room; `run` makes a `Refused` of it.
"""


class Unreadable(ValueError):
    """Bytes that are not what they should be. Shape: its text is the reason alone."""
