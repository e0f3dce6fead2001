"""What a plan says is what the real worker does: on a manual clock, with handlers that take virtual time,
each call, each batch and each moment is the same, to the millisecond.

Rules of this file: the worker is the production one of a test world, its engine, source, driver and
checkpoints included. Of one instant the world carries out its answers before what is written in it, in the
order in which they were asked for; where a seed shuffles them, traffic is taken in which no two meet.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace as replaced
from random import Random

import pytest
from msgspec import Struct
from msgspec.structs import replace

from tailrace import App, Batch, Change
from tailrace.app.table import Table, schema_of
from tailrace.engine.engine import Engine
from tailrace.mapping.settings import MappingSettings
from tailrace.planning.core.durations import Duration, ServiceTimes, constant, read_service
from tailrace.planning.core.interpreter import PlannedHandler, PlannedReads, PlanRun
from tailrace.planning.core.measures import PlanFigures, PlannedCall
from tailrace.planning.core.sweep import PlannedSetting
from tailrace.planning.core.traffic import Arrivals, KeyPlace, PlannedTraffic, traffic_of
from tailrace.ports import ReadDone, Shard, StreamRef
from tailrace.runtime.pacing import Pacer
from tailrace.runtime.polling import PolledSource, ShardPage
from tailrace.sources.embedded import EmbeddedSource
from tailrace.testing import World
from tailrace.testing.loop import SeededLoop


class Write(Struct, frozen=True):
    """One change of a test: when, and to which item. Units: milliseconds from the beginning."""

    at_ms: int
    item: int


class Case(Struct, frozen=True):
    """What is compared. Shape: `times` say what a batch takes, by its first change and its size."""

    writes: tuple[Write, ...]
    settings: MappingSettings
    shards: int
    times: ServiceTimes
    length_ms: int


Seen = list[tuple[tuple[int, ...], int, int]]
"""Batches by the numbers of their changes, and when they began and ended, in milliseconds."""


def write_all(world: World, orders: Table, writes: Sequence[Write]) -> None:
    """Each at its time, with its number."""
    world.advance(0)
    for number, write in enumerate(writes, 1):
        if write.at_ms > (now_ms := world.clock.now().monotonic_ms):
            world.advance(write.at_ms - now_ms)
        world.put(orders, {"id": f"o{write.item}", "n": number})


def really(case: Case, monkeypatch: pytest.MonkeyPatch | None, seed: int) -> tuple[Seen, list[int]]:
    """What the worker does, and how old each change was when it was handled."""
    if monkeypatch is not None:
        monkeypatch.setattr(SeededLoop, "_arrange", lambda loop: None)
    app, seen, lags = App("shop"), Seen(), []
    orders = app.table("orders", pk="id")

    @app.batch(orders, id="note")
    async def note(batch: Batch) -> None:
        begun = world.clock.now().monotonic_ms
        numbers = tuple(int(change.new["n"]) for change in batch if change.new is not None)
        # The engine's numbers are others than the plan's.
        records = [
            replace(change.record, sequence=number) for change, number in zip(batch, numbers, strict=True)
        ]
        await world.clock.sleep_until(begun + case.times.of(records) // 1_000)
        ended = world.clock.now()
        seen.append((numbers, begun, ended.monotonic_ms))
        lags.extend(ended.wall_ms - change.record.created_ms for change in batch)

    declared = app._declared.mappings
    declared["note"] = replaced(declared["note"], settings=replace(case.settings, id="note"))
    with World(app, seed=seed, shards=case.shards) as world:
        write_all(world, orders, case.writes)
        world.advance(case.length_ms - world.clock.now().monotonic_ms)
    return sorted(seen), sorted(lags)


def traffic(case: Case) -> PlannedTraffic:
    app = App("shop")
    schema = schema_of(app.table("orders", pk="id"))
    items: list[KeyPlace] = []
    for number in range(max(write.item for write in case.writes) + 1):
        target = schema.locate_key({"id": {"S": f"o{number}"}})
        items.append(KeyPlace(target.key_bytes, b"{}", target.partition))
    arrivals = Arrivals([write.at_ms for write in case.writes], [write.item for write in case.writes])
    return traffic_of(
        "test", arrivals, items, case.shards, 1_767_225_600_000, case.length_ms * 1_000, item_bytes=100
    )


def predicted(case: Case, reads: PlannedReads | None = None) -> tuple[Seen, list[int], PlanFigures]:
    """What the plan says of the same. Shape: `reads` None: as the embedded engine is read."""
    calls: list[PlannedCall] = []
    setting = PlannedSetting({}, case.settings, case.shards)
    run = PlanRun(setting, traffic(case), PlannedHandler(case.times), reads or PlannedReads(), calls.append)
    for _ in run.run():
        pass
    at = {number: write.at_ms for number, write in enumerate(case.writes, 1)}
    seen = sorted((call.sequences, call.begun_us // 1_000, call.ended_us // 1_000) for call in calls)
    lags = sorted(call.ended_us // 1_000 - at[number] for call in calls for number in call.sequences)
    return seen, lags, run.figures()


SETTINGS: dict[str, Callable[[Random], MappingSettings]] = {
    "key": lambda random: MappingSettings(
        "note",
        concurrency=random.randint(1, 5),
        batch_size=random.choice((1, 3, 10, 100)),
        batching_window_ms=random.choice((0, 0, 700)),
        buffer_records=random.choice((5, 40, 2_000)),
    ),
    "lane": lambda random: MappingSettings.for_lambda(
        "note",
        ParallelizationFactor=random.randint(1, 10),
        BatchSize=random.choice((1, 3, 10, 100)),
        MaximumBatchingWindowInSeconds=random.choice((0, 0, 1)),
        buffer_records=random.choice((5, 40, 2_000)),
    ),
    "shard": lambda random: MappingSettings(
        "note", order="shard", on_failure="discard", batch_size=random.choice((1, 5, 50))
    ),
}


def drawn(order: str, seed: int, *, spread_ms: int) -> Case:
    """Traffic of a few items, a hot one among them, in bursts and pauses. Shape: with a large `spread_ms`
    hardly anything meets.
    """
    random = Random(seed)
    at_ms, writes = 0, []
    for _ in range(random.randint(20, 120)):
        at_ms += random.choice((0, 0, 1, random.randint(1, spread_ms)))
        item = 0 if random.random() < 0.3 else random.randint(1, 12)
        writes.append(Write(at_ms, item))
    duration = random.choice(("20ms", "exp:50ms", "p50=10ms,p99=200ms", "30ms/call+2ms/change"))
    times = read_service(duration, "call", seed)
    # Whole milliseconds: the clock of the worker knows no less.
    times = ServiceTimes(whole(times.per_call), whole(times.per_change), times.seed)
    return Case(tuple(writes), SETTINGS[order](random), random.choice((1, 1, 2, 4)), times, at_ms + 60_000)


def whole(part: Duration | None) -> Duration | None:
    return (
        None if part is None else replace(part, quantiles=tuple(us // 1_000 * 1_000 for us in part.quantiles))
    )


TRIED = [(order, seed) for order in SETTINGS for seed in range(10)]
"""What is compared with the real worker: a plan that says something else of one of them is caught."""


@pytest.mark.parametrize(("order", "seed"), TRIED)
def test_a_plan_says_each_call_of_the_real_worker(
    order: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = drawn(order, seed, spread_ms=60)
    seen, lags = really(case, monkeypatch, seed)
    told, told_lags, figures = predicted(case)
    assert told == seen
    assert told_lags == lags
    assert len(lags) == len(case.writes) == figures.handled
    assert (figures.invocations, figures.left) == (len(seen), 0)


class AskedSource(EmbeddedSource):
    """The engine's streams as another server's are read: a page when it is asked for, and no waiting."""

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        return self._engine.log.read(shard, after, limit)

    async def shard_page(self, stream: StreamRef, start: str) -> ShardPage:
        return ShardPage(await self.shards(stream), "", True)

    async def children(self, stream: StreamRef, shard_id: str) -> list[Shard]:
        return []

    async def can_be_read(self, stream: StreamRef, shard_id: str) -> bool:
        return True


@pytest.mark.parametrize(("order", "seed"), TRIED)
def test_a_plan_of_a_worker_reads_at_the_pace_of_a_worker(
    order: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def polled(engine: Engine, around: object, table: Table) -> PolledSource:
        return PolledSource(AskedSource(engine, table.name), engine.clock, Pacer(), confirm=False)

    monkeypatch.setattr("tailrace.compose_worker._source", polled)
    case = drawn(order, seed, spread_ms=60)
    # What a worker asks as it begins takes a place among the reads of the first second.
    late = replace(case, writes=tuple(replace(write, at_ms=write.at_ms + 5_000) for write in case.writes))
    late = replace(late, length_ms=late.length_ms + 5_000)
    seen, lags = really(late, monkeypatch, seed)
    told, told_lags, figures = predicted(late, PlannedReads(Pacer))
    assert told == seen
    assert told_lags == lags
    assert figures.handled == len(case.writes)
    assert figures.parts[0] > 0


def meets(case: Case) -> bool:
    """Whether two things happen in one instant whose order could matter."""
    seen, _, _ = predicted(case)
    ends = [ended for _, _, ended in seen]
    times = ends + list({write.at_ms for write in case.writes})
    return len(set(times)) < len(times)


def apart(order: str) -> Iterator[Case]:
    """Cases in which nothing meets."""
    cases = (drawn(order, seed, spread_ms=9_000) for seed in range(1_000))
    return (case for case in cases if not case.settings.batching_window_ms and not meets(case))


@pytest.mark.parametrize("order", SETTINGS)
def test_where_nothing_meets_the_order_of_a_loop_does_not_matter(order: str) -> None:
    for seed, case in zip(range(3), apart(order), strict=False):
        assert predicted(case)[:2] == really(case, None, seed)


def test_a_handler_of_single_changes_takes_the_sum_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SeededLoop, "_arrange", lambda loop: None)
    app, ends = App("shop"), dict[int, int]()
    orders = app.table("orders", pk="id")

    @app.on(orders, concurrency=2)
    async def note(change: Change) -> None:
        assert change.new is not None
        await world.clock.sleep_until(world.clock.now().monotonic_ms + 7)
        ends[int(change.new["n"])] = world.clock.now().monotonic_ms

    case = drawn("key", 5, spread_ms=20)
    case = replace(case, settings=MappingSettings("note", concurrency=2), shards=1,
                   times=ServiceTimes(None, constant("7ms", 7_000)))  # fmt: skip
    with World(app, seed=1) as world:
        write_all(world, orders, case.writes)
        world.settle()
    told: dict[int, int] = {}
    for sequences, begun, _ in predicted(case)[0]:
        told |= {sequence: begun + 7 * place for place, sequence in enumerate(sequences, 1)}
    assert told == ends


def test_a_plan_that_reads_before_it_answers_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [drawn(order, seed, spread_ms=60) for order, seed in TRIED]
    told = [predicted(case)[0] for case in cases]
    monkeypatch.setattr("tailrace.planning.core.interpreter.ARRIVALS", -2)
    assert [predicted(case)[0] for case in cases] != told


def test_a_plan_that_saves_before_it_reads_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [drawn(order, seed, spread_ms=60) for order, seed in TRIED]
    told = [predicted(case)[0] for case in cases]
    monkeypatch.setattr("tailrace.planning.core.interpreter.SAVING", 0)
    assert [predicted(case)[0] for case in cases] != told


def test_a_plan_that_forgets_a_buffer_is_caught() -> None:
    case = drawn("key", 6, spread_ms=60)
    wide = replace(case, settings=replace(case.settings, buffer_records=2_000))
    assert predicted(wide)[0] != predicted(case)[0]
