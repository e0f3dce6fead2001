"""Held keys: those that a batch touches which is not settled, and what waits behind them.

Rules of this file: bookkeeping, no decision. A key is released when the last record of it in any batch is settled or put back; what
waited behind it is then returned, to go to the front. Called by keys.py.
"""

from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final

from tailrace.mapping.batch import fitting
from tailrace.mapping.settings import MappingSettings
from tailrace.streams.record import ChangeRecord

by_sequence: Final = attrgetter("sequence")
"""Reading order."""


@dataclass(slots=True)
class Held:
    """One held key: how many records of it are in batches, and those that wait behind them, in reading order."""

    count: int = 0
    behind: list[ChangeRecord] = field(default_factory=list)


class HeldKeys:
    """All held keys of one shard. `retrying` are those of batches that stand aside."""

    __slots__ = ("_keys", "_most_behind", "full_key", "retrying")

    def __init__(self, most_behind: int) -> None:
        self._most_behind = most_behind
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
        """Whether a batch, or somebody outside the flow, has this key."""
        return key in self._keys

    def is_free(self, record: ChangeRecord) -> bool:
        """Whether no batch touches the key of this record."""
        return record.key not in self._keys

    def hold_key(self, key: bytes) -> bool:
        """Hold a key for somebody outside the flow; False when a batch touches it."""
        return key not in self._keys and self._keys.setdefault(key, Held(1)) is not None

    def release_key(self, key: bytes) -> list[ChangeRecord]:
        """Whoever held the key is done; returns what waited behind it."""
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
        """These records of one key are settled, and more than a batch waits behind them: the next batch, which holds the key."""
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
        """These records leave their batches undelivered; returns those that wait for no key, and what waited behind them."""
        freed = [waiting for record in records for waiting in self._let_go(record)]
        for record in records:
            held = self._keys.get(record.key)
            if held is None:
                freed.append(record)
            else:
                insort(held.behind, record, key=by_sequence)
        return freed

    def move_behind(self, records: Iterable[ChangeRecord]) -> None:
        """Records of batches whose key steps aside wait behind it: above the bound too, they were taken already."""
        for record in records:
            held = self._keys[record.key]
            held.count -= 1
            insort(held.behind, record, key=by_sequence)

    def _let_go(self, record: ChangeRecord) -> list[ChangeRecord]:
        held = self._keys[record.key]
        held.count -= 1
        return [] if held.count else self._keys.pop(record.key).behind
