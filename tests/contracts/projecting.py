"""Several workers that fill, serve, remove and apply changes to the builds of one projection, over one state
store and one table.

Theory of operation: builds, projector and sink are the real ones; the table and its stream are a
dictionary and a list. Each worker sees the state store through a view of its own, every call of
which lets the others go first, and at any call of which a test may stop, stall or kill that
worker. Rules of this file: what is judged are the rows, after faults have stopped: they are the
fold over the table's items.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from random import Random
from typing import Any
from unittest import mock

import orjson

from tailrace import App, Item
from tailrace.app.projection import Projection
from tailrace.clocks.manual import ManualClock
from tailrace.errors import PortError, StoreError, Unavailable
from tailrace.leases.lease import Owner
from tailrace.ports import Action, ItemsPage, ProjectionStore, RecordBatch, StateStore, Written
from tailrace.projections.core.builds import builds_prefix, read_served, served_key
from tailrace.projections.core.journaled import HistoryChange
from tailrace.projections.core.known import KnownBuilds, is_there, known_key, read_known
from tailrace.projections.core.rows import GroupState, build_name, read_group_row, read_item_row
from tailrace.projections.run import from_journal, from_table, verifying
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
from tailrace.streams.version import Version
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


def projected(into: Any = None, version: int = 1, *, history: bool = False) -> Projection:
    """A projection of orders by country. Its function fails on items whose total is negative; with history it
    adds up all that ever was.
    """
    app = App(APP)
    orders = app.table("orders", pk="id")

    class Order(Item, table=orders):
        id: str
        country: str = "NL"
        total: Decimal = Decimal(0)

    def sales(total: Decimal, order: Order, sign: int) -> Decimal:
        if order.total < 0:
            raise ValueError("no such order")
        return total + (max(sign, 0) if history else sign) * order.total

    if history:
        app.archive(orders, "history/")
    app.projection(by=Order.country, id="sales", version=version, history=history)(sales)
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
        self.is_exact = False
        self.log: list[ChangeRecord] = []
        self.unsettled: dict[int, list[ChangeRecord]] = {0: [], 1: []}
        self.in_flight: set[int] = set()
        self.read_after: list[str] = []
        self.page_ms = 0
        """How long reading a page takes."""
        self.present: PresentItems | None = None
        """What reads items by keys, where pages may tell no position."""
        self.following = Following(self.oldest)

    def write(self, key: str, country: str | None, total: int = 1) -> None:
        """A change of an item; without a country it is removed, also where it is not there, unless what is
        written is exact.
        """
        if self.is_exact and country is None and key not in self.items:
            return
        self.last += 1
        keys = {"id": {"S": key}}
        new = None if country is None else {**keys, "country": {"S": country}, "total": {"N": str(total)}}
        old = self.items.pop(key, None)
        if new is not None:
            self.items[key] = new
        shard = ord(key[-1]) % 2
        self.log.append(
            change_record(
                sequence=self.last,
                shard=shard,
                created_ms=1,
                partition=1,
                key=key.encode(),
                keys=keys,
                old=orjson.dumps(old or {}) if old or new is None else None,
                new=None if new is None else orjson.dumps(new),
                size_bytes=9,
            )
        )
        self.unsettled[shard].append(self.log[-1])

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


BASE = "base"
"""The name of a journal's base among its files."""


class Journaled:
    """The journal of the table: what was written through some number, in segments of some names.

    Shape:   `through` is how far it is, `lacking` what it says that it lacks; `without` are numbers that it
             has not; while it `is_calm` it has everything within a second; `base` are rows of how items stood
             when it began, which may be behind changes that it has not yet.
    """

    def __init__(self, orders: Orders) -> None:
        self.orders = orders
        self.through = 0
        self.segments: dict[str, tuple[int, int]] = {}
        self.lacking: tuple[str, ...] = ()
        self.without: set[int] = set()
        self.base: list[HistoryChange] = []
        self.incarnation = "one"
        self.is_away = False
        self.is_calm = True

    @property
    def marks(self) -> "Journaled":
        """How far it is."""
        return self

    async def mark(self) -> int:
        await asyncio.sleep(0)
        return self.orders.last

    async def has_passed(self, mark: int) -> bool:
        await asyncio.sleep(0)
        return self.through >= mark

    def archive(self, through: int) -> None:
        """Have everything through that number."""
        if through > self.through:
            self.segments[f"{self.through}-{through}"] = (self.through, through)
            self.through = through

    def merge(self) -> None:
        """Let one segment have what all of them have."""
        self.segments = {f"merged-{self.through}": (0, self.through)} if self.through else {}

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Journaled"]:
        if self.is_away:
            raise Unavailable("the archive does not answer")
        yield self

    async def view(self) -> "JournaledView | None":
        await asyncio.sleep(0)
        return JournaledView(self) if self.through or self.base else None


