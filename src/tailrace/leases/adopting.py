"""Shards that each worker of a fleet takes for another's, and who reads them.

Theory of operation: the spread of leases is computed from all that are wanted, so two workers that want
different ones compute different spreads: while a new version of the app with one table more replaces the one
before, or when a shard is listed to one worker and not yet to another. A shard may then be the other's for
each of them. Every worker says in its heartbeat, in a few letters, what it wants. As long as others say
something else, a worker adopts what has been free for a while, and keeps it. When all say the same again,
the spread is everybody's, and what was adopted is handed over like anything else.
Rules of this file: pure. Called by leases/fleet.py; stands alone because it is an exception to what that one
computes. Source: decision 63.
"""

from collections.abc import Collection, Iterable
from hashlib import blake2b
from typing import Final

FREE_FOR: Final = 2
"""So many lease times is a shard free before it is adopted: the one that is to have it takes it in less."""
VIEW_BYTES: Final = 8


def view_of(wanted: Iterable[str]) -> str:
    """What a worker wants, in a few letters: the same for the same leases in any order."""
    digest = blake2b(digest_size=VIEW_BYTES)
    for key in sorted(wanted):
        digest.update(f"{len(key)}:{key}".encode())
    return digest.hexdigest()


class Adoptions:
    """What one worker has adopted. Shape: `keys` are those of leases."""

    __slots__ = ("_free", "keys")

    def __init__(self) -> None:
        self.keys: frozenset[str] = frozenset()
        self._free: dict[str, int] = {}

    def note(self, free: Collection[str], taken: Collection[str], monotonic_ms: int, lease_ms: int) -> None:
        """Others want something else than this worker. `free` are leases that it takes for theirs and that no
        living worker has; `taken` are those that living ones have.
        """
        self._free = {key: self._free.get(key, monotonic_ms) for key in free}
        due = {key for key, since in self._free.items() if monotonic_ms - since >= FREE_FOR * lease_ms}
        self.keys = (self.keys | due).difference(taken)

    def end(self) -> None:
        """All want the same."""
        self.keys = frozenset()
        self._free.clear()
