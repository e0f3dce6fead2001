"""What waits: for a batch, and how one is taken out of it; and behind a held key, one that a batch touches
which is not settled.

Theory of operation. A batch keeps its keys from every other one until it is settled, so what it takes is what
others cannot work on. It takes its share of the *keys* that wait, not of the records: with fewer keys than
free slots every key has a batch of its own, as long as the key's run is, and with many keys a small backlog
still keeps every slot busy (guided self-scheduling).
Rules of this file: what waits stays in reading order, so that every slice of it is a batch; keys are counted
only where batches share. A key is released when the last record of it in any batch is settled or put back;
what waited behind it is then returned, to go to the front. Called by keys.py and contiguous.py.
"""

from bisect import insort
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Final

from msgspec import Struct, field

from tailrace.mapping.batch import Weighed, fitting, payload_bytes
from tailrace.mapping.settings import MappingSettings
from tailrace.streams.record import ChangeRecord

by_sequence: Final = attrgetter("sequence")
"""Reading order."""
by_rank: Final = attrgetter("rank")
"""The order in which changes were written, where the source does not keep it."""


class Held(Struct):
    """One held key: how many records of it are in batches, and those that wait behind them, in reading
    order.
    """

    count: int = 0
    behind: list[ChangeRecord] = field(default_factory=list)


class HeldKeys:
    """All held keys of one shard. `retrying` are those of batches that stand aside."""

    __slots__ = ("_keys", "_most_behind", "_order", "full_key", "retrying")

    def __init__(self, most_behind: int, order: Callable[[ChangeRecord], int] = by_sequence) -> None:
        self._most_behind = most_behind
        self._order = order
        self._keys: dict[bytes, Held] = {}
        self.retrying: set[bytes] = set()
        self.full_key: bytes | None = None

    def __len__(self) -> int:
        return len(self._keys)

    def hold(self, records: Iterable[ChangeRecord]) -> None:
        """These records are in a batch now."""
        keys = self._keys
        for record in records:
            held = keys.get(record.key)
            if held is None:
                keys[record.key] = Held(1)
            else:
                held.count += 1

    def is_held(self, key: bytes) -> bool:
        """Whether a batch, or the redriver, has this key."""
        return key in self._keys

    def is_free(self, record: ChangeRecord) -> bool:
        """Whether no batch touches the key of this record."""
        return record.key not in self._keys

    def hold_key(self, key: bytes) -> bool:
        """Hold a key for the redriver; False when a batch touches it."""
        return key not in self._keys and self._keys.setdefault(key, Held(1)) is not None

    def release_key(self, key: bytes) -> list[ChangeRecord]:
        """The opposite of hold_key(). Returns: what waited behind it."""
        return self._keys.pop(key).behind if key in self._keys else []

    def wait_behind(self, record: ChangeRecord) -> bool:
        """Let a new record wait behind its held key; False at the bound of one key."""
        behind = self._keys[record.key].behind
        if len(behind) >= self._most_behind:
            self.full_key = record.key
            return False
        behind.append(record)
        return True

    @property
    def fullest(self) -> int | None:
        """How many records wait behind the failing key that is at its bound; None: no failing key is."""
        if self.full_key is None or self.full_key not in self.retrying:
            return None
        waiting = len(self._keys[self.full_key].behind)
        return waiting if waiting >= self._most_behind else None

    def settle(self, records: Sequence[ChangeRecord]) -> list[ChangeRecord]:
        """These records are settled; returns what waited behind the keys that are free now."""
        freed: list[ChangeRecord] = []
        for record in records:
            self.retrying.discard(record.key)
            freed.extend(self._let_go(record))
        return freed

    def next_of(self, records: Sequence[ChangeRecord], settings: MappingSettings) -> list[ChangeRecord]:
        """These records of one key are settled, and more than a batch waits behind them: the next batch,
        which holds the key.
        """
        key = records[0].key
        held = self._keys[key]
        behind = held.behind
        is_alone = held.count == len(records) and all(record.key == key for record in records)
        if not is_alone or len(behind) <= settings.batch_size:
            return []
        self.retrying.discard(key)
        held.count, _ = fitting(behind, settings, settings.batch_size)
        taken = behind[: held.count]
        del behind[: held.count]
        return taken

    def put_back(self, records: Sequence[ChangeRecord]) -> list[ChangeRecord]:
        """These records leave their batches undelivered; returns those that wait for no key, and what waited
        behind them.
        """
        freed = [waiting for record in records for waiting in self._let_go(record)]
        for record in records:
            held = self._keys.get(record.key)
            if held is None:
                freed.append(record)
            else:
                insort(held.behind, record, key=self._order)
        return freed

    def move_behind(self, records: Iterable[ChangeRecord]) -> None:
        """Records of batches whose key steps aside wait behind it: above the bound too, they were taken
        already.
        """
        for record in records:
            held = self._keys[record.key]
            held.count -= 1
            insort(held.behind, record, key=self._order)

    def _let_go(self, record: ChangeRecord) -> list[ChangeRecord]:
        held = self._keys[record.key]
        held.count -= 1
        return [] if held.count else self._keys.pop(record.key).behind


