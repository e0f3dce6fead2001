"""The optional contracts of sinks: what keeps versions, and what owns the checkpoint. The checks catch those
that do not.

Rules of this file: one canary a rule at least; a canary changes one thing about the sink in memory.
"""

import asyncio
from collections.abc import Callable, Mapping

import pytest
from msgspec import structs
from msgspec.structs import replace

from tailrace.errors import LeaseLost, SettingsError
from tailrace.ports import Outcome, RecordBatch, Sink, TargetPosition, Transactional, Versioned, Written
from tailrace.streams.version import Version
from tailrace.testing import check_sink, check_transactional_sink, check_versioned_sink
from tailrace.testing.contracts import transactional, versioned
from tailrace.testing.sinks import SimulatedTarget, TransactionalMemory, VersionedMemory
from tests.contracts.breaking import breaks


def versions(sink: VersionedMemory) -> Mapping[str, Version]:
    rows = sink.target.rows.items()
    return {key.decode(): version for key, (version, image) in rows if image is not None}


def over_the_same(sink: VersionedMemory) -> VersionedMemory:
    return type(sink)(sink.target)


def test_the_versioned_sink_in_memory_keeps_its_contract() -> None:
    check_versioned_sink(VersionedMemory, versions, again=over_the_same)
    assert isinstance(VersionedMemory(), Versioned)
    assert isinstance(VersionedMemory(), Sink)
    assert not isinstance(VersionedMemory(), Transactional)


class TakesWhateverComes(VersionedMemory):
    async def write(self, batch: RecordBatch) -> Outcome:
        for record in batch.records:
            self.target.rows[record.key] = (record.version, b"")
        return Written()


class RefusesWhatIsOld(VersionedMemory):
    async def write(self, batch: RecordBatch) -> Outcome:
        before = dict(self.target.rows)
        outcome = await super().write(batch)
        return (
            outcome
            if self.target.rows != before
            else self.target.refusal(replace(batch, records=[])) or _failed()
        )


def _failed() -> Outcome:
    raise ValueError("nothing was applied")


class ComparesSequences(VersionedMemory):
    async def write(self, batch: RecordBatch) -> Outcome:
        for record in batch.records:
            there = self.target.rows.get(record.key)
            if there is None or there[0].sequence < record.sequence:
                await super().write(replace(batch, records=[record]))
        return Written()


class ComparesTexts(VersionedMemory):
    """Of generations: "10" is less than "9"."""

    async def write(self, batch: RecordBatch) -> Outcome:
        for record in batch.records:
            there = self.target.rows.get(record.key)
            if there is None or (str(there[0].generation), there[0].sequence) < (
                str(record.generation),
                record.sequence,
            ):
                self.target.rows.pop(record.key, None)
                await super().write(replace(batch, records=[record]))
        return Written()


class KeepsFloats(VersionedMemory):
    async def write(self, batch: RecordBatch) -> Outcome:
        return await super().write(
            replace(
                batch,
                records=[
                    structs.replace(record, sequence=int(float(record.sequence))) for record in batch.records
                ],
            )
        )


class DeletesWhateverIsThere(VersionedMemory):
    async def write(self, batch: RecordBatch) -> Outcome:
        for record in batch.records:
            if record.event_name == "REMOVE":
                self.target.rows.pop(record.key, None)
        return await super().write(batch)


class ForgetsDeletions(VersionedMemory):
    async def write(self, batch: RecordBatch) -> Outcome:
        outcome = await super().write(batch)
        rows = self.target.rows
        for key in [key for key, (_, image) in rows.items() if image is None]:
            del rows[key]
        return outcome


class KeepsVersionsInItsProcess(VersionedMemory):
    def __init__(self, target: SimulatedTarget | None = None) -> None:
        super().__init__(target)
        self._newest: dict[bytes, Version] = {}

    async def write(self, batch: RecordBatch) -> Outcome:
        for record in batch.records:
            if record.event_name == "REMOVE":
                await super().write(replace(batch, records=[record]))
            elif self._newest.get(record.key, Version(0, 0)) < record.version:
                self._newest[record.key] = record.version
                self.target.rows[record.key] = (record.version, b"")
        return Written()


