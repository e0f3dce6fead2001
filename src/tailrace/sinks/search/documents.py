"""Documents of a mirror: the id of an item, its fields beside the attributes, and what a reader sees of it.

Rules of this file: pure. An id tells an item from every other one of its table, whatever characters its key
has; it is readable where that is safe, and no more than a server takes.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

import orjson
from msgspec import Struct

from tailrace.sinks.search.fields import CHANGED_AT, CHANGED_US, DELETED, KEY, OURS, VERSION
from tailrace.streams.record import MILLISECOND
from tailrace.streams.version import Version
from tailrace.tables.schema import HASH_BYTES
from tailrace.values.canonical import ordered_bytes, split_terminated
from tailrace.values.types import Item

LONGEST_ID: Final = 512
"""Units: bytes of UTF-8."""
SOURCES_ID: Final = "%sources"
"""The document with the numbers of sources. No item has this id: there two digits follow a `%`."""
VISIBLE: Final = frozenset(OURS) - {"_extra"}
"""Fields that say nothing of the item."""


def document_id(key: bytes, keys: Item) -> str:
    """The id of an item's document. Shape: `key` as records have it, `keys` its key attributes.

    Guarantee: two items of a table have two ids. A part that has a `%` or `|`, or a character that is not
    printed, has it as `%` and two digits; an id above 512 bytes is a SHA-256 of the key.

    >>> from tailrace.values.canonical import terminated
    >>> document_id(b"8 bytes " + terminated(b"a|b") + b"c", {"pk": {"S": "a|b"}, "sk": {"S": "c"}})
    'a%7Cb|c'
    """
    try:
        partition, sort = split_terminated(key[HASH_BYTES:])
    except ValueError:
        return f"%key:{key.hex()}" if len(key) < LONGEST_ID // 2 - 4 else _hashed(key)
    readable = _readable(partition, keys)
    if sort:
        readable += "|" + _readable(sort, keys)
    return readable if len(readable.encode()) <= LONGEST_ID else _hashed(key)


def _hashed(key: bytes) -> str:
    return f"%sha256:{sha256(key).hexdigest()}"


def _readable(part: bytes, keys: Item) -> str:
    for value in keys.values():
        if ordered_bytes(value) == part:
            kind, content = next(iter(value.items()))
            return part.hex() if kind == "B" else _escaped(content)
    return _escaped(part.decode("utf-8", "surrogateescape"))


def _escaped(text: str) -> str:
    if text.isprintable() and "%" not in text and "|" not in text:
        return text
    return "".join(
        character
        if character.isprintable() and character not in "%|"
        else "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))
        for character in text
    )


class RowState(Struct, frozen=True):
    """What a document says of its row beside the attributes."""

    key: bytes
    version: Version
    changed_us: int
    is_deleted: bool

    @property
    def fields(self) -> dict[str, Any]:
        """Their names and values as JSON. Raises: SourceError for a version that is too wide."""
        return {
            KEY: self.key.hex(),
            VERSION: self.version.text,
            DELETED: self.is_deleted,
            CHANGED_AT: self.changed_us // MILLISECOND,
            CHANGED_US: self.changed_us,
        }


def digest(document: Mapping[str, Any]) -> bytes:
    """What a reader sees of a document, as a hash. Shape: of a document as JSON is read; empty for a deleted
    one.

    >>> digest({"id": "a", "tailrace_deleted": True})
    b''
    """
    if document.get(DELETED):
        return b""
    visible = {name: value for name, value in document.items() if name not in VISIBLE}
    return sha256(orjson.dumps(visible, option=orjson.OPT_SORT_KEYS)).digest()
