"""Simulated worlds of data streams: DynamoDB's records, again and out of order, in trees of shards; workers
that read them, with handlers that fail, a state store that fails, and processes that die.

Theory of operation. A seed draws the history of a table, what a data stream makes of it
(tests/noisy_streams.py), the mapping and its handler. The machine and the steps around it are the production
code: lease, stamp, start, read, invoke, park, save. Steps of all shards go on in turns that a seed draws,
each call of a port is a place to die at, and time passes when nothing else can go on. A process that dies
leaves its rows alone; the next one begins from them.
Rules of this file: it judges only by the table's history. Called by test_data_streams.py and
`python -m tests.simulation --data-streams`.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from tailrace.deadletters.core.entry import deadletter_prefix, parked_prefix, read_deadletter
from tailrace.errors import InternalError, PortError, SourceError, StoreError
from tailrace.leases.checkpoint import checkpoint_key, read_row
from tailrace.leases.lineage import KnownShards
from tailrace.mapping.commands import (
    Completion,
    LeaseTaken,
    Start,
    Stopped,
    Wake,
    Woken,
)
from tailrace.mapping.outcomes import Failed, Failure, FailureKind, Outcome, Written
from tailrace.mapping.settings import Backoff, MappingSettings
from tailrace.mapping.shard import ShardMachine
from tailrace.ports import Now, RecordBatch, Shard
from tailrace.rows.kinds import CHAIN, CHECKPOINT, GAP, LEASE, kind_of
from tailrace.rows.writes import Write
from tailrace.runtime.delivering import Delivery, MappingShard, Settling
from tailrace.runtime.kept import SavedChanges
from tailrace.runtime.starting import enter, load_start, take_lease
from tailrace.runtime.steps import ReadShard, ReadTrimHorizon, Steps, Transact, WriteBatch
from tailrace.streams.record import ChangeRecord, ReadDone
from tailrace.testing.simulation_rows import APP, STREAM, SimulatedRows
from tests.noisy_streams import DISORDER_MS, START_US, Noise, NoisyStream, StreamShard, noisy_stream

MAPPING: Final = "simulated"
RETENTION_MS: Final = 86_400_000
MOST_TURNS: Final = 60_000
"""A world that has not ended by then stands still."""
HAPPENED: Final = (
    "crash", "crash while something waits", "crash at a save", "save failed", "read failed", "handler failed",
    "parked", "dead letter", "duplicate", "carried", "ahead", "split", "merged", "chain forgotten", "waited",
    "waits always", "by the chain", "answer lost",
)  # fmt: skip


@dataclass
class WorldPlan:
    """What a seed draws. Shape: chances in 0..1; `poison` are event ids that the handler never takes,
    `filtered` those that no filter lets through.
    """

    seed: int
    stream: NoisyStream
    settings: MappingSettings
    crashes: float
    failures: float
    refusals: float
    poison: set[str]
    filtered: set[str]


def draw(seed: int) -> WorldPlan:
    """The plan of a seed."""
    random = Random(seed)
    waits_always = random.random() < 0.5
    noise = Noise(
        recurring=waits_always,
        first_is_first=not waits_always,
        reshards=random.choice((0, 1, 2, 4)),
        precision_us=random.choice((1, 1_000)),
    )
    stream = noisy_stream(random.getrandbits(40), noise, keys=random.choice((2, 5)), changes=40)
    ids = sorted(stream.ids)
    filtered = set(random.sample(ids, len(ids) // 4)) if random.random() < 0.5 else set[str]()
    settings = MappingSettings(
        MAPPING,
        accepts=(lambda record: record.source_id not in filtered) if filtered else None,
        batch_size=random.choice((1, 3, 100)),
        concurrency=random.choice((1, 1, 3)),
        maximum_retry_attempts=random.choice((0, 2)),
        on_failure=random.choice(("park", "discard")),
        backoff=Backoff(5, 2.0, 20),
        checkpoint_interval_ms=random.choice((0, 10, 30)),
        buffer_records=random.choice((4, 2_000)),
        disorder_ms=DISORDER_MS,
        waits_always=waits_always,
        breaker=None,
    )
    poison = set(random.sample(ids, min(len(ids), 2))) if random.random() < 0.4 else set[str]()
    is_calm = random.random() < 0.2
    crashes = 0.0 if is_calm else random.choice((0.002, 0.01, 0.03))
    failures, refusals = (0.0 if is_calm else 0.03), random.choice((0.0, 0.1))
    return WorldPlan(seed, stream, settings, crashes, failures, refusals, poison, filtered)


class Died(Exception):
    """The process is gone."""


@dataclass
class Reading:
    """One shard in a process. Shape: `under_way` are steps with what is to be sent into them."""

    shard: StreamShard
    machine: ShardMachine
    delivery: Delivery
    under_way: list[tuple[Steps[Any], Any]] = field(default_factory=list)
    wake_ms: int | None = None
    is_over: bool = False


class DataStreamWorld:
    """A world, and what was handed over in it. Shape: `lives` by process, what its handler took by key."""

    def __init__(self, plan: WorldPlan) -> None:
        self.plan, self.random = plan, Random(plan.seed + 1)
        self.rows = SimulatedRows()
        self.counts: Counter[str] = Counter()
        self.steps = 0
        self.time_ms = START_US // 1_000
        self.lives: list[dict[bytes, list[ChangeRecord]]] = []
        self.readings: dict[str, Reading] = {}
        self.wrong: list[tuple[str, str]] = []
        self.crashes = plan.crashes
        self.end_ms = 0
        for shard in plan.stream.shards:
            self.counts["split"] += len(shard.parents) == 1
            self.counts["merged"] += len(shard.parents) == 2
        self.counts["waits always" if plan.settings.waits_always else "by the chain"] += 1

    @property
    def now(self) -> Now:
        """The clocks of all processes."""
        return Now(self.time_ms, self.time_ms)

    # ---- processes -----------------------------------------------------------------------------------------

    def run(self) -> None:
        """Let processes live until everything is settled."""
        while self.steps < MOST_TURNS:
            self.lives.append(defaultdict(list))
            self.readings = {}
            try:
                while not self._turn():
                    self.steps += 1
                    if self.steps >= MOST_TURNS:
                        break
                else:
                    return
            except Died:
                self.counts["crash"] += 1
                self.counts["crash while something waits"] += any(
                    reading.machine.unsettled for reading in self.readings.values()
                )
                self.crashes /= 1.5
        self.wrong.append(("progress", f"it stands still after {MOST_TURNS} turns"))

    def _turn(self) -> bool:
        """Do one thing. Returns: whether all is over."""
        for shard in self.plan.stream.shards:
            is_new = shard.name not in self.readings and not self._is_finished(shard.name)
            if is_new and all(map(self._is_finished, shard.parents)):
                self._begin(shard)
        going = [
            (reading, index)
            for reading in self.readings.values()
            for index, (_, answer) in enumerate(reading.under_way)
            if not isinstance(answer, ReadShard) or self._page(reading.shard, answer) is not None
        ]
        if going:
            self._advance(*self.random.choice(going))
            return False
        return self._pass_time()

    def _is_finished(self, name: str) -> bool:
        row = self.rows.get(checkpoint_key(APP, MAPPING, STREAM.label, name))
        return row is not None and read_row(row).finished

    def _pass_time(self) -> bool:
        """Nothing goes on now: the next thing that time brings."""
        times = [reading.wake_ms for reading in self.readings.values() if reading.wake_ms is not None]
        now_us = self.time_ms * 1_000
        for shard in self.plan.stream.shards:
            later = [at_us for at_us in (*shard.arrived_us, shard.over_us or 0) if at_us > now_us]
            times += [int(min(later)) // 1_000 + 1] if later else []
        if not times:
            return True
        self.time_ms = max(self.time_ms, min(times))
        for reading in self.readings.values():
            if reading.wake_ms is not None and reading.wake_ms <= self.time_ms:
                reading.wake_ms = None
                self._tell(reading, Woken())
        return False

    def _begin(self, shard: StreamShard) -> None:
        known = self._known(shard)
        place = MappingShard(APP, MAPPING, STREAM.table, STREAM.label, shard.name, known.hash_range or (0, 0))
        listed = KnownShards.of([self._known(other) for other in self.plan.stream.shards])

        def steps() -> Steps[tuple[Settling, Start]]:
            lease, stamped = yield from take_lease(
                LEASE.key(APP, STREAM.label, shard.name), "worker", [place]
            )
            row = stamped.get(place.checkpoint_key)
            begun = yield from enter(place, known, listed, lease.epoch, RETENTION_MS, row)
            start = yield from load_start(place, known, begun, has_chains=True)
            return Settling(place, begun), start

        settling, start = self.rows.perform(steps(), self.now, 0)
        machine = ShardMachine(self.plan.settings)
        reading = Reading(shard, machine, Delivery(known, STREAM, SavedChanges(), settling))
        self.readings[shard.name] = reading
        self._tell(reading, start)

    def _known(self, shard: StreamShard) -> Shard:
        hashes = (shard.hashes.start, shard.hashes.stop - 1)
        return Shard(
            shard.name, 1, shard.parents, hash_range=hashes, stream=STREAM.label, created_ms=self.time_ms
        )

    # ---- one machine ---------------------------------------------------------------------------------------

    def _tell(self, reading: Reading, completion: Completion) -> None:
        for command in reading.machine.step(completion, self.now):
            match command:
                case Wake(at_ms):
                    reading.wake_ms = at_ms
                case Stopped():
                    reading.is_over = True
                    reading.wake_ms = None
                case _:
                    reading.under_way.append((reading.delivery.steps(command), None))
        if reading.machine.unbalanced:
            self.wrong.append(("balance", f"{reading.machine.unbalanced} records in {reading.shard.name}"))

    def _advance(self, reading: Reading, index: int) -> None:
        """Let one of the steps go on to its next call of a port, and answer that."""
        steps, waiting = reading.under_way.pop(index)
        try:
            call = waiting if waiting is not None else next(steps)
            while True:
                try:
                    if isinstance(call, ReadShard) and self._page(reading.shard, call) is None:
                        reading.under_way.append((steps, call))
                        return
                    answer = self._answer(reading, call)
                except PortError as error:
                    call = steps.throw(error)
                else:
                    call = steps.send(answer)
        except StopIteration as end:
            for completion in end.value:
                if isinstance(completion, LeaseTaken):
                    self.wrong.append(("lease", "nobody took it"))
                self._tell(reading, completion)

    def _answer(self, reading: Reading, call: Any) -> Any:
        plan, random = self.plan, self.random
        if random.random() < self.crashes:
            self.counts["crash at a save"] += isinstance(call, Transact)
            raise Died
        match call:
            case ReadShard():
                if random.random() < plan.failures:
                    self.counts["read failed"] += 1
                    raise SourceError("the source is away")
                return self._page(reading.shard, call)
            case WriteBatch(batch):
                return self._handle(batch)
            case ReadTrimHorizon():
                return 0
            case Transact() if random.random() < plan.failures:
                self.counts["save failed"] += 1
                raise StoreError("the store is away")
        answer = self.rows.answer(call, self.now)
        if isinstance(call, Transact):
            self._count(call)
            if random.random() < self.crashes:
                self.counts["answer lost"] += 1
                raise Died
        return answer

    def _count(self, call: Transact) -> None:
        for write in call.writes:
            if isinstance(write, Write) and kind_of(write.key) is CHAIN:
                fields = write.fields or {}
                self.counts["chain forgotten"] += write.fields is None
                self.counts["carried"] += "carried" in fields
                self.counts["ahead"] += "ahead" in fields

    def _page(self, shard: StreamShard, read: ReadShard) -> ReadDone | None:
        """What has arrived after a position; None: nothing yet."""
        now_us = self.time_ms * 1_000
        there = [
            record
            for record, at_us in zip(shard.records, shard.arrived_us, strict=True)
            if record.sequence > read.after and at_us <= now_us
        ]
        page = there[: min(read.limit, 7)]
        is_closed = shard.over_us is not None and shard.over_us <= now_us and len(page) == len(there)
        if not page and not is_closed:
            return None
        return ReadDone(page, page[-1].sequence if page else read.after, closed=is_closed)

    def _handle(self, batch: RecordBatch) -> Outcome:
        """The handler takes the records of each item in their order, up to one that it refuses."""
        refused: dict[int, Failure] = {}
        keys: set[bytes] = set()
        for index, record in enumerate(batch.records):
            if record.key in keys:
                continue
            if record.source_id in self.plan.poison or self.random.random() < self.plan.refusals:
                refused[index] = Failure(FailureKind.RECORD, "no")
                keys.add(record.key)
                continue
            self.lives[-1][record.key].append(record)
        self.counts["handler failed"] += bool(refused)
        return Failed(refused) if refused else Written()


# ---- the law -----------------------------------------------------------------------------------------------


def judge(world: DataStreamWorld) -> None:
    """Whatever happened: each change was handled or is kept, in the order of its item; in each life nothing
    was handled before what was written earlier; nothing is told to be missing.
    """
    kept: dict[bytes, list[ChangeRecord]] = defaultdict(list)
    for prefix in (parked_prefix(APP, MAPPING), deadletter_prefix(APP, MAPPING)):
        for row in world.rows.starting_with(prefix):
            letter = read_deadletter(world.rows[row])
            kept[letter.record.key].append(letter.record)
            world.counts["parked" if prefix == parked_prefix(APP, MAPPING) else "dead letter"] += 1
            if letter.condition == "ArrivedLate":
                world.wrong.append(("late", letter.record.source_id))
    for life in world.lives:
        for key, records in life.items():
            ranks = [record.rank for record in records]
            if ranks != sorted(set(ranks)):
                world.wrong.append(("order", f"{key!r}: {[record.source_id for record in records]}"))
    for key, changes in world.plan.stream.history.items():
        versions: dict[int, ChangeRecord] = {}
        for record in [*(record for life in world.lives for record in life[key]), *kept[key]]:
            known = versions.setdefault(record.rank, record)
            if (known.old, known.new) != (record.old, record.new):
                world.wrong.append(("version", f"{record.source_id} has that of {known.source_id}"))
        came = [versions[rank] for rank in sorted(versions)]
        wanted = [record for record in changes if record.source_id not in world.plan.filtered]
        if _contents(came) != _contents(wanted):
            told, asked = ([record.source_id for record in some] for some in (came, wanted))
            world.wrong.append(("history", f"{key!r}: {told}, not {asked}"))
    gaps = list(world.rows.starting_with(GAP.prefix(APP, MAPPING)))
    if gaps:
        world.wrong.append(("gaps", str([world.rows[row] for row in gaps])))
    for row in world.rows.starting_with(CHAIN.prefix(APP, MAPPING)):
        if world.rows[row].get("carried"):
            world.wrong.append(("carried", f"{row} still waits"))
    _balance(world)


def _contents(records: Sequence[ChangeRecord]) -> list[tuple[int, list[str]]]:
    """Contents by times: which came first of those of one time is for the images to say."""
    groups: dict[int, list[str]] = {}
    for record in records:
        groups.setdefault(record.created_us, []).append(f"{record.old!r} {record.new!r}")
    return [(time_us, sorted(contents)) for time_us, contents in groups.items()]


def _balance(world: DataStreamWorld) -> None:
    """Everything that was read has an end; what was carried over has it in another shard."""
    totals: Counter[str] = Counter()
    for row in world.rows.starting_with(CHECKPOINT.prefix(APP, MAPPING)):
        totals.update(read_row(world.rows[row]).ledger.totals)
    read = sum(len(shard.records) for shard in world.plan.stream.shards)
    ends = sum(totals.values()) - totals["carried"]
    world.counts["duplicate"] += totals["duplicate"]
    world.counts["waited"] += totals["carried"] + totals["duplicate"]
    if ends != read:
        world.wrong.append(("ledger", f"{read} records were read, and {ends} have an end: {dict(totals)}"))


def run_data_stream(seed: int) -> tuple[DataStreamWorld, list[tuple[str, str]]]:
    """One seed, and what was wrong with it."""
    world = DataStreamWorld(draw(seed))
    try:
        world.run()
        judge(world)
    except InternalError as error:
        world.wrong.append(("no internal error", str(error)))
    return world, world.wrong
