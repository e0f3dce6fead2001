"""Keys of state rows where a store bounds its own: a word of more than 400 letters is cut, and its digest
stands for the rest.

Theory of operation: an item's key stands in a row's key in hexadecimal and may have 6,144 letters; a sort key
of DynamoDB has 1,024 bytes, an entry of a PostgreSQL index 2,700. The cut form keeps the first 400 letters,
so that cut keys are in key order but among those that share all of these: such rows are a *run*. They lie
beside each other, a run is read whole and put in order by the whole keys, which stand beside the rows.
Rules of this file: pure. What it gives is compared by code points, as Python and UTF-8 do. Called by
stores/dynamodb.py and stores/postgresql.py. Source: growth §3.3, docs/formats/state-places.md.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Final, Generic, Protocol, TypeVar

LONGEST_WORD: Final = 400
"""Letters: an item's key of 200 bytes. A longer one is cut."""
CUT: Final = "~"
LAST: Final = 0x10FFFF
SURROGATES: Final = (0xD800, 0xE000)


def cut_key(key: str) -> str:
    """A row's key as it is stored.

    >>> cut_key("head/shop/mail/" + "a" * 400) == "head/shop/mail/" + "a" * 400
    True
    >>> len(cut_key("head/shop/mail/" + "a" * 6_144))
    480
    """
    return key if len(key) <= LONGEST_WORD else "/".join(map(_cut, key.split("/")))


def cut_prefix(prefix: str) -> str:
    """What the stored forms of all keys begin with that begin with a prefix. Some others may: compare the
    whole keys.

    >>> cut_prefix("head/shop/" + "a" * 500) == "head/shop/" + "a" * 400
    True
    """
    if len(prefix) <= LONGEST_WORD:
        return prefix
    *whole, last = prefix.split("/")
    return "/".join([*map(_cut, whole), last[:LONGEST_WORD]])


def run_of(stored: str) -> str | None:
    """The run that a stored key is in: what all keys of it begin with; None for one that no cut key may be
    beside.

    >>> run_of(cut_key("head/" + "a" * 401 + "/1")) == "head/" + "a" * 400
    True
    """
    if len(stored) < LONGEST_WORD:
        return None
    begin = 0
    for word in stored.split("/"):
        if len(word) >= LONGEST_WORD:
            return stored[: begin + LONGEST_WORD]
        begin += len(word) + 1
    return None


def following(text: str) -> str | None:
    """The first text behind all that begin with this one; None: there is none.

    >>> following("lease/")
    'lease0'
    """
    kept = text.rstrip(chr(LAST))
    if not kept:
        return None
    number = ord(kept[-1]) + 1
    if number == SURROGATES[0]:
        number = SURROGATES[1]
    return kept[:-1] + chr(number)


class HasRowKey(Protocol):
    """A row, or what it is read from."""

    @property
    def key(self) -> str:
        """Whole, however it is stored."""


Kept = TypeVar("Kept", bound=HasRowKey)


class Ordering(Generic[Kept]):
    """Rows that come in the order of their stored keys, given on in key order: those of a run together.

    Shape:   only rows whose key begins with `prefix` and comes after `after`.
    """

    def __init__(self, prefix: str, after: str) -> None:
        self._prefix = prefix
        self._after = after
        self._run: str | None = None
        self._held: list[Kept] = []

    def add(self, rows: Iterable[tuple[str, Kept]]) -> Iterator[Kept]:
        """The next rows, with their stored keys. Returns: those whose order is known now."""
        for stored, row in rows:
            if self._run is not None and not stored.startswith(self._run):
                yield from self.rest()
            if self._run is None:
                self._run = run_of(stored)
            if row.key.startswith(self._prefix) and row.key > self._after:
                if self._run is None:
                    yield row
                else:
                    self._held.append(row)

    def rest(self) -> Iterator[Kept]:
        """What is held back at the end."""
        held, self._held, self._run = self._held, [], None
        yield from sorted(held, key=_key)


def first_stored(prefix: str, after: str) -> str:
    """The stored key at which reading begins; that row itself may be there, and is not after `after`.

    >>> first_stored("lease/", "lease/b")
    'lease/b'
    """
    begin = cut_prefix(prefix)
    if after <= prefix:
        return begin
    stored = cut_key(after)
    return max(begin, run_of(stored) or stored)


def _cut(word: str) -> str:
    if len(word) <= LONGEST_WORD:
        return word
    return f"{word[:LONGEST_WORD]}{CUT}{sha256(word.encode()).hexdigest()}"


def _key(row: HasRowKey) -> str:
    return row.key