class ReplacesItsSources(VersionedMemory):
    async def keep_sources(self, sources: Mapping[str, int]) -> None:
        self.target.sources = dict(sources)


class TakesTheFirstOfTwoHistories(VersionedMemory):
    async def keep_sources(self, sources: Mapping[str, int]) -> None:
        self.target.sources.update(
            {name: number for name, number in sources.items() if name not in self.target.sources}
        )


class NamesOneOfTwo(VersionedMemory):
    async def keep_sources(self, sources: Mapping[str, int]) -> None:
        try:
            await super().keep_sources(sources)
        except SettingsError as error:
            raise SettingsError("2026-01-01 is generation 17 in the target") from error


class KeepsHalfOfWhatItRefuses(VersionedMemory):
    async def keep_sources(self, sources: Mapping[str, int]) -> None:
        for name, number in sources.items():
            await super().keep_sources({name: number})


VERSIONED: list[tuple[type[VersionedMemory], Callable[..., object]]] = [
    (TakesWhateverComes, versioned.the_newest_of_an_item_stays),
    (RefusesWhatIsOld, versioned.the_newest_of_an_item_stays),
    (ComparesSequences, versioned.generations_come_before_sequences),
    (ComparesTexts, versioned.generations_come_before_sequences),
    (KeepsFloats, versioned.wide_numbers_are_exact),
    (DeletesWhateverIsThere, versioned.an_older_deletion_deletes_nothing),
    (ForgetsDeletions, versioned.a_deletion_is_remembered),
    (KeepsVersionsInItsProcess, versioned.the_next_process_finds_the_versions),
    (ReplacesItsSources, versioned.sources_are_kept_beside_the_rows),
    (TakesTheFirstOfTwoHistories, versioned.another_history_is_refused),
    (NamesOneOfTwo, versioned.another_history_is_refused),
    (KeepsHalfOfWhatItRefuses, versioned.another_history_is_refused),
]


@pytest.mark.parametrize(("make", "rule"), VERSIONED)
def test_a_broken_versioned_sink_is_caught(make: type[VersionedMemory], rule: Callable[..., object]) -> None:
    breaks(rule, lambda: check_versioned_sink(make, versions, again=over_the_same))


# ---- what owns the checkpoint ------------------------------------------------------------------------------


def refusing(make: type[TransactionalMemory]) -> Callable[[frozenset[int]], TransactionalMemory]:
    return lambda refused: make(SimulatedTarget(refused))


def arrived(sink: TransactionalMemory) -> list[int]:
    return sink.target.arrived


def check(make: type[TransactionalMemory]) -> None:
    check_transactional_sink(refusing(make), arrived, again=lambda sink: make(sink.target))


def test_the_transactional_sink_in_memory_keeps_its_contracts() -> None:
    check(TransactionalMemory)
    check_sink(refusing(TransactionalMemory), arrived)
    assert isinstance(TransactionalMemory(), Transactional)
    assert not isinstance(TransactionalMemory(), Versioned)


class BeginsWhereverItIs(TransactionalMemory):
    async def stamp(self, mapping_id: str, stream: str, shard_id: str, epoch: int) -> TargetPosition:
        stamped = await super().stamp(mapping_id, stream, shard_id, epoch)
        return replace(stamped, watermark=stamped.watermark or 1)


class KeepsPositionsInItsProcess(TransactionalMemory):
    async def commit(self, batch: RecordBatch, position: TargetPosition) -> Outcome:
        outcome = await super().commit(batch, position)
        place = (batch.mapping_id, position.stream, position.shard_id)
        self.target.positions[place] = replace(position, watermark=0)
        return outcome


class MovesNothingWithoutRecords(TransactionalMemory):
    async def commit(self, batch: RecordBatch, position: TargetPosition) -> Outcome:
        return await super().commit(batch, position) if batch.records else Written()


