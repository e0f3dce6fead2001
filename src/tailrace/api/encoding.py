"""Compressed bodies: gzip and deflate, in both directions.

Rules of this file: pure; what a body becomes is bounded while it is made, so that a small request cannot fill
the memory. Called by connection.py for the few requests that ask for it. What cannot be read is answered as
AWS does, with 500: no other input of a client's may come to that.
Source: faults §3.
"""

import zlib
from collections.abc import Mapping
from typing import Final

from tailrace.api.wire import internal_server_error
from tailrace.engine.slices import Slices, at_once

LEAST: Final = 4_096
"""Answers below this stay as they are. Units: bytes."""
LEVEL: Final = 1
GZIP: Final = 16 + zlib.MAX_WBITS
ENCODINGS: Final = {b"gzip": GZIP, b"deflate": zlib.MAX_WBITS}
MOST_ENCODINGS: Final = 3
"""A request encoded more often is refused before it is looked at."""
MEMBER: Final = b"\x1f\x8b"
"""How each member of a gzip file begins. What follows the last member is left unread, as in Java."""
MOST_MEMBERS: Final = 1_024
"""Each costs a reader: a body in more of them is refused. Writers of many members make them of 64 KB."""
BYTES_WRITTEN: Final = 131_072
"""How much is compressed before a rest."""


class TooLargeInside(Exception):
    """A body is larger than the limit once it is decompressed."""


def decoded(body: bytes, encoding: bytes, limit: int) -> bytes:
    """A request's body without its Content-Encoding.

    Raises:  TooLargeInside; ApiError InternalServerError for what is not so encoded, or is encoded otherwise.

    >>> decoded(zlib.compress(b"{}"), b"deflate", 10)
    b'{}'
    """
    names = [
        name for name in encoding.lower().replace(b" ", b"").split(b",") if name not in (b"", b"identity")
    ]
    if len(names) > MOST_ENCODINGS:
        raise internal_server_error()
    for name in reversed(names):
        bits = ENCODINGS.get(name.removeprefix(b"x-"))
        if bits is None:
            raise internal_server_error()
        body = _inflated(body, bits, limit)
    return body


def _inflated(body: bytes, bits: int, limit: int) -> bytes:
    if bits == zlib.MAX_WBITS and body[:1] and body[0] & 0x0F != 8:
        bits = -zlib.MAX_WBITS  # deflate without zlib's envelope, as some clients send it
    pieces: list[bytes] = []
    room = limit
    for _ in range(MOST_MEMBERS):
        reader = zlib.decompressobj(bits)
        try:
            piece = reader.decompress(body, room + 1)
        except zlib.error:
            break
        room -= len(piece)
        if room < 0:
            raise TooLargeInside
        pieces.append(piece)
        body = reader.unused_data
        if not reader.eof:
            break
        if bits != GZIP or not body.startswith(MEMBER):
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
    raise internal_server_error()


def chosen(headers: Mapping[bytes, bytes], size: int) -> bytes | None:
    """The encoding that an answer of this size is given in, None for none. Units: bytes."""
    return None if size < LEAST else accepted(headers.get(b"accept-encoding", b"identity"))


def accepted(header: bytes) -> bytes | None:
    """The encoding that an Accept-Encoding wants, None for none that we have.

    >>> accepted(b"deflate;q=0.5, gzip"), accepted(b"identity"), accepted(b"gzip;q=0"), accepted(b"*")
    (b'gzip', None, None, b'gzip')
    """
    wanted: dict[bytes, float] = {}
    for part in header.lower().replace(b" ", b"").split(b","):
        name, _, weight = part.partition(b";q=")
        try:
            wanted[name] = float(weight) if weight else 1.0
        except ValueError:
            wanted[name] = 0.0
    anything = wanted.get(b"*", 0.0)
    best = max(ENCODINGS, key=lambda name: wanted.get(name, anything))
    return best if wanted.get(best, anything) > 0 else None


def encoded(body: bytes, name: bytes) -> bytes:
    """An answer's body in one of our encodings."""
    return at_once(encoding(body, name))


def encoding(body: bytes, name: bytes) -> Slices[bytes]:
    """The same in slices."""
    writer = zlib.compressobj(LEVEL, wbits=ENCODINGS[name])
    written = [writer.compress(body[:BYTES_WRITTEN])]
    for start in range(BYTES_WRITTEN, len(body), BYTES_WRITTEN):
        yield
        written.append(writer.compress(body[start : start + BYTES_WRITTEN]))
    written.append(writer.flush())
    return b"".join(written)
