"""What looks at an item and at its row come to: equal, a difference that stands still, or neither.

Theory of operation: the first look (one scan, then the rows) is of many moments, so it only names suspects. A
suspect is judged by two looks. The earlier one reads the row, then the item; everything that was written
until then is waited for; the later one reads the row, then the item. Let c be the last change of the item
before its earlier reading. When the wait is over c was applied, so the row's version is at least c's; and if
it is still the version of the earlier look, which was read before the item was, it is at most c's. So the row
shows what c left, or it is wrong. Any other case is of an item or a row that moves, and is looked at again.
Rules of this file: pure. Repair writes nothing but what this calls a difference. Source: growth §4, ADR 72.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from tailrace.streams.version import Version

Kind: TypeAlias = Literal["missing", "different", "extra"]
"""What is wrong with a row: it is not there, it shows something else than its item, it shows an item that is
gone or not wanted.
"""
KINDS: Final[tuple[Kind, ...]] = ("missing", "different", "extra")
Verdict: TypeAlias = Kind | Literal["equal", "moving"]


class SeenRow(Struct, frozen=True):
    """A row as it was seen. Shape: `version` is None where there is none; `digest` of what it shows, empty
    for nothing.
    """

    version: Version | None = None
    digest: bytes = b""


NO_ROW: Final = SeenRow()


class Look(Struct, frozen=True):
    """One look: the row, and after it the item. Shape: `item` is the item's content in any form that equal
    items share, None: it is gone.
    """

    row: SeenRow
    item: bytes | None


def judge(earlier: Look, later: Look, expected: bytes, *, is_settled: bool) -> Verdict:
    """What two looks come to.

    Shape:   `expected` is the digest of what the later look's item is to show, empty for nothing;
             `is_settled`: whatever was written before the earlier look ended was settled before the later one
             began.

    >>> row = SeenRow(Version(1, 7), b"old")
    >>> judge(Look(row, b"new"), Look(row, b"new"), b"of new", is_settled=True)
    'different'
    >>> judge(Look(row, b"new"), Look(row, b"new"), b"of new", is_settled=False)
    'moving'
    """
    if later.row.digest == expected:
        return "equal"
    if not is_settled or earlier.row.version != later.row.version or earlier.item != later.item:
        return "moving"
    if not expected:
        return "extra"
    return "different" if later.row.digest else "missing"


def suspects(items: Mapping[bytes, bytes | None], rows: Mapping[bytes, bytes]) -> list[bytes]:
    """The keys of items and rows that do not show the same, in order.

    Shape:   digests by key; an item of which it is not known what its row is to show has None.

    >>> suspects({b"a": b"1", b"b": b"1", b"c": None}, {b"a": b"1", b"b": b"2", b"d": b"1", b"e": b""})
    [b'b', b'c', b'd']
    """
    return sorted(key for key in items.keys() | rows.keys() if items.get(key, b"") != rows.get(key, b""))


def before(key: bytes) -> bytes:
    """A place in the order of keys with nothing between it and this key: no key is as long.

    >>> before(b"ab") < b"ab", before(b"ab") > b"aa" + b"\\xff" * 4_000
    (True, True)
    """
    if not key or not key[-1]:
        return key[:-1]
    return key[:-1] + bytes([key[-1] - 1]) + b"\xff" * LONGER_THAN_ANY


LONGER_THAN_ANY: Final = 7_000
"""A key has at most 3,072 bytes, its terminated form at most twice as many and eight of hash."""
