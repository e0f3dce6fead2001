"""Messages between the server and a process that takes requests apart: parts, each after its length.

Rules of this file: layout only, the same code on both sides. Used by `server.takers` and
`server.taking_process`.
"""

import struct
from collections.abc import Sequence
from typing import BinaryIO, Final

from tailrace.api.taking import TOLD, Taken
from tailrace.api.wire import Headers

LENGTH: Final = struct.Struct(">I")


def framed(parts: Sequence[bytes]) -> list[bytes]:
    """A frame in pieces: how many parts, their lengths, the parts."""
    return [LENGTH.pack(len(parts)) + b"".join(LENGTH.pack(len(part)) for part in parts), *parts]


def write_frame(stream: BinaryIO, parts: Sequence[bytes]) -> None:
    """To a pipe, and flush it. Raises: OSError."""
    for piece in framed(parts):
        stream.write(piece)
    stream.flush()


def read_frame(stream: BinaryIO) -> list[bytes] | None:
    """The parts of the next frame, None at the end."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    lengths = lengths_of(stream.read(LENGTH.unpack(head)[0] * LENGTH.size))
    parts = [stream.read(length) for length in lengths]
    return parts if [len(part) for part in parts] == list(lengths) else None


def lengths_of(data: bytes) -> tuple[int, ...]:
    """The lengths that stand in a frame.

    >>> lengths_of(b"".join(framed([b"ab", b""]))[4:12])
    (2, 0)
    """
    return tuple(length for (length,) in LENGTH.iter_unpack(data))


def question_parts(headers: Headers, query: bytes, limit: int, body: bytes) -> list[bytes]:
    """The question: take this request apart."""
    present = [(name, headers[name]) for name in TOLD if name in headers]
    return [LENGTH.pack(limit), query, body, *(part for pair in present for part in pair)]


def question_of(parts: Sequence[bytes]) -> tuple[Headers, bytes, int, bytes]:
    """Headers, query, limit and body of a question."""
    limit, query, body, *pairs = parts
    return dict(zip(pairs[::2], pairs[1::2], strict=True)), query, LENGTH.unpack(limit)[0], body


def answer_parts(taken: Taken) -> list[bytes]:
    """The answer: status, target, all but the items, then each item."""
    return [b"%d" % taken.status, taken.target, taken.beside, *taken.items]


def taken_of(parts: Sequence[bytes]) -> Taken:
    """The request that an answer holds, taken apart."""
    status, target, beside, *items = parts
    return Taken(int(status), target, beside, items)