class JournaledView:
    """The same as of now."""

    def __init__(self, journal: Journaled) -> None:
        self.incarnation = journal.incarnation
        self.lacking = journal.lacking
        self.files = frozenset((*journal.segments, BASE))
        self._base = tuple(journal.base)
        self._segments = dict(journal.segments)
        self._records = [record for record in journal.orders.log if record.sequence not in journal.without]

    async def total(self, *, is_newest: bool) -> int:
        return len(self._records)

    async def changes(
        self, *, is_newest: bool, first: bytes, end: bytes | None, without: frozenset[str]
    ) -> AsyncIterator[HistoryChange]:
        spans = [span for name, span in self._segments.items() if name not in without]
        changes = [
            HistoryChange(record.key, Version(1, record.sequence), record.old, record.new)
            for record in self._records
            if any(after < record.sequence <= through for after, through in spans)
            and record.key >= first
            and (end is None or record.key < end)
        ]
        if BASE not in without:
            changes += [row for row in self._base if row.key >= first and (end is None or row.key < end)]
        changes.sort(key=lambda change: (change.key, change.version))
        if is_newest:
            changes = list({change.key: change for change in changes}.values())
        for change in changes:
            await asyncio.sleep(0)
            yield change


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
        self.builds = Builds(
            APP, self.view, workshop.clock, self._store, Owner(name), present, lambda _: workshop.journal
        )
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
        self.journal: Journaled | None = None
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
            if self.journal is not None and self.journal.is_calm:
                self.journal.archive(self.orders.last)
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


async def by_chance(
    workshop: Workshop,
    seed: int,
    projection: Projection,
    meanwhile: Callable[[Random], None] = lambda _: None,
) -> None:
    """Workers start, die, stall and are cut off; changes come; builds are asked for; `meanwhile` may do more.
    Then faults stop.
    """
    chance = Random(seed)
    filled_table(workshop)

    def alive() -> list[Builder]:
        return [builder for builder in workshop.builders if not builder.is_dead]

    def start() -> None:
        worker = workshop.worker(projection)
        worker.run()

    start()
    start()
    for _ in range(60):
        if not alive():
            start()
        worker = chance.choice(alive())
        match chance.randrange(12):
            case 0 if len(alive()) < 4:
                start()
            case 1 if len(alive()) > 1:
                worker.view.at, worker.view.then = worker.view.calls + chance.randrange(1, 30), worker.kill
            case 2:
                worker.view.at, worker.view.then = worker.view.calls + chance.randrange(1, 30), worker.stall
            case 3:
                worker.view.is_going.set()
            case 4:
                worker.view.is_cut = not worker.view.is_cut
            case 5 if worker.view.is_going.is_set() and not worker.view.is_cut:
                worker.begin(rebuilt(worker))
            case 6:
                await workshop.rest(chance.choice((1, 12, 40)))
            case _:
                for _ in range(chance.randrange(1, 4)):
                    key = f"o{chance.randrange(ITEMS)}"
                    workshop.orders.write(key, chance.choice(("NL", "BE", "FR", None)), chance.randrange(9))
                worker.deliver(chance.randrange(2))
        meanwhile(chance)
        for _ in range(chance.randrange(40)):
            await asyncio.sleep(0)
    if not alive():
        start()
    for worker in workshop.builders:
        worker.view.is_cut = False
        worker.go_on()
    await workshop.settle(alive()[0])


async def rebuilt(worker: Builder) -> None:
    """Ask for another build, unless one is being filled."""
    with suppress(PortError):
        if not await worker.projector.is_being_filled(worker.projection):
            await worker.projector.rebuild(worker.projection)


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
        with (
            mock.patch.object(from_table, "PAGE", PAGE),
            mock.patch.object(verifying, "PAGE", PAGE),
            mock.patch.object(from_journal, "STEPS", PAGE),
        ):
            loop.run_until_complete(tell())
    finally:
        loop.close()
