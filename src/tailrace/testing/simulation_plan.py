"""One seed decides everything of a simulated run: settings, records, the sink's moods, faults and their times.

Rules of this file: a plan is data; nothing here runs. Each choice is counted, so that a report can say what a campaign never tried.
Called by simulation.py.
"""

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import Any, Final, Literal, TypeAlias

from msgspec.structs import replace

from tailrace.mapping.filters import read_filter_criteria
from tailrace.mapping.outcomes import FailureKind
from tailrace.mapping.settings import INFINITE, Backoff, BreakerSettings, MappingSettings
from tailrace.streams.record import MILLISECOND, ChangeRecord
from tailrace.streams.shards import HASHES

Style: TypeAlias = Literal["vector", "whole", "partial"]
FAULTS: Final = (
    "crash", "theft", "stop", "pause", "clock-step", "outage", "throttle", "redrive", "trim",
)  # fmt: skip
"""Faults that have a moment; those of ports, records and latencies are drawn while the run goes on."""
FLEET_FAULTS: Final = ("cut-off", "worker-stop", "theft", "crash")
"""Faults of several workers: one does not reach its state store for a while, one leaves in order."""
ACTS: Final = (
    "start",
    "read",
    "invoke",
    "park",
    "save",
    "renew",
    "release",
    "evacuation-look",
    "evacuation",
    "redrive",
)
"""What a worker is doing: each is steps of the runtime's. A crash strikes at a yield of one of them."""
DRAWN_FAULTS: Final = (
    "read-failure", "poison", "flaky", "time-out", "slow", "filtered", "shard-closed", "child-shard",
    "lease-lost", "in-flight-at-crash", "park-failure", "parked-at-start", "parked-behind", "free-meanwhile",
    "redriven", "redriven-elsewhere", "redriven-late", "redrive-refused", "redrive-stopped", "redrive-slow", "redrive-long", "redrive-rival", "redrive-conflict", "redrive-failure",
    "redrive-overtaken", "redrive-letter", "redrive-busy", "refused-for-good",
    "duplicate", "answer-lost", "hanging", "hanging-after-effect", "repeated-records", "iterator-expiry", "trim-overtakes",
    "retention", "evacuated", "evacuation-failure", "evacuation-look-failure", "evacuation-answer-lost", "evacuation-conflict", "peek-failure", "evacuated-read", "broken", "suspended",
    "close-in-flight", "clock-forward", "clock-back", "rollover", "reshard", "merge", "parked-at-reshard",
    "window-final", "window-early", "window-lost", "window-final-refused", "window-no-state",
    "upgraded", "earlier-stream", "started-late", "stolen", "raced", "raced-parking", "expired", "died-for-good", "state-answer-lost", "came-back", "beside-another",
    *(f"{act}-failure" for act in ("start", "save", "renew", "release")), *(f"crash-{act}" for act in ("now", *ACTS)),
)  # fmt: skip
RETENTIONS: Final = 5
"""At most so many times as long as a stream keeps a record, records are written: what waits, waits for longer."""
MAPPING: Final = "simulated"
BESIDE_IT: Final = "beside"
BESIDE: Final = 1 / 3
"""So many runs have a second mapping."""
STYLES: Final[tuple[Style, ...]] = ("vector", "whole", "partial")
TROUBLES: Final = (FailureKind.RECORD, FailureKind.RECORD, FailureKind.TIMEOUT)
WALL_MS: Final = 1_700_000_000_000
FILTERS: Final = read_filter_criteria({
    "Filters": [
        {"Pattern": '{"eventName": ["MODIFY"], "dynamodb": {"SizeBytes": [{"numeric": ["<", 700]}]}}'},
        {"Pattern": '{"dynamodb": {"Keys": {"id": {"N": [{"anything-but": ["0", "1", "2"]}]}}}}'},
    ]
})  # fmt: skip
"""Asks the head of a record, its size and its key. `is_wanted` says the same without patterns, for those who check."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens at a time. Units: milliseconds since the start."""

    at_ms: int
    kind: str
    length_ms: int = 0


