"""Builds of a projection whose table says with no page as of which position it is, as AWS and Alternator do:
pages are slow, items change and go between a page and its answer, changes of before a build come again after
it, workers stall, die and are cut off. Whatever happens, one build is left, and it is what the table says.

Rules of this file: builders, claims, sinks and rows are the real ones; the table and its stream are
projecting.py's. A canary for each way to be wrong.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from random import Random
from typing import Any
from unittest import mock

import orjson
import pytest
from msgspec.structs import replace

from tailrace.errors import PortError, SourceError, Unavailable
from tailrace.ports import ItemsPage, RecordBatch
from tailrace.projections.core import timed
from tailrace.projections.core.builds import Build
from tailrace.projections.core.rows import AppliedItem, RowChange
from tailrace.projections.run import from_table
from tailrace.projections.run.following import Following
from tailrace.projections.run.state_store import StateProjectionStore
from tailrace.projections.run.verifying import verify
from tailrace.rows.writes import Write
from tailrace.sinks import projected as projected_sink
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import Version
from tailrace.values.types import Item
from tests.contracts.projecting import Orders, Workshop, by_chance, filled_table, projected, told
from tests.contracts.test_builders_by_chance import lost
from tests.unit.sinks.batches import STREAM

SEEDS = range(40)
OLD = 6
"""Items whose changes were settled before there was a build."""


class Present:
    """Reads by keys, with answers that take their time."""

    def __init__(self, orders: "UntoldOrders") -> None:
        self._orders = orders

    async def tells_positions(self, table: str) -> bool:
        """It does not."""
        return False

    async def items(self, table: str, keys: Sequence[Item]) -> Sequence[Item | None]:
        """The items as they are between question and answer."""
        orders = self._orders
        await orders.on_the_way()
        if orders.is_away:
            raise SourceError("nothing answers")
        names = [str(key["id"]["S"]) for key in keys]
        orders.reads.append(len(names))
        images = [orders.items.get(name) for name in names]
        await orders.on_the_way()
        return images


class UntoldOrders(Orders):
    """A table whose pages tell no position, and whose changes may come again. Shape: `missing` are shards
    whose start is not durable yet.
    """

    def __init__(self, workshop: Workshop, seed: int) -> None:
        super().__init__(workshop.clock)
        self.workshop, self.chance = workshop, Random(seed)
        self.present = Present(self)
        self.following = Following(self.oldest, lambda _: self, self.has_begun)
        self.history: list[ChangeRecord] = []
        self.missing: set[int] = set()
        self.reads: list[int] = []
        self.is_answering = asyncio.Event()
        self.is_answering.set()
        self.replays = self.overtaken = 0
        self.is_replaying, self.is_away = True, False
        for number in range(OLD):
            self.write(f"p{number}", "NL", number)
            self.write(f"p{number}", "BE", number + 1)
        self.settle_all()

    def settle_all(self) -> None:
        """Every change there is was handled, before there was a build."""
        for records in self.unsettled.values():
            records.clear()

    def write(self, key: str, country: str | None, total: int = 1) -> None:
        """A change, known to the second; now and then of an old item, or an old change comes again."""
        if self.workshop.builders and self.chance.random() < 0.4:
            key = f"p{self.chance.randrange(OLD)}"
        super().write(key, country, total)
        records = self.unsettled[ord(key[-1]) % 2]
        created_us = self.clock.now().wall_ms // 1_000 * 1_000_000
        records[-1] = replace(records[-1], created_us=created_us)
        self.history.append(records[-1])
        if self.is_replaying and self.chance.random() < 0.3:
            self.replay(self.chance.choice(self.history))

    def replay(self, record: ChangeRecord) -> None:
        """A change that was settled comes again: a duplicate of a worker that has lost its shard, a dead
        letter that is put back.
        """
        alive = [builder for builder in self.workshop.builders if not builder.is_dead]
        if record in self.unsettled[record.shard] or not alive:
            return
        self.replays += 1
        builder = self.chance.choice(alive)
        batch = RecordBatch([record], builder.projection.mapping_id, STREAM, str(record.shard))

        async def again() -> None:
            with suppress(PortError):
                await builder.sink.write(batch)

        builder.begin(again())

    async def page(
        self, table: str, after: Any, limit: int, segment: tuple[int, int] | None = None
    ) -> ItemsPage:
        """The next items, whose answer takes its time; the table goes on meanwhile."""
        page = await super().page(table, after, limit, segment)
        last = self.last
        await self.on_the_way()
        await self.is_answering.wait()
        if self.is_replaying and page.items and self.chance.random() < 0.4:
            name = orjson.loads(orjson.dumps(self.chance.choice(page.items)[1]))["id"]["S"]
            self.write(name, self.chance.choice(("FR", None, None)), 7)
            await self.on_the_way()
        self.overtaken += self.last > last
        return ItemsPage(page.items, None, page.after)

    async def on_the_way(self) -> None:
        """Time in which others go on."""
        for _ in range(self.chance.randrange(25)):
            await asyncio.sleep(0)

    async def has_begun(self, projection: Any) -> bool:
        """Whether every shard's start is durable."""
        return not self.missing

    async def mark(self) -> int:
        """The present of the table's server."""
        return self.clock.now().wall_ms

    async def has_passed(self, mark: int) -> bool:
        """Whether no change of before is open."""
        await asyncio.sleep(0)
        times = [record.created_ms for records in self.unsettled.values() for record in records]
        return min(times, default=mark + 1) > mark


