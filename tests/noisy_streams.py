"""A table's true history, and what a data stream makes of it: changes delivered twice, late by up to a bound,
in shards that split and merge. And a reader of such a stream that crashes.

Rules of this file: the history is the oracle: what is handed over is compared with it, and no rule of
mapping/chain.py or mapping/holding.py is repeated here. All chance is of the seed.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from msgspec.structs import replace

from tailrace.mapping.chained_item import ChainRow
from tailrace.mapping.holding import ChainHole, HoldingStage, Judged
from tailrace.streams.record import ChangeRecord, EventName

START_US = 1_700_000_000_000_000
DISORDER_MS = 50
"""A delay is always a millisecond shorter: a time that is told in milliseconds may be that much later."""
HASHES = 16


@dataclass(frozen=True)
class Noise:
    """What happens to a history on its way. Shape: chances in 0..1."""

    delayed: float = 0.5
    again: float = 0.3
    precision_us: int = 1_000
    recurring: bool = True
    """Images come again, as A, B, A, B do, and as nothing does after each removal."""
    reshards: int = 0
    lost: float = 0.0
    first_is_first: bool = False
    """An item's first change, and the first after a while, is not overtaken."""
    unchanged: float = 0.1
    without_ids: bool = False


@dataclass
class StreamShard:
    """Shape: `hashes` are those of its records, `arrived_us` when each came; `over_us` is when it was closed.
    Units: microseconds since the epoch.
    """

    name: str
    hashes: range
    parents: tuple[str, ...] = ()
    records: list[ChangeRecord] = field(default_factory=list)
    arrived_us: list[float] = field(default_factory=list)
    over_us: float | None = None


@dataclass
class NoisyStream:
    """Shape: `history` by key; `shards` in the order in which they are read; `lost` are event ids."""

    history: dict[bytes, list[ChangeRecord]]
    shards: list[StreamShard]
    lost: set[str] = field(default_factory=set)

    @property
    def ids(self) -> set[str]:
        """The event ids of everything that changed something."""
        return {record.source_id for changes in self.history.values() for record in changes}


def noisy_stream(seed: int, noise: Noise, keys: int = 4, changes: int = 40) -> NoisyStream:
    """What comes of one seed."""
    random = Random(seed)
    history: dict[bytes, list[ChangeRecord]] = defaultdict(list)
    images: dict[bytes, bytes | None] = {}
    arrivals: list[tuple[float, ChangeRecord]] = []
    lost: set[str] = set()
    changed_us: dict[bytes, int] = {}
    at_us = START_US
    for number in range(changes):
        at_us += random.choice((0, 1, 300, 999, 1_000, 20_000, 40_000))
        key = b"k%d" % random.randrange(keys)
        record, is_change = _change(random, noise, key, images, at_us, number)
        if is_change:
            history[key].append(record)
        if noise.lost and len(history[key]) > 1 and is_change and random.random() < noise.lost:
            lost.add(record.source_id)
            continue
        most_us = (DISORDER_MS - 1) * 1_000
        is_quiet = at_us - changed_us.get(key, 0) > DISORDER_MS * 1_000 // 3
        is_first = noise.first_is_first and is_quiet
        if is_change:
            changed_us[key] = at_us
        if is_quiet:  # images alone do not say which of several unknown ones was first
            at_us += 2_000
        delay = 0 if is_first or random.random() > noise.delayed else random.randrange(most_us)
        arrivals.append((at_us + delay - is_first * 0.5, record))
        if random.random() < noise.again:
            again = delay if is_first else 0
            arrivals.append((at_us + again + random.randrange(most_us - again), record))
    order = sorted(arrivals, key=lambda arrival: (arrival[0], random.random()))
    return NoisyStream(dict(history), _sharded(random, noise, order), lost)


def _change(
    random: Random, noise: Noise, key: bytes, images: dict[bytes, bytes | None], at_us: int, number: int
) -> tuple[ChangeRecord, bool]:
    """A change of an item, or a write of a transaction that changes nothing."""
    old = images.get(key)
    is_change = old is None or random.random() >= noise.unchanged
    new = old
    while is_change and new == old:
        is_removed = noise.recurring and old is not None and random.random() < 0.25
        value = random.randrange(3) if noise.recurring else number
        new = None if is_removed else b'{"n":{"N":"%d"}}' % value
    images[key] = new
    name: EventName = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
    created = at_us - at_us % noise.precision_us
    identity = "" if noise.without_ids else f"e{number}"
    return (
        ChangeRecord(
            0, 1, name, created, 50, key[-1] * 5 % HASHES, key, b"{}", old, new,
            precision_us=noise.precision_us, source_id=identity,
        ),
        is_change,
    )  # fmt: skip


def _sharded(random: Random, noise: Noise, order: list[tuple[float, ChangeRecord]]) -> list[StreamShard]:
    """Records in shards: each reshard closes one and splits it, or two and merges them; parents come before
    their children.
    """
    cuts = sorted(random.randrange(len(order)) for _ in range(noise.reshards)) if order else []
    live = [StreamShard("shard-0", range(HASHES))]
    shards = list(live)
    for place, (arrived_us, record) in enumerate(order):
        while cuts and cuts[0] <= place:
            cuts.pop(0)
            live = _resharded(random, live, arrived_us, len(shards))
            shards += [shard for shard in live if not any(shard is known for known in shards)]
        for shard in live:
            if record.partition in shard.hashes:
                shard.records.append(replace(record, sequence=place + 1))
                shard.arrived_us.append(arrived_us)
    return shards


