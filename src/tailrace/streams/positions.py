"""How a server says over HTTP as of which position a page of items is: a header of our own, told to whoever
asks with it.

Theory of operation: sequence numbers rise over all streams of a data directory, whatever shard takes a
record. So one number is the position of every shard at once, of those too that begin later: a page as of that
number holds every change with it or a lower one, and none with a higher one.
Rules of this file: pure. The format is docs/formats/tokens.md's. Written by api.dispatch, read by
readers of another server's tables. Stands alone because both ends of the wire need it, and nothing else of
each other.
"""

from typing import Final

from tailrace.errors import SourceError
from tailrace.streams.record import SequenceNumber

POSITION_HEADER: Final = "x-tailrace-position"
FORMAT: Final = "1"
WANTED: Final = "wanted"
"""What a request says: any value does."""


def position_value(sequence: int) -> str:
    """What an answer says.

    >>> position_value(7)
    '1 1000000000000000000007'
    """
    return f"{FORMAT} {SequenceNumber(sequence).wire}"


def read_position(value: str) -> str:
    """The sequence number on the wire that an answer says. Raises: SourceError for what is none.

    >>> read_position("1 1000000000000000000007")
    '1000000000000000000007'
    """
    format_number, _, text = value.partition(" ")
    if format_number != FORMAT or not (text.isascii() and text.isdigit()):
        raise SourceError(
            f"The server tells the position {value!r}; this version reads format {FORMAT}.",
            hint="run a worker of the server's own version",
        )
    return text