LOOK: Final = 128
"""So many records of keys that are left to others are passed over for nothing, and again for each that is
taken: it bounds what a batch costs.
"""


class PendingRecords:
    """Records that are in no batch, in reading order, or by `order`. Shape: `shares` says that several
    batches run at once, and keys are counted.
    """

    __slots__ = ("_counts", "_order", "_shares", "_weighed", "records")

    def __init__(self, *, shares: bool, order: Callable[[ChangeRecord], int] = by_sequence) -> None:
        self.records: list[ChangeRecord] = []
        self._order = order
        self._weighed = Weighed()
        self._counts: dict[bytes, int] = {}
        self._shares = shares

    def __len__(self) -> int:
        return len(self.records)

    @property
    def keys(self) -> int:
        """How many keys wait; of no meaning unless batches share."""
        return len(self._counts)

    def add(self, records: Sequence[ChangeRecord]) -> None:
        """Append records, in reading order; those that come by another have their places."""
        if self._order is not by_sequence:
            self.add_in_order(records)
            return
        self.records.extend(records)
        self._count(records)

    def add_in_order(self, records: Sequence[ChangeRecord]) -> None:
        """Records come back that were read before."""
        self.records[:0] = records
        self.records.sort(key=self._order)
        self._weighed.forget()
        self._count(records)

    def replace(self, records: list[ChangeRecord]) -> None:
        """Take these, in reading order, in place of all that waited."""
        self.records = records
        self._weighed.forget()
        self._counts.clear()
        self._count(records)

    def fitting(self, settings: MappingSettings, limit: int) -> tuple[int, bool]:
        """How many of the first make one batch, and whether it is full."""
        return self._weighed.fitting(self.records, settings, limit)

    def take_first(self, count: int) -> list[ChangeRecord]:
        """The next slice: only where nothing is held and one batch runs at a time."""
        taken = self.records[:count]
        del self.records[:count]
        self._weighed.forget()
        return taken

    def take_share(self, held: HeldKeys, settings: MappingSettings, most: int) -> list[ChangeRecord]:
        """The records of one batch: of one part in `concurrency` of the keys that wait, unless a window asks
        for full batches.
        """
        most_keys = most
        if settings.concurrency > 1 and not settings.batching_window_ms:
            most_keys = max(settings.keys_at_once, -(-self.keys // settings.concurrency))
        return self.take(held, most=most, most_keys=most_keys, most_bytes=settings.batch_bytes)

    def take(self, held: HeldKeys, *, most: int, most_keys: int, most_bytes: int) -> list[ChangeRecord]:
        """The first records of at most so many free keys. Records of held keys go behind them, up to the
        bound of one key.
        """
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
        self._weighed.forget()
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
