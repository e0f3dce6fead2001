"""Several workers that fill, serve, remove and apply changes to the builds of one projection, over one state
store and one table.

Theory of operation: builds, projector and sink are the real ones; the table and its stream are a
dictionary and a list. Each worker sees the state store through a view of its own, every call of
which lets the others go first, and at any call of which a test may stop, stall or kill that
worker. Rules of this file: what is judged are the rows, after faults have stopped: they are the
fold over the table's items.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any
from unittest import mock

import orjson

from tailrace import App, Item
from tailrace.app.projection import Projection
from tailrace.clocks.manual import ManualClock
from tailrace.errors import PortError, StoreError
from tailrace.leases.lease import Owner
from tailrace.ports import Action, ItemsPage, ProjectionStore, RecordBatch, StateStore, Written
from tailrace.projections.core.builds import builds_prefix, read_served, served_key
from tailrace.projections.core.known import KnownBuilds, is_there, known_key, read_known
from tailrace.projections.core.rows import GroupState, build_name, read_group_row, read_item_row
from tailrace.projections.run import projector
from tailrace.projections.run.builds import Builds
from tailrace.projections.run.following import Following, PresentItems
from tailrace.projections.run.projector import Projector
from tailrace.projections.run.state_store import StateProjectionStore
from tailrace.rows.kinds import PROJECTION_GROUP, PROJECTION_ITEM, words_of
from tailrace.rows.writes import StateRow
from tailrace.runtime.parts import Parts
from tailrace.sinks.projected import ProjectionSink
from tailrace.stores.memory import MemoryStateStore
from tailrace.streams.record import ChangeRecord, change_record
from tailrace.testing.loop import SeededLoop
from tests.unit.sinks.batches import STREAM

APP = "shop"
PAGE = 2
ITEMS = 7
Fields = Mapping[str, Any]


class Elsewhere:
    """A place of its own that knows nothing of the state store."""

    table = "sales"

    def __init__(self) -> None:
        self.rows = MemoryStateStore()
        self.shown = ""


class _RowsElsewhere(StateProjectionStore):
    def __init__(self, place: Elsewhere, view: "View", name: str) -> None:
        super().__init__(view, APP, name)
        self._place, self._view, self._build = place, view, name

    async def serve(self) -> None:
        await self._view.pass_by()
        self._place.shown = self._build


def projected(into: Any = None, version: int = 1) -> Projection:
    """A projection of orders by country. Its function fails on items whose total is negative."""
    app = App(APP)
    orders = app.table("orders", pk="id")

    class Order(Item, table=orders):
        id: str
        country: str = "NL"
        total: Decimal = Decimal(0)

    def sales(total: Decimal, order: Order, sign: int) -> Decimal:
        if order.total < 0:
            raise ValueError("no such order")
        return total + sign * order.total

    app.projection(by=Order.country, id="sales", version=version)(sales)
    (projection,) = [mapping.projection for mapping in app.mappings if mapping.projection is not None]
    if into is not None:
        object.__setattr__(projection, "into", into)
    return projection


class Orders:
    """The table: its items, the number of its last change, and the changes that no worker has
    applied yet, by shard.
    """

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.items: dict[str, dict[str, Any]] = {}
        self.last = 0
        self.unsettled: dict[int, list[ChangeRecord]] = {0: [], 1: []}
        self.in_flight: set[int] = set()
        self.read_after: list[str] = []
        self.page_ms = 0
        """How long reading a page takes."""
        self.present: PresentItems | None = None
        """What reads items by keys, where pages may tell no position."""
        self.following = Following(self.oldest)

    def write(self, key: str, country: str | None, total: int = 1) -> None:
        """A change of an item; without a country it is removed."""
        self.last += 1
        keys = {"id": {"S": key}}
        new = None if country is None else {**keys, "country": {"S": country}, "total": {"N": str(total)}}
        if new is None:
            self.items.pop(key, None)
        else:
            self.items[key] = new
        data = None if new is None else orjson.dumps(new)
        shard = ord(key[-1]) % 2
        self.unsettled[shard].append(
            change_record(
                sequence=self.last,
                shard=shard,
                created_ms=1,
                partition=1,
                key=key.encode(),
                keys=keys,
                old=b"{}",
                new=data,
                size_bytes=9,
            )
        )

    async def page(
        self, table: str, after: Mapping[str, Any] | None, limit: int, segment: tuple[int, int] | None = None
    ) -> ItemsPage:
        """The next items."""
        await self.clock.sleep_until(self.clock.now().monotonic_ms + self.page_ms)
        await asyncio.sleep(0)
        first = "" if after is None else str(after["id"]["S"])
        self.read_after.append(first)
        keys = [key for key in sorted(self.items) if key > first]
        items = [(key.encode().hex(), {"id": {"S": key}}, self.items[key]) for key in keys[:limit]]
        return ItemsPage(items, self.last, {"id": {"S": keys[limit - 1]}} if len(keys) > limit else None)

    async def oldest(self, projection: Projection) -> int | None:
        """The first change that is not applied."""
        await asyncio.sleep(0)
        numbers = [record.sequence for records in self.unsettled.values() for record in records]
        return min(numbers, default=None)

    def place(self, name: str) -> str:
        """The key of an item as rows have it."""
        return name.encode().hex()

    def fold(self) -> dict[str, tuple[int, int]]:
        """Country → (how many items, their total)."""
        groups: dict[str, tuple[int, int]] = {}
        for item in self.items.values():
            country, total = item["country"]["S"], int(item["total"]["N"])
            count, so_far = groups.get(country, (0, 0))
            groups[country] = (count + 1, so_far + total)
        return groups


class View:
    """A store as one worker sees it. Shape: before call `at` the worker does what `then` says; `calls` counts
    them, those `of` another view with it.
    """

    def __init__(self, state: StateStore, of: "View | None" = None) -> None:
        self._state = state
        self._of = of
        self.calls = 0
        self.at: int | None = None
        self.then: Callable[[], None] = lambda: None
        self.is_cut = False
        self.is_going = asyncio.Event()
        self.is_going.set()

    async def pass_by(self) -> None:
        """One call."""
        if self._of is not None:
            await self._of.pass_by()
            return
        self.calls += 1
        if self.calls == self.at:
            self.then()
        await asyncio.sleep(0)
        await self.is_going.wait()
        if self.is_cut:
            raise StoreError("cut off")

    async def get(self, key: str) -> StateRow | None:
        await self.pass_by()
        return await self._state.get(key)

    async def query(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[StateRow]:
        await self.pass_by()
        return await self._state.query(prefix, after=after, limit=limit)

    async def transact(self, writes: Sequence[Action]) -> None:
        await self.pass_by()
        await self._state.transact(writes)


class Builder:
    """One worker: its builds, its projector, its sink."""

    def __init__(self, workshop: "Workshop", name: str, projection: Projection) -> None:
        self.workshop, self.projection = workshop, projection
        self.view = View(workshop.state)
        present = workshop.orders.present
        self.builds = Builds(APP, self.view, workshop.clock, self._store, Owner(name), present)
        self.sink = ProjectionSink(projection, self.builds, workshop.clock)
        parts = Parts(self.view, workshop.clock)
        self.projector = Projector(
            APP,
            [projection],
            self.builds,
            items=workshop.orders,
            parts=parts,
            following=workshop.orders.following,
        )
        self.tasks: list[asyncio.Task[Any]] = []
        self.is_dead = False

    def _store(self, projection: Projection, name: str) -> ProjectionStore:
        if projection.into is not None:
            return _RowsElsewhere(projection.into, View(projection.into.rows, self.view), name)
        return StateProjectionStore(
            self.view, APP, name, fence=is_there(APP, projection.id, name.partition("@v")[2])
        )

    def begin(self, work: Awaitable[Any]) -> asyncio.Task[Any]:
        """Do this beside everything else, until the worker is killed."""
        task = asyncio.ensure_future(work)
        self.tasks.append(task)
        return task  # type: ignore[return-value]

    def run(self) -> None:
        """Bring up what there is."""
        self.begin(self.projector.run())

    def kill(self) -> None:
        """End as a process does that is killed."""
        self.is_dead = True
        for task in self.tasks:
            task.cancel()

    def stall(self) -> None:
        """Nothing of it goes on until it is let go."""
        self.view.is_going.clear()

    def go_on(self) -> None:
        """Let it go, and let nothing befall it any more."""
        self.view.at = None
        self.view.is_going.set()

    def deliver(self, shard: int, most: int = 3) -> None:
        """Give it the next changes of a shard, unless another worker has them."""
        orders = self.workshop.orders
        if shard not in orders.in_flight and orders.unsettled[shard] and not self.is_dead:
            orders.in_flight.add(shard)
            task = self.begin(self._delivered(shard, orders.unsettled[shard][:most]))
            task.add_done_callback(lambda _: orders.in_flight.discard(shard))

    async def _delivered(self, shard: int, records: Sequence[ChangeRecord]) -> None:
        orders = self.workshop.orders
        try:
            outcome = await self.sink.write(
                RecordBatch(records, self.projection.mapping_id, STREAM, str(shard))
            )
            if isinstance(outcome, Written):
                left = orders.unsettled[shard]
                orders.unsettled[shard] = [record for record in left if record not in records]
        except PortError:
            pass  # delivered again, here or to another worker


class Workshop:
    """One table, one state store, and the workers."""

    def __init__(self, loop: SeededLoop, clock: ManualClock, state: StateStore | None = None) -> None:
        self.loop, self.clock = loop, clock
        self.state: StateStore = state or MemoryStateStore()
        self.orders = Orders(clock)
        self.builders: list[Builder] = []
        self.is_begun = False
        """For stories in which one of several workers does something."""

    def worker(self, projection: Projection) -> Builder:
        """One more."""
        builder = Builder(self, f"worker-{len(self.builders)}", projection)
        self.builders.append(builder)
        return builder

    async def rest(self, seconds: int = 3) -> None:
        """Let all go on that can, and time pass."""
        for _ in range(seconds):
            await self.loop.idle()
            self.clock.advance(1_000)
        await self.loop.idle()
        for builder in self.builders:
            for task in builder.tasks:
                if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                    raise error

    async def settle(self, worker: Builder) -> None:
        """Let a worker have all changes, and everything come to rest: longer than a claim lasts."""
        for _ in range(120):
            for shard in self.orders.unsettled:
                worker.deliver(shard)
            await self.rest(2)

    # ---- what the rows say ---------------------------------------------------------------------------------

    async def known(self) -> KnownBuilds:
        """Builds, what is served, and the revision."""
        rows = await self.state.query(builds_prefix(APP, "sales"))
        row, served = (
            await self.state.get(known_key(APP, "sales")),
            await self.state.get(served_key(APP, "sales")),
        )
        return read_known(APP, "sales", row, served, rows)

    async def names(self) -> list[str]:
        """What builds there are."""
        return [build.name for build in (await self.known()).builds]

    async def served(self) -> str | None:
        """The build that is asked."""
        row = await self.state.get(served_key(APP, "sales"))
        return read_served(None if row is None else row.fields)

    async def fold(self, build: str, rows: StateStore | None = None) -> dict[str, tuple[int, int]]:
        """What a build says."""
        prefix = PROJECTION_GROUP.prefix(APP, build_name("sales", build))
        groups: list[GroupState] = [
            read_group_row(row.fields) for row in await (rows or self.state).query(prefix)
        ]
        return {
            orjson.loads(group.key)["S"]: (group.count, int(group.state["N"]))
            for group in groups
            if group.count
        }

    async def with_rows(self, rows: StateStore | None = None) -> set[str]:
        """The builds of which there are any rows."""
        countries: set[str] = set()
        for kind in (PROJECTION_ITEM, PROJECTION_GROUP):
            countries |= {
                words_of(row.key)[2].partition("@v")[2]
                for row in await (rows or self.state).query(kind.prefix(APP))
            }
        return countries

    async def keys(self, build: str, rows: StateStore | None = None) -> set[str]:
        """The items that a build has."""
        prefix = PROJECTION_ITEM.prefix(APP, build_name("sales", build))
        items = [read_item_row(row.fields) for row in await (rows or self.state).query(prefix)]
        return {item.key for item in items if item.image is not None}

    async def check(self, rows: StateStore | None = None, *, is_swept: bool = True) -> None:
        """The build that is served is what the table says; there is no other, and nothing is left of those
        that went, where that `is_swept`.
        """
        known = await self.known()
        assert known.served is not None
        assert [build.name for build in known.builds] == [known.served], "one build is left, and is served"
        assert known.builds[0].is_filled
        assert await self.fold(known.served, rows) == self.orders.fold()
        assert await self.keys(known.served, rows) == {self.orders.place(name) for name in self.orders.items}
        if is_swept:
            assert await self.with_rows(rows) <= {known.served}, "rows of builds that are gone"
        assert not known.removing


def filled_table(workshop: Workshop) -> None:
    """Some items in two countries."""
    for number in range(ITEMS):
        workshop.orders.write(f"o{number}", "NL" if number % 2 else "BE", number)


def told(
    story: Callable[[Workshop], Awaitable[None]], seed: int = 0, state: StateStore | None = None
) -> None:
    """Run a story under an order that the seed chooses; pages are small."""
    clock = ManualClock()
    loop = SeededLoop(seed, clock)

    async def tell() -> None:
        workshop = Workshop(loop, clock, state)
        try:
            await story(workshop)
        finally:
            for builder in workshop.builders:
                builder.kill()
                builder.go_on()
            await loop.idle()

    try:
        with mock.patch.object(projector, "PAGE", PAGE):
            loop.run_until_complete(tell())
    finally:
        loop.close()