@dataclass(slots=True)
class ShardPlan:
    """The records of one shard, by the time they are written, and when it is closed.

    Shape:   read once its parents are finished; its keys have partitions from `first` to `last`, its records numbers from `begins` on.
    """

    shard_id: str
    writes: list[tuple[int, ChangeRecord]]
    closed_ms: int
    parents: tuple[str, ...] = ()
    first: int = 0
    last: int = HASHES - 1
    begins: int = 1

    def has(self, partition: int) -> bool:
        """Whether the changes of this partition are in it."""
        return self.first <= partition <= self.last


@dataclass(slots=True)
class MappingPlan:
    """What a seed decides of one mapping, and of the handler behind it.

    Shape:   `troubles` counts how often a record will still be refused (−1: until the faults stop); `trouble_kind` how, and `are_final` whether the
             handler says that it always will.
    """

    settings: MappingSettings
    style: Style
    troubles: dict[int, int]
    trouble_kind: FailureKind
    are_final: bool = False

    @property
    def id(self) -> str:
        """How it is called."""
        return self.settings.id

    def is_wanted(self, record: ChangeRecord) -> bool:
        """Whether its filters let a record through, asked without the patterns that the machine asks."""
        return not self.settings.filters or record.size_bytes < 700 or int(record.key) > 2


@dataclass(slots=True)
class SimulationPlan:
    """Everything that a seed decides. Shape: one or two `mappings` read the same shards; from `heal_ms` on no fault happens any more."""

    seed: int
    mappings: list[MappingPlan]
    shards: list[ShardPlan]
    faults: list[Fault]
    heal_ms: int
    latency_ms: int
    port_failures: float
    workers: int = 1
    is_upgraded: bool = False
    """Whether an older version has begun before, which kept the ledger in a row of its own."""
    has_earlier_stream: bool = False
    """Whether there was a stream before, gone unread, of a source that has no one order of numbers for all of them."""
    new_yield_crashes: float = 0.0
    """How likely a worker dies at a yield that nobody has passed before."""
    races: float = 0.0
    """How likely another worker takes a shard while its owner writes a checkpoint or parks."""
    retention_ms: int = 0
    """How long the stream keeps a record; 0: for ever."""
    counts: Counter[str] = field(default_factory=Counter)


