"""What waits for a batch, and how a batch is taken out of it.

Theory of operation. A batch keeps its keys from every other one until it is settled, so what it takes is what others cannot work on. It takes
its share of the *keys* that wait, not of the records: with fewer keys than free slots every key has a batch of its own, as long as the
key's run is, and with many keys a small backlog still keeps every slot busy (guided self-scheduling).
Rules of this file: what waits stays in reading order, so that every slice of it is a batch; keys are counted only where batches share. Called by keys.py.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from tailrace.mapping.batch import payload_bytes
from tailrace.mapping.held import HeldKeys, by_sequence
from tailrace.streams.record import ChangeRecord

LOOK: Final = 128
"""So many records of keys that are left to others are passed over for nothing, and again for each that is taken: it bounds what a batch costs."""


class Pending:
    """Records that are in no batch, in reading order. Shape: `shares` says that several batches run at once, and keys are counted."""

    __slots__ = ("_counts", "_shares", "records")

    def __init__(self, *, shares: bool) -> None:
        self.records: list[ChangeRecord] = []
        self._counts: dict[bytes, int] = {}
        self._shares = shares

    def __len__(self) -> int:
        return len(self.records)

    @property
    def keys(self) -> int:
        """How many keys wait; of no meaning unless batches share."""
        return len(self._counts)

    def add(self, records: Sequence[ChangeRecord]) -> None:
        """Records were read."""
        self.records.extend(records)
        self._count(records)

    def add_in_order(self, records: Sequence[ChangeRecord]) -> None:
        """Records come back that were read before."""
        self.records[:0] = records
        self.records.sort(key=by_sequence)
        self._count(records)

    def replace(self, records: list[ChangeRecord]) -> None:
        """Only these are left."""
        self.records = records
        self._counts.clear()
        self._count(records)

    def take_first(self, count: int) -> list[ChangeRecord]:
        """The next slice: only where nothing is held and one batch runs at a time."""
        taken = self.records[:count]
        del self.records[:count]
        return taken

    def take(self, held: HeldKeys, *, most: int, most_keys: int, most_bytes: int) -> list[ChangeRecord]:
        """The first records of at most so many free keys. Records of held keys go behind them, up to the bound of one key."""
        taken: list[ChangeRecord] = []
        left: list[ChangeRecord] = []
        keys: set[bytes] = set()
        total = seen = 0
        held.full_key = None
        for record in self.records:
            key = record.key
            if held.is_held(key):
                if not held.wait_behind(record):
                    break
                self._forget(key)
            elif key in keys or len(keys) < most_keys:
                total += payload_bytes(record)
                if taken and (total > most_bytes or len(taken) >= most):
                    break
                taken.append(record)
                keys.add(key)
                self._forget(key)
            elif len(left) >= LOOK * (len(taken) + 1):
                break
            else:
                left.append(record)
            seen += 1
        self.records[:seen] = left
        return taken

    def _count(self, records: Iterable[ChangeRecord]) -> None:
        if self._shares:
            counts = self._counts
            for record in records:
                counts[record.key] = counts.get(record.key, 0) + 1

    def _forget(self, key: bytes) -> None:
        if self._shares:
            left = self._counts[key] - 1
            if left:
                self._counts[key] = left
            else:
                del self._counts[key]
