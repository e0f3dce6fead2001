"""Messages between a node and a function's process: a head in JSON and a body, each after its length.

Rules of this file: layout only, the same code on both sides. Used by pool.py and process.py.
"""

import struct
from typing import Any, Final, NamedTuple

import orjson

LENGTHS: Final = struct.Struct(">II")


class Frame(NamedTuple):
    """One message."""

    head: dict[str, Any]
    body: bytes = b""

    def encode(self) -> bytes:
        """The message as bytes."""
        head = orjson.dumps(self.head)
        return LENGTHS.pack(len(head), len(self.body)) + head + self.body


LOADED: Final = Frame({"loaded": True})
"""What a process says when its function is loaded, before its first answer; else why it is not."""


def decode(head: bytes, body: bytes) -> Frame:
    """A message of its two parts."""
    return Frame(orjson.loads(head), body)