def plan(seed: int) -> SimulationPlan:
    """The plan of a seed: the same for ever, on every machine."""
    random = Random(seed)
    span_ms = random.choice((3_000, 30_000, 120_000))
    settings = _settings(random, MAPPING)
    shards, troubles = _shards(random, span_ms)
    style: Style = random.choice(STYLES)
    faults = [
        Fault(
            random.randrange(span_ms),
            random.choice((*FAULTS[:-1], "redrive", "redrive")),
            random.randrange(100, span_ms // 2),
        )
        for _ in range(random.choice((0, 2, 4, 8)))
    ]
    if random.random() < 0.05:
        faults.append(Fault(random.randrange(span_ms), "trim"))
    mapping = MappingPlan(settings, style, troubles, random.choice(TROUBLES))
    made = SimulationPlan(
        seed, [mapping], shards, sorted(faults, key=lambda fault: fault.at_ms), heal_ms=3 * span_ms,
        latency_ms=random.choice((1, 20, 400)), port_failures=random.choice((0.0, 0.0, 0.05, 0.2)),
    )  # fmt: skip
    if len(shards) > 1 and random.random() < 0.5:
        _split(random, shards)
    retention_ms = random.choice((0, 0, random.choice((4_000, 12_000, 60_000))))
    made.retention_ms = max(retention_ms, span_ms // RETENTIONS) if retention_ms else 0
    if random.random() < BESIDE:
        troubles = _troubles(random, [record for shard in shards for _, record in shard.writes])
        made.mappings.append(
            MappingPlan(
                _settings(random, BESIDE_IT), random.choice(STYLES), troubles, random.choice(TROUBLES)
            )
        )
    for mapping in made.mappings:
        _shape(random, made, mapping)
    _with_a_fleet(random, made, span_ms)
    _count(made)
    return made


def _shape(random: Random, made: SimulationPlan, mapping: MappingPlan) -> None:
    """Some mappings have windows, a broken handler, or the order of the whole shard."""
    if mapping.settings.order == "lane" and random.random() < 0.3:
        _with_windows(random, mapping)
    if mapping.settings.order == "key" and random.random() < 0.15:
        _broken(random, made, mapping)
    elif not mapping.settings.tumbling_window_ms and random.random() < 0.2:
        _whole_shard(random, mapping)


def _split(random: Random, shards: list[ShardPlan]) -> None:
    """Two children in place of one, each with its part of the keys."""
    child = shards.pop()
    border = random.choice((1, 1, 2, 5))
    for number, (first, last) in enumerate(((0, border - 1), (border, HASHES - 1)), 1):
        writes = [each for each in child.writes if first <= each[1].partition <= last]
        shards.append(
            ShardPlan(f"shard-{number}", writes, child.closed_ms, child.parents, first, last, child.begins)
        )


def _with_a_fleet(random: Random, made: SimulationPlan, span_ms: int) -> None:
    """Several workers on one state store, several shards at once, and what befalls them."""
    made.workers = random.choice((1, 1, 1, 2, 2, 3, 5, 8))
    if random.random() < (0.5 if made.workers > 1 else 0.15):
        _several_roots(random, made.shards)
    faults = [
        Fault(random.randrange(span_ms), random.choice(FLEET_FAULTS), random.randrange(100, 2 * span_ms))
        for _ in range(random.choice((0, 1, 3)) if made.workers > 1 else random.choice((0, 0, 1)))
    ]
    made.is_upgraded = random.random() < 0.2
    made.has_earlier_stream = random.random() < 0.2
    made.new_yield_crashes = random.choice((0.0, 0.1, 0.4)) if not made.counts["fault broken"] else 0.5
    made.races = random.choice((0.0, 0.0, 0.02, 0.2)) if made.workers > 1 else 0.0
    made.faults = sorted([*made.faults, *faults], key=lambda fault: fault.at_ms)


def _several_roots(random: Random, shards: list[ShardPlan]) -> None:
    """Several shards in place of the first; what continued it merges them."""
    root = shards.pop(0)
    borders = sorted({0, *(random.choice((1, 2, 4, 8)) for _ in range(random.choice((1, 2, 4)))), HASHES})
    roots = [
        ShardPlan(
            f"{root.shard_id}-{number}", [each for each in root.writes if first <= each[1].partition < end], root.closed_ms,
            (), first, end - 1,
        )
        for number, (first, end) in enumerate(pairwise(borders))
    ]  # fmt: skip
    for shard in shards:
        shard.parents = tuple(
            each.shard_id for each in roots if each.first <= shard.last and shard.first <= each.last
        )
    shards[:0] = roots


def _broken(random: Random, made: SimulationPlan, mapping: MappingPlan) -> None:
    """A handler with a bug: every record fails until the faults stop, and few keys may be parked."""
    mapping.troubles = {record.sequence: -1 for shard in made.shards for _, record in shard.writes}
    mapping.trouble_kind = FailureKind.RECORD
    mapping.settings = replace(
        mapping.settings, on_failure="park", max_keys=random.choice((2, 4)), maximum_retry_attempts=random.choice((0, 1)),
    )  # fmt: skip
    made.counts["fault broken"] += 1


def _whole_shard(random: Random, mapping: MappingPlan) -> None:
    """The order of the whole shard: for sinks, which leave a refused record out, or for archives, which stop at it."""
    stops = random.random() < 0.3
    mapping.settings = replace(
        mapping.settings, order="shard", on_failure="block" if stops else "discard", concurrency=1, parallelization_factor=1,
        maximum_record_age_ms=INFINITE, bisect_batch_on_function_error=True, report_batch_item_failures=False,
        filters=() if stops else mapping.settings.filters, accepts=None if stops else mapping.settings.accepts,
    )  # fmt: skip
    mapping.are_final = random.random() < 0.3


def _with_windows(random: Random, mapping: MappingPlan) -> None:
    """Tumbling windows: one lane, no filters, and a function that says from where on it failed."""
    mapping.settings = replace(
        mapping.settings, tumbling_window_ms=random.choice((1_000, 5_000, 60_000)), tumbling_idle_ms=random.choice((0, 2_000)),
        parallelization_factor=1, filters=(), accepts=None,
    )  # fmt: skip
    if mapping.style == "vector":
        mapping.style = "partial"


def _settings(random: Random, mapping_id: str) -> MappingSettings:
    return _drawn(random, mapping_id).reading("arn:simulated", "NEW_AND_OLD_IMAGES", "us-east-1")


def _drawn(random: Random, mapping_id: str) -> MappingSettings:
    base = random.choice((0, 10, 500))
    common: dict[str, Any] = {
        "batch_size": random.choice((1, 2, 5, 10, 100)),
        "batching_window_ms": random.choice((0, 0, 200, 5_000)),
        "maximum_retry_attempts": random.choice((INFINITE, 0, 1, 2, 5)),
        "maximum_record_age_ms": random.choice((INFINITE, INFINITE, 60_000, 90_000)),
        "bisect_batch_on_function_error": random.random() < 0.6,
        "batch_bytes": random.choice((6_000_000, 3_000)),
        "buffer_records": random.choice((1, 10, 50, 2_000)),
        "buffer_bytes": random.choice((1, 2_000, *5 * (1 << 27,))),
        "checkpoint_interval_ms": random.choice((0, 0, 100, 1_000)),
        "backoff": Backoff(base, random.choice((1.0, 2.0)), random.choice((1_000, 5_000))),
        "breaker": random.choice((None, BreakerSettings(Backoff(200, 2.0, 2_000)), BreakerSettings())),
        "filters": random.choice(((), (), FILTERS)),
        "max_ranges": random.choice((1, 5, 4_096)),
    }  # fmt: skip
    if random.random() < 0.5:
        return MappingSettings(
            mapping_id, order="lane", parallelization_factor=random.choice((1, 2, 3, 10)),
            report_batch_item_failures=True, **common,
        )  # fmt: skip
    return MappingSettings(
        mapping_id, order="key", on_failure=random.choice(("park", "park", "park", "discard", "block", "drop")), concurrency=random.choice((1, 1, 2, 5)), max_keys=random.choice((1, 2, 4, 1_024)),
        max_per_key=random.choice((1, 3, 1_024)), **common,
    )  # fmt: skip


def _shards(random: Random, span_ms: int) -> tuple[list[ShardPlan], dict[int, int]]:
    keys = random.choice((1, 3, 8, 30))
    shards = []
    sequence = 0
    for number in range(random.choice((1, 1, 2))):
        begins = sequence + 1
        times = sorted(random.randrange(span_ms) for _ in range(random.choice((0, 1, 20, 60, 120))))
        writes = []
        for at_ms in times:
            sequence += random.choice((1, 1, 1, 7))
            key = min(random.randrange(keys), random.randrange(keys))
            record = ChangeRecord(
                sequence=sequence, shard=number, event_name="MODIFY", created_us=(WALL_MS + at_ms) * MILLISECOND, partition=key // 2,
                size_bytes=random.randrange(100, 999), key=b"%d" % key, keys=b'{"id":{"N":"%d"}}' % key,
                new=b"x" * random.choice((10, 900)),
            )  # fmt: skip
            writes.append((at_ms, record))
        parents = (f"shard-{number - 1}",) if number else ()
        shards.append(ShardPlan(f"shard-{number}", writes, span_ms + number * 10, parents, begins=begins))
    return shards, _troubles(random, [record for shard in shards for _, record in shard.writes])


def _troubles(random: Random, records: list[ChangeRecord]) -> dict[int, int]:
    poison, flaky = random.choice((0.0, 0.0, 0.03, 0.2)), random.choice((0.0, 0.05, 0.3))
    troubles: dict[int, int] = {}
    for record in records:
        drawn = random.random()
        if drawn < poison:
            troubles[record.sequence] = -1
        elif drawn < poison + flaky:
            troubles[record.sequence] = random.choice((1, 2, 3))
    return troubles


def _count(made: SimulationPlan) -> None:
    counts = made.counts
    for mapping in made.mappings:
        for name in BRANCHES:
            counts[f"setting {name}"] += BRANCHES[name](mapping.settings)
        counts[f"style {mapping.style}"] += 1
        counts["fault poison"] += sum(times < 0 for times in mapping.troubles.values())
        counts["fault flaky"] += sum(times > 0 for times in mapping.troubles.values())
        counts["fault filtered"] += sum(
            not mapping.is_wanted(record) for shard in made.shards for _, record in shard.writes
        )
    counts["setting mappings=1"] += len(made.mappings) == 1
    counts["setting mappings=2"] += len(made.mappings) == 2
    orders = {mapping.settings.order for mapping in made.mappings}
    counts["setting mappings of two orders"] += len(orders) == 2
    counts["fault shard-closed"] += len(made.shards)
    children = [shard for shard in made.shards if shard.parents]
    counts["fault child-shard"] += len(children)
    counts["fault rollover"] += len(children) == 1
    counts["fault reshard"] += len(children) == 2
    counts["fault merge"] += any(len(shard.parents) > 1 for shard in children)
    counts["fault earlier-stream"] += made.has_earlier_stream
    counts["fault upgraded"] += made.is_upgraded
    counts["setting workers=1"] += made.workers == 1
    counts["setting workers=2 or 3"] += made.workers in (2, 3)
    counts["setting workers>3"] += made.workers > 3


BRANCHES: Final[dict[str, Any]] = {
    "order=key": lambda s: s.order == "key",
    "order=lane": lambda s: s.order == "lane",
    "order=shard discard": lambda s: s.order == "shard" and s.on_failure == "discard",
    "order=shard block": lambda s: s.order == "shard" and s.on_failure == "block",
    "order=shard filters set": lambda s: s.order == "shard" and bool(s.filters),
    "batch_size=1": lambda s: s.batch_size == 1,
    "batch_size>1": lambda s: s.batch_size > 1,
    "batching_window_ms>0": lambda s: s.batching_window_ms > 0,
    "parallelization_factor>1": lambda s: s.parallelization_factor > 1,
    "maximum_retry_attempts=-1": lambda s: s.maximum_retry_attempts == INFINITE,
    "maximum_retry_attempts=0": lambda s: s.maximum_retry_attempts == 0,
    "maximum_retry_attempts>0": lambda s: s.maximum_retry_attempts > 0,
    "maximum_record_age_ms>0": lambda s: s.maximum_record_age_ms > 0,
    "bisect_batch_on_function_error=true": lambda s: s.bisect_batch_on_function_error,
    "bisect_batch_on_function_error=false": lambda s: not s.bisect_batch_on_function_error,
    "report_batch_item_failures=true": lambda s: s.report_batch_item_failures,
    "batch_bytes small": lambda s: s.batch_bytes < 6_000_000,
    "concurrency>1": lambda s: s.concurrency > 1,
    "on_failure=park": lambda s: s.order == "key" and s.on_failure == "park",
    "on_failure=block": lambda s: s.order == "key" and s.on_failure == "block",
    "on_failure=discard": lambda s: s.order == "key" and s.on_failure == "discard",
    "on_failure=drop": lambda s: s.order == "key" and s.on_failure == "drop",
    "max_keys small": lambda s: s.max_keys < 1_024,
    "max_per_key small": lambda s: s.max_per_key < 1_024,
    "buffer_records small": lambda s: s.buffer_records < 2_000,
    "buffer_bytes small": lambda s: s.buffer_bytes < 1 << 27,
    "checkpoint_interval_ms>0": lambda s: s.checkpoint_interval_ms > 0,
    "backoff=0": lambda s: s.backoff.base_ms == 0,
    "backoff>0": lambda s: s.backoff.base_ms > 0,
    "breaker=none": lambda s: s.breaker is None,
    "breaker set": lambda s: s.breaker is not None,
    "filters set": lambda s: bool(s.filters),
    "max_ranges small": lambda s: s.max_ranges < 4_096,
    "tumbling_window_ms>0": lambda s: s.tumbling_window_ms > 0,
}
"""What a campaign must have tried of each setting: name → test."""
