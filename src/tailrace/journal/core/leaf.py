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
from hashlib import sha256
from typing import Final

from tailrace.streams.version import Version

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
