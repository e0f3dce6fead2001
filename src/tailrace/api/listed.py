"""Answers that are mostly one long list: written in slices, in the form that the request has.

Theory of operation: a page of records has ten mebibytes. What an operation returns of it are its elements in
chunks, and its other members; each chunk is written, and then others have their turn.
Rules of this file: pure. Made by operations, written by `api.dispatch`; `spliced` also by those who have
elements that are written already.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from tailrace.api.cbor import array_of
from tailrace.api.wire import CBOR, body_in
from tailrace.engine.slices import Slices

MAP_OF: Final = 0xA0
"""CBOR's head of a map, of fewer than 24 members."""


class Listed(Struct, frozen=True):
    """An answer with a list. Shape: the list is called `name`; `rest` are fewer than 23 other members."""

    name: str
    chunks: Sequence[Sequence[Mapping[str, Any]]]
    rest: Mapping[str, Any]


def written(kind: bytes | None, listed: Listed) -> Slices[bytes]:
    """The body of an answer in the form of a content type, in slices."""
    elements: list[bytes] = []
    for place, chunk in enumerate(listed.chunks):
        if place:  # mostly there is one chunk, and no rest is needed
            yield
        if kind == CBOR:
            elements += [body_in(kind, element) for element in chunk]
        elif chunk:
            elements.append(body_in(kind, chunk)[1:-1])  # in JSON several stand as one would
    return spliced(kind, listed.name, elements, listed.rest)


def spliced(kind: bytes | None, name: str, elements: Sequence[bytes], rest: Mapping[str, Any]) -> bytes:
    """A body whose list has elements that are written already in this form.

    >>> spliced(b"application/json", "Records", [b"1", b"2"], {"More": None})
    b'{"Records":[1,2],"More":null}'
    """
    others = body_in(kind, rest)
    if kind == CBOR:
        head = bytes((MAP_OF + 1 + len(rest),)) + body_in(kind, name)
        return b"".join((head, array_of(elements), others[1:]))
    return b'{"%b":[%b],%b' % (name.encode(), b",".join(elements), others[1:])