class MovesThePositionFirst(TransactionalMemory):
    async def commit(self, batch: RecordBatch, position: TargetPosition) -> Outcome:
        outcome = await super().commit(batch, position)
        self.target.positions[batch.mapping_id, position.stream, position.shard_id] = position
        return outcome


class WritesUpToTheRefusal(TransactionalMemory):
    async def commit(self, batch: RecordBatch, position: TargetPosition) -> Outcome:
        outcome = await super().commit(batch, position)
        if not isinstance(outcome, Written) and batch.records[0].sequence not in self.target.refused:
            self.target.arrived.append(batch.records[0].sequence)
        return outcome


class WritesRepeats(TransactionalMemory):
    async def commit(self, batch: RecordBatch, position: TargetPosition) -> Outcome:
        there = self.target.positions.get((batch.mapping_id, position.stream, position.shard_id))
        if there is not None and there.epoch == position.epoch and position.watermark <= there.watermark:
            return await self.write(batch)
        return await super().commit(batch, position)


class GoesBack(TransactionalMemory):
    async def commit(self, batch: RecordBatch, position: TargetPosition) -> Outcome:
        outcome = await super().commit(batch, position)
        self.target.positions[batch.mapping_id, position.stream, position.shard_id] = position
        return outcome


class BeginsAnewWhenStamped(TransactionalMemory):
    async def stamp(self, mapping_id: str, stream: str, shard_id: str, epoch: int) -> TargetPosition:
        await super().stamp(mapping_id, stream, shard_id, epoch)
        stamped = self.target.positions[mapping_id, stream, shard_id] = TargetPosition(
            stream, shard_id, epoch
        )
        return stamped


class StampsAnything(TransactionalMemory):
    async def stamp(self, mapping_id: str, stream: str, shard_id: str, epoch: int) -> TargetPosition:
        there = self.target.positions.get((mapping_id, stream, shard_id), TargetPosition(stream, shard_id, 0))
        stamped = self.target.positions[mapping_id, stream, shard_id] = replace(there, epoch=epoch)
        return stamped


class ChecksNoEpoch(TransactionalMemory):
    async def commit(self, batch: RecordBatch, position: TargetPosition) -> Outcome:
        there = self.target.positions.get((batch.mapping_id, position.stream, position.shard_id), position)
        self.target.positions.setdefault(
            (batch.mapping_id, position.stream, position.shard_id), replace(there, watermark=0)
        )
        return await super().commit(batch, replace(position, epoch=there.epoch))


class ChecksForOlderEpochsOnly(TransactionalMemory):
    async def commit(self, batch: RecordBatch, position: TargetPosition) -> Outcome:
        there = self.target.positions.get((batch.mapping_id, position.stream, position.shard_id))
        if there is not None and position.epoch > there.epoch:
            position = replace(position, epoch=there.epoch)
        return await super().commit(batch, position)


class ChecksNoWatermark(TransactionalMemory):
    async def commit(self, batch: RecordBatch, position: TargetPosition) -> Outcome:
        return await super().commit(batch, replace(position, after=0))


class LetsPositionsAlonePass(TransactionalMemory):
    async def commit(self, batch: RecordBatch, position: TargetPosition) -> Outcome:
        return await super().commit(batch, position if batch.records else replace(position, after=0))


class RefusesWhatItHas(TransactionalMemory):
    async def commit(self, batch: RecordBatch, position: TargetPosition) -> Outcome:
        there = self.target.positions.get((batch.mapping_id, position.stream, position.shard_id))
        if position.after and there is not None and there.watermark != position.after:
            raise LeaseLost
        return await super().commit(batch, position)


class ChecksThenWrites(TransactionalMemory):
    async def commit(self, batch: RecordBatch, position: TargetPosition) -> Outcome:
        place = (batch.mapping_id, position.stream, position.shard_id)
        there = self.target.positions.get(place)
        if there is None or there.epoch != position.epoch:
            raise LeaseLost
        if position.watermark <= there.watermark:
            return Written()
        await asyncio.sleep(0)
        outcome = await self.write(batch)
        if isinstance(outcome, Written):
            self.target.positions[place] = replace(position, epoch=self.target.positions[place].epoch)
        return outcome