def checked(seed: int) -> UntoldOrders:
    """One run by chance. Raises: AssertionError unless one build is left, and is what the table says."""
    seen: list[UntoldOrders] = []

    async def story(workshop: Workshop) -> None:
        workshop.orders = orders = UntoldOrders(workshop, seed)
        seen.append(orders)
        await by_chance(workshop, seed, projected())
        orders.is_replaying = False
        for record in orders.chance.sample(orders.history, 20):
            orders.replay(record)
        await workshop.rest(70)
        await workshop.check()
        (build,) = (await workshop.known()).builds
        assert build.is_timed

    told(story, seed)
    return seen[0]


@contextmanager
def margin(milliseconds: int) -> Iterator[None]:
    """Another bound of what clocks may differ by; those of a run do not differ at all."""
    with mock.patch.object(timed, "MARGIN_MS", milliseconds):
        yield


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_the_build_that_is_left_is_what_the_table_says(seed: int) -> None:
    with margin((timed.MARGIN_MS, 0)[seed % 2]):
        checked(seed)


def test_the_runs_by_chance_see_what_they_are_for() -> None:
    runs = [checked(seed) for seed in range(5)]
    assert sum(orders.replays for orders in runs) > 50
    assert sum(orders.overtaken for orders in runs) > 10
    assert sum(len(orders.reads) for orders in runs) > 50


# ---- canaries ----------------------------------------------------------------------------------------------


def is_detected(bound_ms: int = timed.MARGIN_MS) -> bool:
    """Whether some seed detects what is broken now."""
    for seed in reversed(SEEDS):
        try:
            with margin(bound_ms):
                checked(seed)
        except AssertionError:
            return True
    return False


def test_changes_of_before_a_build_that_are_applied_as_they_were_are_detected() -> None:
    assert is_detected(-(1 << 60))


def test_the_time_at_which_a_build_was_begun_is_detected_as_too_early() -> None:
    """Its row may have been written much later, and what came between is not delivered to it."""

    def may_precede(created_ms: int, build: Build) -> bool:
        return build.is_timed and created_ms < build.begun_ms

    with (
        mock.patch.object(timed, "may_precede", may_precede),
        mock.patch.object(projected_sink, "may_precede", may_precede),
    ):
        assert is_detected()


