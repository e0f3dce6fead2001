"""Sinks that write to memory: the optional contracts of a sink when nothing else is in the way.

Theory of operation: a `SimulatedTarget` is the far side and outlives its sinks, as a database does; every
call changes it in one step of the loop.
Rules of this file: the shortest code that keeps the contracts. For tests, and as an example for authors of
such sinks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from tailrace.app.sinking import AlwaysOpen
from tailrace.errors import LeaseLost, SettingsError
from tailrace.ports import Failed, Failure, Outcome, RecordBatch, TargetPosition, Written
from tailrace.runtime.owned_positions import held, is_committed
from tailrace.sinks.law import applies
from tailrace.streams.version import Version


@dataclass(slots=True)
class SimulatedTarget:
    """What sinks write to.

    Shape:   `rows` by item key, of a deleted one the version alone; `arrived` the sequence numbers of all
             that was applied, in order; `refused` are not taken.
    """

    refused: frozenset[int] = frozenset()
    rows: dict[bytes, tuple[Version, bytes | None]] = field(default_factory=dict)
    arrived: list[int] = field(default_factory=list)
    sources: dict[str, int] = field(default_factory=dict)
    positions: dict[tuple[str, str, str], TargetPosition] = field(default_factory=dict)

    def refusal(self, batch: RecordBatch) -> Failed | None:
        """What a target says that does not take all of a batch."""
        failures = {
            index: Failure(error="refused")
            for index, record in enumerate(batch.records)
            if record.sequence in self.refused
        }
        return Failed(whole=Failure(error=f"{len(failures)} records are refused")) if failures else None


class VersionedMemory(AlwaysOpen):
    """The newest image of each item, with its version."""

    def __init__(self, target: SimulatedTarget | None = None) -> None:
        self.target = target or SimulatedTarget()

    async def write(self, batch: RecordBatch) -> Outcome:
        """Apply what is newer than its row."""
        target = self.target
        if (refusal := target.refusal(batch)) is not None:
            return refusal
        for record in batch.records:
            there = target.rows.get(record.key)
            if applies(record.version, None if there is None else there[0]):
                gone = record.event_name == "REMOVE"
                target.rows[record.key] = (record.version, None if gone else record.new or b"")
        return Written()

    async def sources(self) -> Mapping[str, int]:
        """Which generation each source is."""
        return dict(self.target.sources)

    async def keep_sources(self, sources: Mapping[str, int]) -> None:
        """Keep these too. Raises: SettingsError."""
        for source, generation in sources.items():
            there = self.target.sources.get(source, generation)
            if there != generation:
                raise SettingsError(
                    f"{source} is generation {there} in the target and generation {generation} here: "
                    "they are not of one history"
                )
        self.target.sources.update(sources)


class TransactionalMemory(AlwaysOpen):
    """A log of what arrived, with the positions of its shards."""

    def __init__(self, target: SimulatedTarget | None = None) -> None:
        self.target = target or SimulatedTarget()

    async def write(self, batch: RecordBatch) -> Outcome:
        """Take what belongs to no position: a redriven change."""
        if (refusal := self.target.refusal(batch)) is not None:
            return refusal
        self.target.arrived += [record.sequence for record in batch.records]
        return Written()

    async def positions(self, mapping_id: str) -> Sequence[TargetPosition]:
        """What the target has of a mapping."""
        return [
            position for (mapping, _, _), position in self.target.positions.items() if mapping == mapping_id
        ]

    async def stamp(self, mapping_id: str, stream: str, shard_id: str, epoch: int) -> TargetPosition:
        """Raise the epoch. Raises: LeaseLost."""
        place = (mapping_id, stream, shard_id)
        there = self.target.positions.get(place, TargetPosition(stream, shard_id, 0))
        if there.epoch > epoch:
            raise LeaseLost(f"{shard_id} was taken under epoch {there.epoch}, this is {epoch}")
        self.target.positions[place] = stamped = TargetPosition(stream, shard_id, epoch, there.watermark)
        return stamped

    async def commit(self, batch: RecordBatch, position: TargetPosition) -> Outcome:
        """Write both or neither. Raises: LeaseLost."""
        place = (batch.mapping_id, position.stream, position.shard_id)
        if is_committed(self.target.positions.get(place), position):
            return Written()
        outcome = await self.write(batch)
        if isinstance(outcome, Written):
            self.target.positions[place] = replace(position, after=0)
        return outcome

    async def put_position(self, mapping_id: str, position: TargetPosition) -> None:
        """Let the target have the shard through that watermark. Raises: LeaseLost."""
        place = (mapping_id, position.stream, position.shard_id)
        there = held(self.target.positions.get(place), position)
        self.target.positions[place] = replace(there, watermark=position.watermark)
