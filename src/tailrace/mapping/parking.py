"""Parked keys as the machine sees them: which keys wait durably, and what is on its way to wait behind them.

Rules of this file: a record is settled as parked only when the state store has said so; of one key at most
one Park is outstanding, in order. The machine never unparks by itself: a key is free again when the redriver
says so (Redriven), or when a Park finds that it was unparked meanwhile. Called by keys.py and shard.py.
Source: architecture §5.3.
"""

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct, field

from tailrace.mapping.commands import GivenUp, ParkedHead, ParkKey
from tailrace.mapping.settings import MappingSettings
from tailrace.mapping.settlement import Settlement
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import NOTHING, Version

MOST_AT_ONCE: Final = 90
"""Changes of a key that are parked at once: one transaction, beside the head, takes no more."""


class ParkedKey(Struct):
    """One parked key. Shape: `first` to `tail` are durable, `count` of them; `queue` is not yet, `going` of
    it is asked for.
    """

    first: Version
    tail: Version = NOTHING
    count: int = 0
    queue: list[GivenUp] = field(default_factory=list)
    going: int = 0


class Parking:
    """All parked keys of one shard."""

    def __init__(
        self, settings: MappingSettings, settlement: Settlement, heads: Sequence[ParkedHead] = ()
    ) -> None:
        self._settings = settings
        self._settlement = settlement
        self._id = 0
        self._asked: dict[int, bytes] = {}
        self._ready: dict[bytes, None] = {}
        self.full: dict[bytes, None] = {}
        """Keys at their bound."""
        self.queued = 0
        """Records that wait to be parked."""
        self.keys: dict[bytes, ParkedKey] = {
            head.key: ParkedKey(head.first, head.tail, head.count) for head in heads
        }

    @property
    def in_flight(self) -> int:
        """Park commands that are not answered."""
        return len(self._asked)

    @property
    def blocked(self) -> str | None:
        """The bound that is reached, in words."""
        for key in self.full:
            return (
                f"a parked key has {self.keys[key].count} changes waiting, and max_per_key is "
                f"{self._settings.max_per_key}: "
                "`tailrace dlq ls` shows it, `tailrace dlq redrive` puts it back"
            )
        return None

    def has_room(self, key: bytes) -> bool:
        """Whether a failing key may be parked."""
        return key in self.keys or len(self.keys) < self._settings.max_keys

    # ---- what is to be parked ------------------------------------------------------------------------------

    def add(self, entry: GivenUp) -> None:
        """Park this record; its key is parked from now on."""
        key = entry.record.key
        parked = self.keys.setdefault(key, ParkedKey(entry.record.version))
        place = len(parked.queue)
        while place > parked.going and parked.queue[place - 1].record.version > entry.record.version:
            place -= 1
        parked.queue.insert(place, entry)
        self.queued += 1
        self._sort_out(key, parked)

    def divert(self, records: Sequence[ChangeRecord]) -> Sequence[ChangeRecord]:
        """Take the records of parked keys out of these; returns the others."""
        keys = self.keys
        if not any(record.key in keys for record in records):
            return records
        others: list[ChangeRecord] = []
        for record in records:
            parked = keys.get(record.key)
            if parked is None:
                others.append(record)
            elif record.version > parked.tail:
                self.add(GivenUp(record, "KeyParked", 0, None, 0, 0))
            else:
                # Read again after a restart. Before the first parked one, all of a key was handled: its order
                # says so.
                self._settlement.settle([record], "parked" if record.version >= parked.first else "handled")
        return others

    def _room(self, parked: ParkedKey) -> int:
        """How many more records of this key may be parked: one that failed, and max_per_key later ones."""
        return self._settings.max_per_key + 1 - parked.count

    def _sort_out(self, key: bytes, parked: ParkedKey) -> None:
        """Note whether this key has something to ask for, or is at its bound."""
        self._ready.pop(key, None)
        self.full.pop(key, None)
        if len(parked.queue) > self._room(parked):
            self.full[key] = None
        if parked.queue and not parked.going and self._room(parked) > 0:
            self._ready[key] = None

    def start(self, is_held: Callable[[bytes], bool]) -> list[ParkKey]:
        """Every Park that may be asked for now: not before the key's earlier dead letters are saved, and not
        while changes of it are in halves of batches that were not looked at since.
        """
        if not self._ready or self._settlement.has_unsaved_letters:
            return []
        commands = []
        for key in [key for key in self._ready if not is_held(key)]:
            del self._ready[key]
            parked = self.keys[key]
            parked.going = min(len(parked.queue), self._room(parked), MOST_AT_ONCE)
            self._id += 1
            self._asked[self._id] = key
            commands.append(ParkKey(self._id, key, tuple(parked.queue[: parked.going])))
        return commands

    # ---- what came of it -----------------------------------------------------------------------------------

    def done(self, id: int, *, is_free: bool) -> list[ChangeRecord]:
        """The state store has answered; returns the records that wait for no key any more."""
        key = self._asked.pop(id)
        parked = self.keys[key]
        if is_free:
            return self._free(key)
        gone, parked.queue = parked.queue[: parked.going], parked.queue[parked.going :]
        parked.tail, parked.going = gone[-1].record.version, 0
        parked.count += len(gone)
        self.queued -= len(gone)
        self._settlement.settle([entry.record for entry in gone], "parked")
        self._sort_out(key, parked)
        return []

    def failed(self, id: int) -> None:
        """Nothing was parked: it is asked for again."""
        key = self._asked.pop(id)
        self.keys[key].going = 0
        self._sort_out(key, self.keys[key])

    def redriven(self, key: bytes, version: Version) -> list[ChangeRecord]:
        """The redriver unparked a key. What it did not know of decides itself: a Park on its way, or a later
        parking.
        """
        parked = self.keys.get(key)
        if parked is None or parked.going or parked.tail > version or self._is_new(parked):
            return []
        return self._free(key)

    @staticmethod
    def _is_new(parked: ParkedKey) -> bool:
        """Whether the key is about to be parked and was not before."""
        return parked.tail == NOTHING

    def _free(self, key: bytes) -> list[ChangeRecord]:
        parked = self.keys.pop(key)
        self._ready.pop(key, None)
        self.full.pop(key, None)
        self.queued -= len(parked.queue)
        return [entry.record for entry in parked.queue]