class KnowsNoStreams(TransactionalMemory):
    async def stamp(self, mapping_id: str, stream: str, shard_id: str, epoch: int) -> TargetPosition:
        return replace(await super().stamp(mapping_id, "", shard_id, epoch), stream=stream)

    async def commit(self, batch: RecordBatch, position: TargetPosition) -> Outcome:
        return await super().commit(batch, replace(position, stream=""))

    async def positions(self, mapping_id: str) -> list[TargetPosition]:
        return [
            replace(position, stream="2026-01-01T00:00:00.000")
            for position in await super().positions(mapping_id)
        ]


class PutsForwardsOnly(TransactionalMemory):
    async def put_position(self, mapping_id: str, position: TargetPosition) -> None:
        there = self.target.positions.get((mapping_id, position.stream, position.shard_id), position)
        await super().put_position(
            mapping_id, replace(position, watermark=max(position.watermark, there.watermark))
        )


class PutsUnderAnyEpoch(TransactionalMemory):
    async def put_position(self, mapping_id: str, position: TargetPosition) -> None:
        place = (mapping_id, position.stream, position.shard_id)
        there = self.target.positions.get(place)
        if there is None:
            raise LeaseLost
        self.target.positions[place] = replace(position, epoch=there.epoch)


class RemovesRowsBehindIt(TransactionalMemory):
    async def put_position(self, mapping_id: str, position: TargetPosition) -> None:
        await super().put_position(mapping_id, position)
        self.target.arrived[:] = [number for number in self.target.arrived if number <= position.watermark]


TRANSACTIONAL: list[tuple[type[TransactionalMemory], Callable[..., object]]] = [
    (BeginsWhereverItIs, transactional.a_new_shard_begins_at_its_beginning),
    (KeepsPositionsInItsProcess, transactional.rows_and_position_come_together),
    (MovesNothingWithoutRecords, transactional.rows_and_position_come_together),
    (MovesThePositionFirst, transactional.a_refused_batch_leaves_both),
    (WritesUpToTheRefusal, transactional.a_refused_batch_leaves_both),
    (WritesRepeats, transactional.a_repeated_commit_is_written_once),
    (GoesBack, transactional.a_repeated_commit_is_written_once),
    (BeginsAnewWhenStamped, transactional.a_stamp_keeps_the_watermark),
    (ChecksNoWatermark, transactional.nothing_is_committed_behind_a_hole),
    (LetsPositionsAlonePass, transactional.nothing_is_committed_behind_a_hole),
    (RefusesWhatItHas, transactional.nothing_is_committed_behind_a_hole),
    (StampsAnything, transactional.a_stamp_keeps_the_watermark),
    (ChecksNoEpoch, transactional.nothing_is_committed_under_another_epoch),
    (ChecksForOlderEpochsOnly, transactional.nothing_is_committed_under_another_epoch),
    (ChecksThenWrites, transactional.a_commit_is_before_a_stamp_or_lost),
    (KnowsNoStreams, transactional.places_are_apart),
    (PutsForwardsOnly, transactional.a_position_is_put_as_told),
    (PutsUnderAnyEpoch, transactional.a_position_is_put_as_told),
    (RemovesRowsBehindIt, transactional.a_position_is_put_as_told),
]


@pytest.mark.parametrize(("make", "rule"), TRANSACTIONAL)
def test_a_broken_transactional_sink_is_caught(
    make: type[TransactionalMemory], rule: Callable[..., object]
) -> None:
    breaks(rule, lambda: check(make))


def test_every_rule_has_a_canary() -> None:
    assert {rule for _, rule in VERSIONED} == set(versioned.RULES)
    assert {rule for _, rule in TRANSACTIONAL} == set(transactional.RULES)