def removed_while_a_page_is_on_its_way() -> None:
    """A page has an item whose removal is delivered before the page arrives."""

    async def story(workshop: Workshop) -> None:
        workshop.orders = orders = UntoldOrders(workshop, 1)
        orders.is_replaying = False
        filled_table(workshop)
        orders.settle_all()
        orders.is_answering.clear()
        worker = workshop.worker(projected())
        worker.run()
        await workshop.rest(2)
        Orders.write(orders, "o1", None)
        worker.deliver(1)
        await workshop.rest(2)
        assert not orders.unsettled[1]
        orders.is_answering.set()
        await workshop.settle(worker)
        await workshop.check()

    told(story)


def test_a_page_brings_no_item_back_that_was_removed_while_it_was_on_its_way() -> None:
    removed_while_a_page_is_on_its_way()


def test_a_removed_item_that_is_not_remembered_is_detected() -> None:
    commit = StateProjectionStore.commit

    def forgetful(change: RowChange) -> list[RowChange]:
        after = change.after
        if not isinstance(after, AppliedItem) or after.image is not None:
            return [change]
        return [] if change.before is None else [RowChange(change.before, None)]

    async def forgotten(self: StateProjectionStore, changes: Sequence[RowChange]) -> None:
        if left := [remaining for change in changes for remaining in forgetful(change)]:
            await commit(self, left)

    with mock.patch.object(StateProjectionStore, "commit", forgotten), pytest.raises(AssertionError):
        removed_while_a_page_is_on_its_way()


def test_pages_that_count_as_newer_than_changes_are_detected() -> None:
    with mock.patch.object(from_table, "page_version", lambda read_us: Version(9, read_us)):
        assert is_detected()


def test_items_that_were_read_before_the_builds_were_asked_for_are_detected() -> None:
    """As if what is there were kept from the batch before."""
    cached: dict[str, Item | None] = {}
    items = Present.items

    async def stale(self: Present, table: str, keys: Sequence[Item]) -> Sequence[Item | None]:
        for key, image in zip(keys, await items(self, table, keys), strict=True):
            cached.setdefault(f"{id(self)} {key}", image)
        return [cached[f"{id(self)} {key}"] for key in keys]

    with mock.patch.object(Present, "items", stale):
        assert is_detected()


# ---- starts ------------------------------------------------------------------------------------------------


def late_start(*, is_waited_for: bool) -> None:
    """A shard's start becomes durable after the worker has begun, and what was in it by then is lost without
    a word, as what is trimmed from a shard that was never begun.
    """

    async def story(workshop: Workshop) -> None:
        workshop.orders = orders = UntoldOrders(workshop, 1)
        orders.is_replaying = False
        filled_table(workshop)
        orders.settle_all()
        if is_waited_for:
            orders.missing = {1}
        worker = workshop.worker(projected())
        worker.run()
        await workshop.rest(10)
        assert ((await workshop.known()).builds[0].filled == 0) is is_waited_for
        orders.write("o1", "FR", 8)
        orders.write("o3", None)
        orders.settle_all()
        orders.missing = set()
        await workshop.settle(worker)
        await workshop.check()

    told(story)


def test_the_first_page_waits_until_the_start_of_every_shard_is_durable() -> None:
    late_start(is_waited_for=True)


def test_a_start_of_after_the_first_page_is_detected() -> None:
    with pytest.raises(AssertionError):
        late_start(is_waited_for=False)


# ---- gaps, outages, comparisons ----------------------------------------------------------------------------


async def filled(workshop: Workshop) -> tuple[UntoldOrders, Any]:
    """A table without positions, and a worker that has built its projection."""
    workshop.orders = orders = UntoldOrders(workshop, 1)
    orders.is_replaying = False
    filled_table(workshop)
    worker = workshop.worker(projected())
    worker.run()
    await workshop.settle(worker)
    return orders, worker


