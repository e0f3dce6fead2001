"""Simulated worlds of journals: a table that is written to, workers that archive it, merges and clean-ups
beside them, and what happens to all of them.

Theory of operation: engine, workers, archivers, manifests, merges and readers are the production code, in a
test world of their own time. A seed draws the steps. Two workers of one app are two apps of one name, each
with a way of its own to the archive; one that stands still there is taken to be gone, its shards are taken by
the other, and what it has begun arrives when it goes on. The stream forgets after two hours, so that a day of
trims is short; a whole manifest comes every seven deltas.
Rules of this file: it judges by journal_law.py and by what the table was, moment by moment. Called by
test_journals.py, test_canaries_of_journals.py and `python -m tests.simulation --journals`.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from random import Random
from typing import Any, Final, TypeVar
from unittest.mock import patch

import orjson
from msgspec import Struct
from msgspec.structs import replace

from tailrace.app.app import App
from tailrace.compose_worker import WorkerOptions, build_worker
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.engine.query import ScanRequest
from tailrace.errors import TailraceError, Unavailable
from tailrace.journal.core.heads import TreeHead
from tailrace.journal.core.past import PastState, image
from tailrace.journal.core.places import incarnation_folder, journaled_table, streams_of
from tailrace.journal.run.merging import Merger
from tailrace.journal.run.opening import opened_journal, opened_names
from tailrace.journal.run.past import PastReader
from tailrace.journal.run.reading import JournalReader
from tailrace.journal.run.verifying import head_of_view, verified
from tailrace.leases.lease import Owner
from tailrace.leases.member import Identity
from tailrace.sources.embedded_log import EmbeddedLog
from tailrace.testing import Unsettled, World
from tailrace.testing.loop import SeededLoop
from tailrace.testing.world import PACE_MS
from tailrace.worker.worker import Worker
from tests.simulation.journal_archive import CALM, SharedArchive, Way, Weather
from tests.simulation.journal_law import TABLE, Acknowledged, Truth, head_faults, journal_faults

T = TypeVar("T")
HOUR_MS: Final = 3_600_000
SETTINGS: Final = EngineSettings(retention_ms=2 * HOUR_MS, rollover_ms=HOUR_MS // 2)
LOOK_MS: Final = HOUR_MS // 3
"""How often the truth is looked at while time passes."""
SILENCE_MS: Final = HOUR_MS // 2
"""After so long without a heartbeat a worker is taken to be gone; one beats every ten minutes."""
KEYS: Final = 6
HELD: Final = 1 << 30
"""Bytes: more than a world has."""
PAGE: Final = 3
"""Items of a page, and rows of a segment of a base."""
FULL_EVERY: Final = 7
MOST_TRIES: Final = 6
"""So often somebody tries to merge or to clean, while the archive refuses."""
HAPPENINGS: Final = (
    "write", "write", "write", "write", "write", "write", "write", "burst", "burst", "transact", "moment",
    "moment", "minutes", "minutes", "hours", "long", "split", "split", "kill", "kill", "freeze", "freeze",
    "thaw", "outage", "merge", "merge", "merge", "clean", "clean", "cut", "head", "ask", "ask",
)  # fmt: skip
HAPPENED: Final = (
    *dict.fromkeys(HAPPENINGS), "base", "ttl", "lease lost", "merged", "cleaned", "gap", "held past its day",
    "call refused", "answer lost", "put given up", "late put counted", "late put did nothing",
    "call took an hour", "known as of", "unknown as of", "died at work",
)  # fmt: skip
"""What must have happened in a campaign, or it has judged nothing."""


class WorldPlan(Struct, frozen=True):
    """What a seed draws. Shape: `most_bytes` of a merged segment; `earlier` items are there before the
    journal.
    """

    seed: int
    workers: int
    shards: int
    earlier: int
    hold_bytes: int
    most_bytes: int
    weather: Weather
    expiring: float
    crashes: bool
    tidies: bool
    steps: tuple[str, ...]


def draw(seed: int) -> WorldPlan:
    """The plan of a seed: the same for ever."""
    random = Random(seed)
    steps = tuple(random.choice(HAPPENINGS) for _ in range(random.choice((8, 16, 30))))
    return WorldPlan(
        seed,
        random.choice((1, 2, 2)),
        random.choice((1, 2)),
        random.choice((0, 0, 4, 8)),
        random.choice((0, 600, HELD, HELD)),
        random.choice((12_000, 100_000)),
        Weather(
            random.choice((0.0, 0.1, 0.4)),
            random.choice((0.0, 0.0, 0.1)),
            random.choice((0.0, 0.0, 0.1)),
            random.choice((0.0, 0.05, 0.2)),
            random.choice((0.0, 0.05, 0.2)),
        ),
        random.choice((0.0, 0.3)),
        random.random() < 0.3,
        random.random() < 0.5,
        steps,
    )


class JournalWorld:
    """A world, and all that happens in it."""

    def __init__(self, plan: WorldPlan) -> None:
        self.plan = plan
        self.random = Random(plan.seed ^ 0x5A)
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.truth = Truth()
        self.world = World(seed=plan.seed, shards=plan.shards, settings=self._settings, allow_failures=True)
        self.archive = SharedArchive(self.world.clock, Random(plan.seed ^ 0xA5), self.counts)
        self.table = journaled_table(TABLE, "us-east-1", self.world.engine.settings.account)
        self.ways = [Way(self.archive) for _ in range(plan.workers)]
        self.heads: list[TreeHead] = []
        self.remembered: list[tuple[int, dict[str, dict[str, Any]]]] = []
        self._written = self._born = 0
        self._apps = [self._app(way) for way in self.ways]
        self._names = dict.fromkeys(range(plan.workers), "")
        """Of the worker of each app that is there now."""
        self._beside: list[asyncio.Task[None]] = []

    @property
    def _settings(self) -> EngineSettings:
        return EngineSettings(
            shards=self.plan.shards, retention_ms=SETTINGS.retention_ms, rollover_ms=SETTINGS.rollover_ms
        )

    @property
    def steps(self) -> int:
        """How much there was to do."""
        return self.archive.calls

    # ---- a life --------------------------------------------------------------------------------------------

    def run(self) -> None:
        """From the first write to the last verdict."""
        try:
            with patch("tailrace.testing.world.build_worker", self._build):
                self._begin()
                with self._faults():
                    for name in self.plan.steps:
                        happened = getattr(self, f"_{name}")()
                        self.counts[name] += happened is not False
                        self._look()
                self._settle()
            self._judge()
        finally:
            self.world.close()

    def _build(self, app: App, engine: Engine, flushed: Any, options: WorkerOptions) -> Worker:
        """A worker under a name that none had before: of a fleet, although all are beside one engine."""
        self._born += 1
        name = f"worker-{self._born}"
        self._names[self._apps.index(app)] = name
        with (
            patch("tailrace.compose_worker.Owner", _fleet_owner),
            patch("tailrace.compose_worker.Identity", _slow_identity),
        ):
            return build_worker(app, engine, flushed, replace(options, owner=name))

    @contextmanager
    def _faults(self) -> Iterator[None]:
        if not self.plan.crashes:
            yield
            return
        with self.world.faults(crash="anywhere", throttle=0.02) as struck:
            yield
            self.counts["died at work"] += struck["crash"]

    def _begin(self) -> None:
        self.world.client("dynamodb").create_table(
            TableName=TABLE,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        if self.plan.earlier:
            for number in range(self.plan.earlier):
                self._put({"id": f"earlier-{number}"})
            self._pass_time(3 * HOUR_MS)  # the stream has forgotten all of it
            self.counts["base"] += 1
            self.truth.forget()
        for app in self._apps:
            self.world.use(app)
        self.archive.weather = self.plan.weather

    def _app(self, way: Way) -> App:
        app = App("shop")
        app.archive(app.table(TABLE, pk="id", ttl="expires_at"), way, hold_bytes=self.plan.hold_bytes)
        return app

    def _settle(self) -> None:
        """Everything is well again, and everybody gets to the end."""
        self.archive.weather, self.archive.away_until_ms = CALM, 0
        for task in self._beside:
            task.cancel()
        self._thaw()
        self._pass_time(2 * HOUR_MS)  # what is under way arrives
        self.world.restart()
        try:
            self.world.settle()
        except Unsettled as error:
            self.wrong.append(f"not settled: {error}")
        self._pass_time(60_000)  # a base may still be written
        if self.plan.tidies:
            self._tidy()

    def _judge(self) -> None:
        self.wrong += self.truth.faults()
        self._look()
        gaps = self._gaps()
        self.counts["gap"] += bool(gaps)
        self.counts["ttl"] += any(record.by_ttl for record in self.truth.all)
        may_lose = self.plan.hold_bytes < HELD
        blobs = self.archive.blobs
        self.wrong += journal_faults(blobs, self.truth, may_lose=may_lose)
        if self.wrong:
            return  # what is asked of a journal that is broken says no more
        self.wrong += head_faults(blobs, self.heads)
        self._verify()
        self._remember()
        for at_us, items in self.random.sample(self.remembered, min(3, len(self.remembered))):
            self._ask_as_of(at_us, items)

    # ---- what happens --------------------------------------------------------------------------------------

    def _look(self) -> None:
        self.truth.look(self.world.engine)

    def _pass_time(self, time_ms: int) -> None:
        while time_ms > 0:
            self.world.advance(min(time_ms, LOOK_MS))
            self.archive.arrive()
            self._look()
            time_ms -= LOOK_MS

    def _image(self, name: str) -> dict[str, Any] | None:
        return self.world.engine.get(TABLE, {"id": {"S": name}})

    def _acknowledge(self, old: dict[str, Any] | None, new: dict[str, Any] | None) -> None:
        if old != new:
            self.truth.acknowledged.append(Acknowledged(old, new))

    def _value(self) -> dict[str, Any]:
        self._written += 1
        value: dict[str, Any] = {"id": f"o{self.random.randrange(KEYS)}", "n": self._written}
        if self.random.random() < self.plan.expiring:
            value["expires_at"] = self.world.clock.now().wall_ms // 1_000 + self.random.randrange(2_000)
        return value

    def _put(self, value: dict[str, Any]) -> None:
        old = self._image(value["id"])
        self.world.put(TABLE, value)
        self._acknowledge(old, self._image(value["id"]))

    def _write(self) -> None:
        if self.random.random() < 0.2:
            name = f"o{self.random.randrange(KEYS)}"
            old = self._image(name)
            self.world.delete(TABLE, {"id": name})
            self._acknowledge(old, None)
        else:
            self._put(self._value())
        if self.random.random() < 0.3:
            self.world.advance(self.random.choice((1, 700, 2_500)))

    def _burst(self) -> None:
        for _ in range(self.random.choice((5, 12, 25))):
            self._write()

    def _transact(self) -> None:
        values = {value["id"]: value for value in (self._value(), self._value(), self._value())}
        before = {name: self._image(name) for name in values}
        items = [{"id": {"S": name}, "n": {"N": str(value["n"])}} for name, value in values.items()]
        client = self.world.client("dynamodb")
        client.transact_write_items(
            TransactItems=[{"Put": {"TableName": TABLE, "Item": item}} for item in items]
        )
        for name in values:
            self._acknowledge(before[name], self._image(name))

    def _moment(self) -> None:
        self._remember()
        self.world.advance(self.random.choice((1, 700, 1_500, 5_000)))

    def _minutes(self) -> None:
        self._remember()
        self._pass_time(self.random.randrange(10_000, HOUR_MS // 2))

    def _hours(self) -> None:
        self._remember()
        self._pass_time(self.random.randrange(HOUR_MS, 2 * HOUR_MS))

    def _long(self) -> None:
        """The stream forgets everything."""
        self._remember()
        self._pass_time(3 * HOUR_MS)
        self.counts["held past its day"] += self.world.engine.log.holds.held_bytes(TABLE) > 0

    def _split(self) -> bool:
        shards = self.world.engine.shards_of(self.world.engine.stream_of(TABLE).arn)
        if sum(not shard.is_closed for shard in shards) >= 6:
            return False
        self.world.split(TABLE)
        return True

    def _kill(self) -> None:
        self.world.kill()
        self._thaw(runs=False)
        self._look()
        self.world.restart()

    def _freeze(self) -> bool:
        """A worker stands still, and is taken to be gone."""
        place = self.random.randrange(len(self.ways))
        if not self.ways[place].is_open:
            return False
        self.ways[place].freeze()
        if len(self.ways) > 1:
            self.world.engine.workers.discard(self._names[place])
            self.counts["lease lost"] += 1
        return True

    def _thaw(self, *, runs: bool = True) -> bool:
        """Whether any stood still. Shape: without `runs` they were killed."""
        frozen = [place for place, way in enumerate(self.ways) if not way.is_open]
        for place in frozen:
            self.world.engine.workers.add(self._names[place])
        if (
            len(frozen) > 1 and runs
        ):  # all took all others for gone, and learn by their next round that they are not
            self._pass_time(PACE_MS)
        for place in frozen:
            self.ways[place].thaw()
        return bool(frozen)

    def _outage(self) -> None:
        """The archive is away for a while."""
        away_ms = self.random.choice((20_000, HOUR_MS // 4, 4 * HOUR_MS, 4 * HOUR_MS))
        self.archive.away_until_ms = self.world.clock.now().monotonic_ms + away_ms

    def _merge(self) -> None:
        self._beside.append(self.world.loop.create_task(self._merging(cleans=False)))
        self.world.advance(self.random.choice((0, 1_000, 60_000)))

    def _clean(self) -> None:
        self._beside.append(self.world.loop.create_task(self._merging(cleans=True)))

    def _cut(self) -> bool:
        """What merges and cleans is killed."""
        working = [task for task in self._beside if not task.done()]
        for task in working:
            task.cancel()
        return bool(working)

    def _tidy(self) -> None:
        """Somebody merges and cleans in peace, and again when what was replaced may go."""
        for _ in range(2):
            self._asked(self._merging(cleans=False))
            self._pass_time(HOUR_MS + 1)
        self._asked(self._merging(cleans=True))

    async def _merging(self, *, cleans: bool) -> None:
        """As `tailrace journal merge` does it, in a process of its own."""
        way, clock = Way(self.archive), self.world.clock
        merger = Merger(way, self.plan.most_bytes)
        for _ in range(MOST_TRIES):
            with suppress(TailraceError):
                await self._merged(way, merger, cleans=cleans)
                return
            await clock.sleep_until(clock.now().monotonic_ms + HOUR_MS // 12)

    async def _merged(self, way: Way, merger: Merger, *, cleans: bool) -> None:
        clock = self.world.clock
        streams = streams_of(await opened_names(way, self.table, clock).manifest())
        for incarnation in sorted({stream.incarnation for stream in streams.values()}):
            journal = opened_journal(way, incarnation_folder(self.table, incarnation), clock)
            if not cleans:
                self.counts["merged"] += (await merger.merge(journal)).before > 0
            self.counts["cleaned"] += await merger.clean(journal, clock.now().wall_ms) > 0

    # ---- what is asked -------------------------------------------------------------------------------------

    def _asked(self, question: Coroutine[Any, Any, T]) -> T:
        """An answer, in a process that nothing befalls."""
        loop = SeededLoop(self.plan.seed, self.world.clock)
        try:
            return loop.run_until_complete(question)
        finally:
            loop.close()

    def _reader(self) -> JournalReader:
        return JournalReader(self.archive.there, self.table, self.world.clock)

    def _gaps(self) -> list[Any]:
        async def ask() -> list[Any]:
            async with self._reader() as reader:
                return [gap for view in await reader.views() for gap in view.gaps]

        return self._asked(ask())

    def _head(self) -> bool:
        """Somebody keeps a head."""

        async def ask() -> list[TreeHead]:
            async with self._reader() as reader:
                return [await head_of_view(view) for view in await reader.views()]

        heads = self._asked(ask())
        self.heads += heads
        return bool(heads)

    def _verify(self) -> None:
        """`journal verify --against` what was kept last."""

        async def ask() -> list[str]:
            told: list[str] = []
            async with self._reader() as reader:
                for incarnation in sorted({stream.incarnation for stream in await reader.streams()}):
                    folder = incarnation_folder(self.table, incarnation)
                    kept = [head for head in self.heads if head.journal == folder]
                    result = await verified(
                        self.archive.there, reader, incarnation, kept[-1] if kept else None
                    )
                    told += [f"verify: {fault.place}: {fault.reason}" for fault in result.faults[:3]]
            return told

        self.wrong += self._asked(ask())

    def _remember(self) -> None:
        """The table as it is at this moment; after it at least a millisecond passes."""
        items = self.world.engine.scan(ScanRequest(TABLE)).decoded()
        at_us = self.world.clock.now().wall_ms * 1_000 + 999
        self.remembered.append((at_us, {item["id"]["S"]: item for item in items}))
        self.world.advance(1)

    def _ask(self) -> bool:
        """What was the table? Asked while workers may be far behind."""
        if not self.remembered:
            return False
        self._ask_as_of(*self.random.choice(self.remembered))
        return True

    def _ask_as_of(self, at_us: int, items: dict[str, dict[str, Any]]) -> None:
        name = f"o{self.random.randrange(KEYS)}"
        key = self.world.engine.schema(TABLE).key_bytes({"id": {"S": name}})

        async def ask() -> PastAnswer:
            log = EmbeddedLog(self.world.engine)
            reader = PastReader(self.archive.there, self.table, self.world.clock, log)
            try:
                then = await reader.at(at_us, incomplete=True)
                shown = [orjson.loads(image) async for _, image in then.items()]
                state = await then.state(key)
                return PastAnswer({item["id"]["S"]: item for item in shown}, then.unknown, state)
            finally:
                reader.close()

        try:
            answer = self._asked(ask())
        except Unavailable as error:
            if "there is no journal" not in str(error):
                raise
            return
        self.counts["unknown as of" if answer.unknown else "known as of"] += 1
        self.wrong += [f"as of {at_us}: {words}" for words in answer.faults(items, name)]


class PastAnswer(Struct, frozen=True):
    """What was said of the table at a moment. Shape: `shown` is all that is known where not all is."""

    shown: dict[str, dict[str, Any]]
    unknown: str
    state: PastState

    def faults(self, items: dict[str, dict[str, Any]], name: str) -> Iterator[str]:
        """Where it is not what was; `name` is the item that was asked for alone."""
        for one in sorted(self.shown.keys() | (set() if self.unknown else items.keys())):
            if self.shown.get(one) != items.get(one):
                yield f"{one} is said to be {self.shown.get(one)}, and was {items.get(one)}"
        if self.state.is_known and image(self.state.item) != items.get(name):
            yield f"{name} alone is said to be {self.state.item!r}, and was {items.get(name)}"


def _fleet_owner(name: str, is_gone: Callable[[str], bool], *, is_alone: bool) -> Owner:
    return Owner(name, is_gone)


def _slow_identity(name: str, **of_people: Any) -> Identity:
    """One whose heart is as slow as everything that a test world does by itself."""
    return Identity(name, lease_ms=SILENCE_MS, **of_people)


def run_journal(seed: int) -> tuple[JournalWorld, list[tuple[str, str]]]:
    """One seed as a campaign has it, and what was wrong with it."""
    world = run_world(seed)
    return world, [("the journal equals what was written", words) for words in world.wrong]


def run_world(seed: int) -> JournalWorld:
    """One seed, played to its end."""
    with small_numbers():
        world = JournalWorld(draw(seed))
        try:
            world.run()
        except (TailraceError, ExceptionGroup) as error:
            world.wrong.append(f"it ended: {type(error).__name__}: {error}")
    return world


@contextmanager
def small_numbers() -> Iterator[None]:
    """What otherwise comes after many changes or items comes after a few."""
    with (
        patch("tailrace.manifests.run.log.FULL_EVERY", FULL_EVERY),
        patch("tailrace.journal.run.beginning.ROWS", PAGE),
        patch("tailrace.sources.embedded_scan.PAGE", PAGE),
    ):
        yield
