"""The leaf of a change: one hash over all that the journal keeps of it.

Theory of operation: SHA-256 of 0x00 and each field behind its length, so that no two changes have one
encoding: what a field ends with cannot be what the next one begins with, and a field that is not there
differs from an empty one. It is over the bytes that are stored, whatever they mean, so that a field may be
ciphertext whose key is thrown away later.
Stands alone because it is a part of the format, which whoever checks a proof writes again.
Rules of this file: pure. Nothing of where a change is kept is in its leaf, neither segment nor row: merges
move changes and prove the same. What is changed here is another version of the format
(docs/formats/journal.md).
"""

import struct
from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import repeat
from typing import Final

from msgspec import Struct

from tailrace.streams.version import GENERATION_BYTES, SEQUENCE_BYTES, Version

FORM: Final = b"\x00tailrace.change.1\x00"
"""Before all fields: what tells a leaf from a node, and this form of it from later ones."""
ABSENT: Final = b"\xff\xff\xff\xff"
_LENGTH: Final = struct.Struct(">I")


def leaf_of(
    shard: str,
    key: bytes,
    version: Version,
    created_us: int,
    event: str,
    old: bytes | None,
    new: bytes | None,
    origin: str | None,
    ancestry: str | None,
) -> bytes:
    """The leaf of a change: 32 bytes. Shape: the columns of a segment; texts as UTF-8."""
    packed = _LENGTH.pack
    parts = [FORM]
    for field in (
        shard.encode(),
        key,
        version.packed,
        created_us.to_bytes(8, "big", signed=True),
        event.encode(),
        old,
        new,
        None if origin is None else origin.encode(),
        None if ancestry is None else ancestry.encode(),
    ):
        if field is None:
            parts.append(ABSENT)
        else:
            parts += (packed(len(field)), field)
    return sha256(b"".join(parts)).digest()


class LeafColumns(Struct, frozen=True):
    """What `leaf_of` takes of many changes of one shard, a column each. Shape: all of one length."""

    keys: Sequence[bytes]
    generations: Sequence[int]
    sequences: Sequence[int]
    created_us: Sequence[int]
    events: Sequence[str]
    olds: Sequence[bytes | None]
    news: Sequence[bytes | None]
    origins: Sequence[str | None]
    ancestries: Sequence[str | None]


def leaves_of(shard: str, changes: LeafColumns) -> list[bytes]:
    """The leaves of many changes of a shard: what `leaf_of` makes of each, in a quarter of the time.

    >>> one = LeafColumns([b"k"], [1], [7], [9], ["INSERT"], [None], [b"{}"], [None], [None])
    >>> leaves_of("s", one) == [leaf_of("s", b"k", Version(1, 7), 9, "INSERT", None, b"{}", None, None)]
    True
    """
    join, hashed, begins, lengths = b"".join, sha256, _Lengths(FORM + _framed(shard)), _Lengths(b"")
    events = {event: _framed(event) for event in {*changes.events}}
    return [
        hashed(
            join(
                (
                    begins[len(key)], key, stamp, events[event],
                    ABSENT if old is None else lengths[len(old)], old or b"",
                    ABSENT if new is None else lengths[len(new)], new or b"",
                    end,
                )
            )
        ).digest()
        for key, stamp, event, old, new, end in zip(
            changes.keys, _stamps(changes), changes.events, changes.olds, changes.news, _ends(changes),
            strict=False,  # the ends may go on for ever
        )
    ]  # fmt: skip


def _stamps(changes: LeafColumns) -> list[bytes]:
    """Version and time of each, as a leaf has them."""
    pack, columns = _STAMP.pack, (changes.generations, changes.sequences, changes.created_us)
    rows = zip(*columns, strict=True)
    if max(changes.sequences, default=0) < _WORD:  # our engine's: twice as fast
        return [pack(_VERSION, generation, 0, 0, number, 8, time) for generation, number, time in rows]
    return [
        pack(_VERSION, generation, number >> 128, number >> 64 & _WORD - 1, number & _WORD - 1, 8, time)
        for generation, number, time in rows
    ]


def _ends(changes: LeafColumns) -> Iterable[bytes]:
    """Origin and ancestry of each, as a leaf has them: mostly the same."""
    pairs = {*zip(changes.origins, changes.ancestries, strict=True)}
    ends = {pair: b"".join(map(_framed, pair)) for pair in pairs}
    if len(ends) == 1:
        return repeat(*ends.values())
    return [ends[pair] for pair in zip(changes.origins, changes.ancestries, strict=True)]


class _Lengths(dict[int, bytes]):
    """Lengths as a leaf has them, behind what stands before them. Many fields have the same."""

    def __init__(self, begin: bytes) -> None:
        super().__init__()
        self._begin = begin

    def __missing__(self, length: int) -> bytes:
        packed = self[length] = self._begin + _LENGTH.pack(length)
        return packed


def _framed(text: str | None) -> bytes:
    if text is None:
        return ABSENT
    data = text.encode()
    return _LENGTH.pack(len(data)) + data


_WORD: Final = 1 << 64
_VERSION: Final = GENERATION_BYTES + SEQUENCE_BYTES
_STAMP: Final = struct.Struct(">IIQQQIq")
