"""Stamp, then load: what a worker that comes to a shard knows, in every order in which its steps and those of
the owner before can meet.

Theory of operation: the steps of two or three owners are played over one store in memory, one call at a time.
A schedule says whose call is next; all schedules are tried. Afterwards everything that an owner before has
made durable must be known to the newest one. The planted orders at the end are what these tests are there
for: each must be noticed. Rules of this file: the steps are the production code's, but for the planted ones.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from msgspec import structs

from tailrace.clocks.manual import ManualClock
from tailrace.deadletters.core.evacuated import Evacuation, copied
from tailrace.deadletters.core.head import parked
from tailrace.errors import LeaseLost, StateConflict, StoreError
from tailrace.leases import checkpoint
from tailrace.leases.checkpoint import CheckpointRow, Ledger, raised, read_row
from tailrace.leases.lease import lease_key
from tailrace.leases.lineage import KnownShards
from tailrace.mapping.commands import Checkpoint, GivenUp, ParkedHead, ParkKey, SaveCheckpoint, Settled, Start
from tailrace.ports import Action, Failure, Now, Shard
from tailrace.rows.kinds import MAPPING
from tailrace.rows.writes import Always, Check, Equals, StateRow, Write
from tailrace.runtime import starting
from tailrace.runtime.delivering import MappingShard, Settling, letter_of, park
from tailrace.runtime.starting import checkpoint_of, enter, load_start, outdated_reason, stamp, take_lease
from tailrace.runtime.steps import Call, Get, Steps, Transact
from tailrace.stores.memory import MemoryStateStore
from tailrace.streams.record import change_record
from tailrace.streams.version import NOTHING, Version
from tailrace.testing.simulation_rows import SimulatedRows
from tests.unit.runtime.performed import performed
from tests.unit.sinks.batches import record

PLACE = MappingShard("shop", "note", "orders", "label", "shardId-1")
SHARD = Shard("shardId-1", 5, hash_range=(0, 2**64 - 1), before=0)
LEASE = lease_key("shop", "label", "shardId-1")
FAILED = GivenUp(record(7, "a"), "RetryAttemptsExhausted", 6, Failure(error="no"), 10, 20)
OLD_ROW = {"v": 1, "epoch": 3, "watermark": 8, "ranges": [[12, 13]], "finished": False}
OLD_LEDGER = {"v": 1, "totals": {"handled": 2}, "ranges": [[4, 4, 1, "filtered"]], "detail_from": 0}


# ---- where it begins ---------------------------------------------------------------------------------------


def begun_in(
    state: MemoryStateStore, place: MappingShard, shard: Shard, epoch: int = 1, gone: int = 0
) -> CheckpointRow:
    return asyncio.run(performed(state, enter(place, shard, KnownShards(), epoch, 0), gone=gone))


def test_a_new_mapping_begins_with_the_oldest_record_there_is_and_writes_that_down() -> None:
    state = MemoryStateStore()
    row = begun_in(state, PLACE, SHARD, gone=40)
    assert (row.watermark, row.epoch, row.hashes) == (40, 1, PLACE.hashes)
    assert begun_in(state, PLACE, SHARD, epoch=2, gone=90).watermark == 40, "what was trimmed since is a gap"


def test_a_new_mapping_begins_with_what_any_worker_has_saved_of_the_records_that_are_gone() -> None:
    state, source = MemoryStateStore(), ("arn", PLACE.stream_label, "NEW_AND_OLD_IMAGES", "us-east-1")
    nothing = Evacuation("shop", "note", "orders", source, SHARD, 4, 4)  # type: ignore[arg-type]
    _, writes = copied(nothing, 4, [record(7, "a")], through=7, closed=False, shard=SHARD, trimmed=False)
    asyncio.run(state.transact(writes))
    assert begun_in(state, PLACE, SHARD, gone=40).watermark == 4


def test_one_that_followed_the_parent_insists_on_everything() -> None:
    state = MemoryStateStore()
    child = Shard("shardId-2", 50, ("shardId-1",), hash_range=(0, 1), before=0)
    place = structs.replace(PLACE, shard_id="shardId-2")
    finished = CheckpointRow(1, 0, 9, finished=True)
    asyncio.run(state.transact([Write(PLACE.checkpoint_key, finished.fields())]))
    assert begun_in(state, place, child, gone=70).watermark == 49


def test_one_that_followed_an_older_ancestor_insists_on_what_came_after_it() -> None:
    state = MemoryStateStore()
    later = Shard("shardId-9", 50, ("shardId-8",), hash_range=(0, 1), before=30)
    row = CheckpointRow(1, 0, 9, created_ms=77)
    asyncio.run(state.transact([Write(PLACE.checkpoint_key, row.fields())]))
    begun = begun_in(state, structs.replace(PLACE, shard_id="shardId-9"), later, gone=70)
    assert (begun.watermark, begun.created_ms) == (9, 77)


def test_a_start_knows_the_parked_keys_of_its_own_hashes_and_no_others() -> None:
    """Or the keys of every other shard would count against its bound, and be told as its own."""
    shard = Shard("shardId-1", 5, hash_range=(10, 19), before=0)

    async def main() -> None:
        state = MemoryStateStore()
        for number, partition in enumerate((9, 10, 19, 20), 1):
            change = change_record(
                sequence=number,
                shard=3,
                created_ms=1,
                partition=partition,
                key=b"%d" % partition,
                keys={"id": {"S": "a"}},
                old=None,
                new=b"{}",
                size_bytes=2,
            )
            letter = letter_of(PLACE, GivenUp(change, "RetryAttemptsExhausted", 1, Failure(), 0, 0), "")
            await state.transact(list(parked("shop", "note", None, [letter], 0)))
        start = await performed(state, load_start(PLACE, shard, CheckpointRow(1)))
        assert start.parked == (
            ParkedHead(b"10", Version(1, 2), Version(1, 2), 1),
            ParkedHead(b"19", Version(1, 3), Version(1, 3), 1),
        )

    asyncio.run(main())


def test_a_pause_binds_only_the_version_of_the_code_that_paused() -> None:
    row = CheckpointRow(1, 0, 9, suspended=("f", "ValueError: no", 5, "v1"))

    async def main() -> None:
        state = MemoryStateStore()
        same = await performed(state, load_start(PLACE, SHARD, row, "v1"))
        other = await performed(state, load_start(PLACE, SHARD, row, "v2"))
        assert (same.checkpoint.suspended is None, other.checkpoint.suspended) == (False, None)
        assert outdated_reason(row, "v1") is None
        assert outdated_reason(row, "v2") == row.suspended

    asyncio.run(main())


# ---- the stamp ---------------------------------------------------------------------------------------------


def test_the_stamp_takes_an_older_versions_ledger_into_the_row_and_removes_its_own() -> None:
    async def main() -> None:
        state = MemoryStateStore()
        await state.transact([Write(PLACE.checkpoint_key, OLD_ROW), Write(PLACE.ledger_key, OLD_LEDGER)])
        stamped = await performed(state, stamp(PLACE, 4))
        assert stamped is not None
        assert (stamped.watermark, stamped.ranges, stamped.epoch) == (8, ((12, 13),), 4)
        assert stamped.ledger == Ledger({"handled": 2}, ((4, 4, 1, "filtered"),))
        assert await state.get(PLACE.ledger_key) is None
        row = await state.get(PLACE.checkpoint_key)
        assert row is not None
        assert read_row(row.fields) == stamped

    asyncio.run(main())


# ---- a mapping that is new ---------------------------------------------------------------------------------

DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("began_ms", "watermark"),
    [(DAY_MS + 1, 80), (DAY_MS, 59), (1, 59), (None, 59)],
    ids=["a moment less than a day ago", "a day ago", "long ago", "an older version did not say it"],
)
def test_a_mapping_that_is_new_has_lost_nothing_in_its_second_shard_either(
    began_ms: int | None, watermark: int
) -> None:
    """At AWS the oldest shards of a listing continue shards that are gone, and have lost their beginnings:
    who began today was told of a gap in all of them but the first.
    """
    state, clock = MemoryStateStore(), ManualClock()
    clock.set(2 * DAY_MS)
    first, second = (
        Shard(name, number, (f"before-{name}",), stream="label") for name, number in (("a", 50), ("b", 60))
    )
    known = KnownShards.of([first, second], (), ("label",))
    row = {"v": 1, "id": "note", "table": "orders"} | ({} if began_ms is None else {"began_ms": began_ms})
    asyncio.run(state.transact([Write(MAPPING.key("shop", "note"), row)]))
    for shard, gone, begun in ((first, 70, 70), (second, 80, watermark)):
        steps = enter(far_place(shard.shard_id), shard, known, 1, DAY_MS)
        assert asyncio.run(performed(state, steps, clock, gone=gone)).watermark == begun


@pytest.mark.parametrize(("age_ms", "watermark"), [(DAY_MS - 3_600_000, 80), (DAY_MS - 3_600_001, 59)])
def test_a_shard_that_is_younger_than_what_is_trimmed_is_not_asked_for_its_oldest_record(
    age_ms: int, watermark: int
) -> None:
    state, clock = MemoryStateStore(), ManualClock()
    clock.set(3 * DAY_MS)
    row = {"v": 1, "id": "note", "table": "orders", "began_ms": 3 * DAY_MS}
    asyncio.run(state.transact([Write(MAPPING.key("shop", "note"), row)]))
    keep(state, CheckpointRow(1, 0, 7), far_place("other"))
    new = Shard("new", 60, ("before",), stream="label", created_ms=3 * DAY_MS - age_ms)
    known = KnownShards.of([new, Shard("other", 1, stream="label")], (), ("label",))
    begun = asyncio.run(performed(state, enter(far_place("new"), new, known, 1, DAY_MS), clock, gone=80))
    assert begun.watermark == watermark


# ---- among thousands of shards -----------------------------------------------------------------------------


class Read(MemoryStateStore):
    """Counts the rows that it gives."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = self.calls = 0

    async def get(self, key: str) -> StateRow | None:
        row = await super().get(key)
        self.rows, self.calls = self.rows + (row is not None), self.calls + 1
        return row

    async def query(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[StateRow]:
        rows = await super().query(prefix, after=after, limit=limit)
        self.rows, self.calls = self.rows + len(rows), self.calls + 1
        return rows


def far_place(shard_id: str, label: str = "label") -> MappingShard:
    return MappingShard("shop", "note", "orders", label, shard_id)


def keep(state: MemoryStateStore, row: CheckpointRow, *places: MappingShard) -> None:
    async def kept() -> None:
        for place in places:
            await state.transact([Write(place.checkpoint_key, row.fields())])

    asyncio.run(kept())


@pytest.mark.parametrize("parents", [(), ("gone",)])
@pytest.mark.parametrize("others", [10, 1_000])
def test_what_a_shard_reads_to_begin_does_not_grow_with_what_the_mapping_reads(
    others: int, parents: tuple[str, ...]
) -> None:
    state = Read()
    listed = [Shard(f"shard-{number:04d}", 1, stream="label") for number in range(others)]
    keep(state, CheckpointRow(1, 0, 3), *(far_place(shard.shard_id) for shard in listed))
    new = Shard("new", 5, parents, stream="label")
    known = KnownShards.of([*listed, new], (), ("label",))
    asked = enter(far_place("new"), new, structs.replace(known, vanished=()), 1, 0)
    assert asyncio.run(performed(state, asked)).watermark == 4
    assert (state.rows, state.calls < 20) == (1 + (not parents), True)


def test_a_shard_that_does_not_know_what_is_gone_reads_all_that_the_mapping_has() -> None:
    """The canary of the test above."""
    state = Read()
    listed = {f"shard-{number}": Shard(f"shard-{number}", 1, stream="label") for number in range(300)}
    keep(state, CheckpointRow(1, 0, 3), *map(far_place, listed))
    new = Shard("new", 5, ("gone",), stream="label")
    asyncio.run(performed(state, enter(far_place("new"), new, KnownShards(listed, {}, ("label",)), 1, 0)))
    assert state.rows > 300


@pytest.mark.parametrize("vanished", [None, ("gone-1", "gone-2")])
def test_where_a_shard_of_a_lost_line_begins_is_the_same_however_what_is_gone_is_known(
    vanished: tuple[str, ...] | None,
) -> None:
    state = MemoryStateStore()
    for shard_id, watermark in (("gone-1", 30), ("gone-2", 20), ("other", 10)):
        keep(state, CheckpointRow(1, 0, watermark), far_place(shard_id))
    keep(state, CheckpointRow(1, 0, 5), far_place("gone-9", "another"))
    new = Shard("new", 50, ("lost",), stream="label")
    listed = {"new": new, "other": Shard("other", 1, stream="label")}
    known = KnownShards(listed, {}, ("label", "another"), vanished)
    assert asyncio.run(performed(state, enter(far_place("new"), new, known, 1, 0))).watermark == 20


def test_streams_that_are_gone_are_found_among_those_that_are_there() -> None:
    state = MemoryStateStore()
    labels = ("a", "a-1", "a0", "b", "label", "label2", "z")
    for label in labels:
        for number in range(3):
            keep(state, CheckpointRow(1, 0, 7, finished=number == 2), far_place(f"{label}/{number}", label))
    new = Shard("new", 50, stream="label")
    known = KnownShards({"new": new}, {}, ("a", "b", "label", "z"))
    asyncio.run(performed(state, enter(far_place("new"), new, known, 1, 0)))
    gaps = {row.fields["shard_id"] for row in asyncio.run(state.query("gap/"))}
    assert gaps == {f"{label}/{number}" for label in ("a-1", "a0", "label2") for number in range(2)}


def test_a_later_epoch_means_that_the_lease_is_lost() -> None:
    async def main() -> None:
        state = MemoryStateStore()
        await performed(state, enter(PLACE, SHARD, KnownShards(), 5, 0))
        with pytest.raises(LeaseLost):
            await performed(state, stamp(PLACE, 4))
        with pytest.raises(LeaseLost):
            await performed(state, enter(PLACE, SHARD, KnownShards(), 4, 0))

    asyncio.run(main())


def test_taking_a_lease_stamps_every_mapping_that_was_here() -> None:
    other, new = structs.replace(PLACE, mapping_id="other"), structs.replace(PLACE, mapping_id="new")

    async def main() -> None:
        state = MemoryStateStore()
        for place in (PLACE, other):
            await performed(state, enter(place, SHARD, KnownShards(), 1, 0))
        lease, stamped = await performed(state, take_lease(LEASE, "me", [PLACE, other, new]))
        assert {key: row.epoch for key, row in stamped.items()} == {
            PLACE.checkpoint_key: lease.epoch,
            other.checkpoint_key: lease.epoch,
        }
        assert await state.get(new.checkpoint_key) is None, "it begins only after its parents"

    asyncio.run(main())


def test_who_dies_half_stamped_leaves_a_lease_that_the_next_one_stamps_whole() -> None:
    other = structs.replace(PLACE, mapping_id="other")

    class Dies(MemoryStateStore):
        async def transact(self, writes: Sequence[Action]) -> None:
            if any(isinstance(write, Write) and write.key == other.checkpoint_key for write in writes):
                raise StoreError("the process ends here")
            await super().transact(writes)

    async def main() -> None:
        state = Dies()
        await performed(state, enter(PLACE, SHARD, KnownShards(), 1, 0))
        await MemoryStateStore.transact(state, [Write(other.checkpoint_key, CheckpointRow(1, 4, 9).fields())])
        with pytest.raises(StoreError):
            await performed(state, take_lease(LEASE, "first", [PLACE, other]))
        state.__class__ = MemoryStateStore  # type: ignore[assignment]
        lease, stamped = await performed(state, take_lease(LEASE, "second", [PLACE, other]))
        assert {row.epoch for row in stamped.values()} == {lease.epoch}
        assert len(stamped) == 2

    asyncio.run(main())


def test_a_lease_whose_row_was_forgotten_begins_above_the_epochs_of_its_checkpoints() -> None:
    async def main() -> None:
        state = MemoryStateStore()
        await performed(state, enter(PLACE, SHARD, KnownShards(), 7, 0))
        lease, stamped = await performed(state, take_lease(LEASE, "me", [PLACE]))
        assert (lease.epoch, stamped[PLACE.checkpoint_key].epoch) == (8, 8)

    asyncio.run(main())


# ---- owners that meet --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Owner:
    """One worker's steps, one call at a time. Shape: `result` is what they came to, also when
    another worker was faster.
    """

    steps: Steps[Any]
    call: Call | None = None
    result: Any = None
    is_over: bool = False

    def go(self, rows: SimulatedRows) -> None:
        """Carry out one call, and go to the next."""
        try:
            call = self.call or next(self.steps)
            try:
                answer = rows.answer(call, Now(1, 1))
            except StateConflict as error:
                self.call = self.steps.throw(error)
            else:
                self.call = self.steps.send(answer)
        except StopIteration as end:
            self.result, self.is_over = end.value, True
        except (LeaseLost, StateConflict) as error:
            self.result, self.is_over = error, True


def schedules(owners: Callable[[], list[Owner]]) -> Iterator[tuple[SimulatedRows, list[Owner]]]:
    """Every order in which the calls of these owners can come, played to its end; an owner of epoch 1 has
    come as far as 5.
    """
    prefixes: list[tuple[int, ...]] = [()]
    while prefixes:
        prefix, playing = prefixes.pop(), owners()
        rows = SimulatedRows({PLACE.checkpoint_key: FIRST.fields()})
        rows[LEASE] = {"v": 1, "owner": "old", "counter": 1, "epoch": 1}
        for number in prefix:
            playing[number].go(rows)
        left = [number for number, owner in enumerate(playing) if not owner.is_over]
        if not left:
            yield rows, playing
        prefixes += [(*prefix, number) for number in left]


@dataclass(frozen=True, slots=True)
class Way:
    """How owners work: the production's way, or a planted one."""

    come: Callable[[str], Steps[Start]]
    save: Callable[[CheckpointRow], Steps[None]]
    park: Callable[[CheckpointRow], Steps[bool]]


FIRST = CheckpointRow(1, 3, 5, ledger=Ledger({"handled": 5}))
LATER = SaveCheckpoint(
    Checkpoint(9, finished=True), (Settled(6, 9, 4, "handled"),), (FAILED,), ((FAILED.record.key, NOTHING),)
)


def come(owner: str) -> Steps[Start]:
    """As worker/worker.py does."""
    _, stamped = yield from starting.take_lease(LEASE, owner, [PLACE])
    return (yield from load_start(PLACE, SHARD, stamped[PLACE.checkpoint_key]))


def save(begun: CheckpointRow) -> Steps[None]:
    return Settling(PLACE, begun).save(LATER)


def park_one(begun: CheckpointRow) -> Steps[bool]:
    return park(PLACE, PLACE.fence(begun.epoch), ParkKey(1, FAILED.record.key, (FAILED,)), "")


RIGHT = Way(come, save, park_one)


def wrong_in(way: Way) -> set[str]:
    """What goes wrong in any order, when a worker comes while the owner before saves or parks, and when two
    come at once.
    """
    wrong: set[str] = set()
    for rows, (_, new) in schedules(lambda: [Owner(way.save(FIRST)), Owner(way.come("new"))]):
        wrong |= set(not_known(rows, new.result))
    for rows, (_, new) in schedules(lambda: [Owner(way.park(FIRST)), Owner(way.come("new"))]):
        wrong |= set(not_known(rows, new.result))
    for rows, _ in schedules(lambda: [Owner(way.come("second")), Owner(way.come("third"))]):
        if read_row(rows[PLACE.checkpoint_key]).epoch != rows[LEASE]["epoch"]:
            wrong.add("the row has not the epoch of the lease")
    return wrong


def not_known(rows: SimulatedRows, start: object) -> Iterator[str]:
    """What an owner before has made durable, and the newest does not know."""
    assert isinstance(start, Start)
    durable = read_row(rows[PLACE.checkpoint_key])
    if checkpoint_of(durable) != start.checkpoint:
        yield "it does not begin at what is durable"
    if durable.epoch != 2:
        yield "the row has not the epoch of the lease"
    if {bytes.fromhex(row["key"]) for key, row in rows.items() if key.startswith("head/")} != {
        head.key for head in start.parked
    }:
        yield "a parked key is not known"
    letters = [key for key in rows if key.startswith("deadletter/")]
    if len(letters) != len(start.passed):
        yield "a key with a dead letter is not known"
    if bool(letters) != durable.finished:
        yield "what was saved is undone"


def test_whatever_the_owner_before_makes_durable_is_known_to_the_next_one_in_every_order() -> None:
    assert wrong_in(RIGHT) == set()


def test_there_are_orders_in_which_the_owner_before_is_faster_and_in_which_it_is_not() -> None:
    """Or the test above would judge one case only."""
    ends = [
        (type(old.result), new.result.checkpoint.watermark)
        for _, (old, new) in schedules(lambda: [Owner(save(FIRST)), Owner(come("new"))])
    ]
    assert set(ends) == {(type(None), 9), (LeaseLost, 5)}


# ---- planted orders, each of which must be noticed ---------------------------------------------------------


def loads_before_it_stamps(owner: str) -> Steps[Start]:
    early = yield from load_start(PLACE, SHARD, FIRST)
    _, stamped = yield from take_lease(LEASE, owner, [PLACE])
    return structs.replace(early, checkpoint=checkpoint_of(stamped[PLACE.checkpoint_key]))


def begins_at_what_it_read_before_the_stamp(owner: str) -> Steps[Start]:
    row: StateRow = yield Get(PLACE.checkpoint_key)
    yield from take_lease(LEASE, owner, [PLACE])
    return (yield from load_start(PLACE, SHARD, read_row(row.fields)))


def a_late_letter(begun: CheckpointRow) -> Steps[None]:
    """The letters come after the checkpoint, and nothing holds them back."""
    checkpoint, *beside = next(iter(Settling(PLACE, begun).save(LATER))).writes  # type: ignore[union-attr]
    yield Transact((checkpoint,))
    yield Transact(tuple(beside))


def a_late_head(begun: CheckpointRow) -> Steps[bool]:
    fence = Check(PLACE.checkpoint_key, Always())
    return park(PLACE, fence, ParkKey(1, FAILED.record.key, (FAILED,)), "")


def a_save_without_its_condition(begun: CheckpointRow) -> Steps[None]:
    checkpoint, *beside = next(iter(Settling(PLACE, begun).save(LATER))).writes  # type: ignore[union-attr]
    yield Transact((structs.replace(checkpoint, condition=Always()), *beside))  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("way", "noticed"),
    [
        (replace(RIGHT, come=loads_before_it_stamps), "a parked key is not known"),
        (
            replace(RIGHT, come=begins_at_what_it_read_before_the_stamp),
            "it does not begin at what is durable",
        ),
        (replace(RIGHT, save=a_late_letter), "a key with a dead letter is not known"),
        (replace(RIGHT, park=a_late_head), "a parked key is not known"),
        (replace(RIGHT, save=a_save_without_its_condition), "the row has not the epoch of the lease"),
    ],
    ids=["load before stamp", "begin before stamp", "late letter", "late head", "unfenced save"],
)
def test_a_planted_order_is_noticed(way: Way, noticed: str) -> None:
    assert noticed in wrong_in(way)


def test_a_stamp_of_an_older_epoch_over_a_newer_one_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(place: MappingShard, epoch: int) -> Steps[CheckpointRow]:
        while True:
            row: StateRow = yield Get(place.checkpoint_key)
            stamped, write = raised(row, epoch, None)
            try:
                yield Transact((write,))
            except StateConflict:
                continue
            return stamped

    monkeypatch.setattr(starting, "stamp", wrong)
    assert "the row has not the epoch of the lease" in wrong_in(RIGHT)


def test_a_stamp_that_looks_at_the_epoch_alone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner before saves under the epoch that was read, and its checkpoint would be put back."""
    monkeypatch.setattr(checkpoint, "unchanged", lambda fields: Equals("epoch", fields["epoch"]))
    assert wrong_in(RIGHT) == {"what was saved is undone"}