def _resharded(random: Random, live: list[StreamShard], at_us: float, number: int) -> list[StreamShard]:
    place = random.randrange(len(live))
    if len(live) > 1 and random.random() < 0.5:
        place = min(place, len(live) - 2)
        one, other = live[place : place + 2]
        one.over_us = other.over_us = at_us
        hashes = range(one.hashes.start, other.hashes.stop)
        return [
            *live[:place],
            StreamShard(f"shard-{number}", hashes, (one.name, other.name)),
            *live[place + 2 :],
        ]
    parent = live[place]
    middle = parent.hashes.start + len(parent.hashes) // 2
    if middle in (parent.hashes.start, parent.hashes.stop):
        return live
    parent.over_us = at_us
    halves = [
        StreamShard(f"shard-{number}", range(parent.hashes.start, middle), (parent.name,)),
        StreamShard(f"shard-{number + 1}", range(middle, parent.hashes.stop), (parent.name,)),
    ]
    return [*live[:place], *halves, *live[place + 1 :]]


@dataclass
class CrashingReader:
    """Reads a stream through the holding stage, settles in the order of each item, saves now and then, and
    crashes. Shape: `handed` by key in the order in which it was handed over, and so in each of its `lives`;
    `rows` are what is durable.
    """

    stream: NoisyStream
    random: Random
    waits_always: bool = False
    crashes: float = 0.0
    most: int = 10_000
    filtered: float = 0.0
    rows: dict[bytes, ChainRow] = field(default_factory=dict)
    handed: dict[bytes, list[ChangeRecord]] = field(default_factory=lambda: defaultdict(list))
    lives: list[dict[bytes, list[ChangeRecord]]] = field(default_factory=list)
    duplicates: list[ChangeRecord] = field(default_factory=list)
    late: list[ChangeRecord] = field(default_factory=list)
    holes: list[ChainHole] = field(default_factory=list)
    again: list[ChangeRecord] = field(default_factory=list)
    """What was handed over although a checkpoint says that it is settled."""

    def run(self) -> "CrashingReader":
        """Read every shard to its end, parents first, and listen for more than the bound in the last ones."""
        for shard in self.stream.shards:
            process = _Process(self, shard)
            while not process.run():
                self.crashes /= 2
        return self

    def first_handed(self, key: bytes) -> list[ChangeRecord]:
        """What was handed over of an item, without what was handed over again after a crash."""
        seen: dict[int, ChangeRecord] = {}
        for record in self.handed[key]:
            seen.setdefault(record.rank, record)
        return list(seen.values())


class _Crash(Exception):
    """The process is gone."""


class _Process:
    """What reads one shard, and may die."""

    def __init__(self, reader: CrashingReader, shard: StreamShard) -> None:
        self.reader, self.shard = reader, shard
        self.watermark = 0
        self.above: set[int] = set()

    def run(self) -> bool:
        """Go on from what is durable; False: it crashed."""
        try:
            self._run()
        except _Crash:
            return False
        return True

    def _run(self) -> None:
        reader, random = self.reader, self.reader.random
        self.holding = HoldingStage(DISORDER_MS, most=reader.most, waits_always=reader.waits_always)
        self.holding.saved(self.watermark)
        self.settled = set(self.above)
        self.read: list[int] = []
        self.in_flight: list[ChangeRecord] = []
        reader.lives.append(defaultdict(list))
        there = [(key, row) for key, row in reader.rows.items() if row.partition in self.shard.hashes]
        self._take(self.holding.load(there))
        unread = [record for record in self.shard.records if record.sequence > self.watermark]
        while unread:
            count = random.choice((1, 1, 3, 20))
            page, unread = unread[:count], unread[count:]
            self.read += [record.sequence for record in page]
            self._take(self.holding.hold([one for one in page if one.sequence not in self.above]))
            self._work()
        if self.shard.over_us is None:
            self._take(self.holding.listened(2 * DISORDER_MS))
        else:
            self._take(self.holding.close())
        while self.in_flight:
            self._work()
        self._save()

    def _take(self, held: Judged) -> None:
        reader = self.reader
        for record in held.ready:
            if record.sequence in self.above and not self.holding.is_carried(record):
                reader.again.append(record)
            reader.handed[record.key].append(record)
            reader.lives[-1][record.key].append(record)
            self.in_flight.append(record)
        done = [*held.duplicates, *held.unchanged, *held.carried, *held.late]
        self.settled.update(record.sequence for record in done)
        self.holding.settle(done)
        reader.duplicates += [*held.duplicates, *held.repeated]
        reader.late += held.late
        reader.holes += held.holes

    def _work(self) -> None:
        """Settle some of what is in flight, in the order of each item but for what a filter refuses."""
        random, reader = self.reader.random, self.reader
        if random.random() < reader.crashes:
            raise _Crash
        if self.in_flight:
            record = random.choice(self.in_flight)
            if random.random() >= reader.filtered:
                record = next(one for one in self.in_flight if one.key == record.key)
            self.in_flight.remove(record)
            if not self.holding.is_carried(record):
                self.settled.add(record.sequence)
            self.holding.settle([record])
        if random.random() < 0.3:
            self._save()

    def _save(self) -> None:
        random, reader = self.reader.random, self.reader
        rows = self.holding.save()
        for key, row in rows.items():
            if row is None:
                reader.rows.pop(key, None)
            else:
                reader.rows[key] = row
            if random.random() < reader.crashes / 5:
                raise _Crash
        if random.random() < reader.crashes / 5:
            raise _Crash
        for number in self._numbers():
            if number in self.settled:
                self.watermark = number
            else:
                break
        self.above = {number for number in self.settled if number > self.watermark}
        self.holding.saved(self.watermark)

    def _numbers(self) -> Iterator[int]:
        return (number for number in self.read if number > self.watermark)