@pytest.mark.parametrize("is_acknowledged", [False, True])
def test_what_the_stream_has_lost_is_answered_by_one_build(is_acknowledged: bool) -> None:
    async def story(workshop: Workshop) -> None:
        orders, worker = await filled(workshop)
        orders.write("o1", "FR", 5)
        gap = replace(lost(workshop), until_ms=orders.clock.now().wall_ms)
        if is_acknowledged:
            gap = gap.acknowledged(orders.clock.now().wall_ms)
        key = gap.key("shop", worker.projection.mapping_id)
        await workshop.state.transact([Write(key, gap.fields())])
        await workshop.settle(worker)
        await workshop.settle(worker)
        await workshop.check()
        assert await workshop.served() == "1.1"

    told(story)


def test_a_table_that_cannot_be_read_holds_changes_back_and_no_attempt_is_used() -> None:
    async def story(workshop: Workshop) -> None:
        orders, worker = await filled(workshop)
        orders.is_away = True
        orders.write("o1", "FR", 5)
        (record,) = orders.unsettled[1]
        batch = RecordBatch([record], worker.projection.mapping_id, STREAM, "1")
        with pytest.raises(Unavailable, match="could not read its items: nothing answers"):
            await worker.sink.write(batch)
        orders.is_away = False
        await workshop.settle(worker)
        await workshop.check()

    told(story)


def test_several_changes_of_an_item_in_a_batch_are_one_read() -> None:
    async def story(workshop: Workshop) -> None:
        orders, worker = await filled(workshop)
        before = len(orders.reads)
        for total in range(3):
            orders.write("o1", "FR", total)
        worker.deliver(1)
        await workshop.rest(1)
        assert orders.reads[before:] == [1]
        orders.clock.advance(timed.MARGIN_MS)
        orders.write("o1", "FR", 9)
        worker.deliver(1)
        await workshop.rest(1)
        assert orders.reads[before:] == [1], "a change of surely after the build is applied as it is"
        await workshop.check()

    told(story)


def test_a_comparison_names_what_differs_and_waits_for_what_is_on_its_way() -> None:
    async def story(workshop: Workshop) -> None:
        orders, worker = await filled(workshop)
        store = worker.builds.store(worker.projection, "1")

        async def compared() -> Any:
            return await verify(
                worker.projection,
                store,
                worker.projector.items,
                worker.projector.following,
                workshop.clock,
                frozenset(),
            )

        assert (await compared()).count == 0
        orders.write("o1", "FR", 5)
        judged = asyncio.ensure_future(compared())
        await workshop.rest(1)
        worker.deliver(1)
        await workshop.rest(2)
        assert (judged.result().count, judged.result().in_flight) == (0, 0)
        orders.items["o2"] = {**orders.items["o2"], "total": {"N": "77"}}
        wrong = await compared()
        assert [difference.kind for difference in wrong.differences] == ["item"]

    told(story)


def test_a_build_that_was_begun_with_positions_is_not_filled_without_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story(workshop: Workshop) -> None:
        workshop.orders = orders = UntoldOrders(workshop, 1)
        orders.is_replaying = False
        orders.present = None
        filled_table(workshop)
        worker = workshop.worker(projected())
        worker.run()
        await workshop.settle(worker)
        (build,) = (await workshop.known()).builds
        assert not build.is_timed
        assert not build.filled

    told(story)
    said = [record.getMessage() for record in caplog.records if "tells none any more" in record.getMessage()]
    assert len(said) == 1


def test_a_worker_that_cannot_read_the_table_applies_nothing_to_a_build_of_a_fleet() -> None:
    async def story(workshop: Workshop) -> None:
        orders, worker = await filled(workshop)
        orders.present = None
        other = workshop.worker(worker.projection)
        orders.write("o1", "FR", 5)
        batch = RecordBatch(orders.unsettled[1], worker.projection.mapping_id, STREAM, "1")
        with pytest.raises(Unavailable, match="does not read its table"):
            await other.sink.write(batch)

    told(story)
