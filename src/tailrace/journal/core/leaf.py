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
from collections.abc import Iterable
from hashlib import sha256
from typing import Final, TypeAlias

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


LeafRow: TypeAlias = tuple[bytes, int, bytes, int, str, bytes | None, bytes | None, str | None, str | None]
"""What `leaf_of` takes of a change behind its shard; the sequence number as its 24 bytes."""


def leaves_of(shard: str, rows: Iterable[LeafRow]) -> list[bytes]:
    """The leaves of many changes of a shard: what `leaf_of` makes of each, in a third of the time.

    >>> row = (b"k", 1, (7).to_bytes(24, "big"), 9, "INSERT", None, b"{}", None, None)
    >>> leaves_of("s", [row]) == [leaf_of("s", b"k", Version(1, 7), 9, "INSERT", None, b"{}", None, None)]
    True
    """
    pack, join, hashed = _LENGTH.pack, b"".join, sha256
    begin = FORM + _framed(shard)
    versions: dict[int, bytes] = {}
    texts: dict[str | None, bytes] = {None: ABSENT}
    leaves = []
    for key, generation, sequence, created_us, event, old, new, origin, ancestry in rows:
        if generation not in versions:
            versions[generation] = _VERSION + generation.to_bytes(GENERATION_BYTES, "big")
        for text in (event, origin, ancestry):
            if text is not None and text not in texts:
                texts[text] = _framed(text)
        parts = (
            begin, pack(len(key)), key, versions[generation], sequence,
            _TIME.pack(8, created_us), texts[event],
            ABSENT if old is None else pack(len(old)), old or b"",
            ABSENT if new is None else pack(len(new)), new or b"",
            texts[origin], texts[ancestry],
        )  # fmt: skip
        leaves.append(hashed(join(parts)).digest())
    return leaves


def _framed(text: str) -> bytes:
    data = text.encode()
    return _LENGTH.pack(len(data)) + data


_VERSION: Final = _LENGTH.pack(GENERATION_BYTES + SEQUENCE_BYTES)
_TIME: Final = struct.Struct(">Iq")
