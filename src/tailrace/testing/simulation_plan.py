"""What a seed decides of a simulated run, as data: settings, records, the sink's moods, timed faults.

Rules of this file: nothing here runs or draws. `count` notes each choice, so that a report can say what a
campaign never tried. Drawn by simulation_drawing.py.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from tailrace.mapping.outcomes import FailureKind
from tailrace.mapping.settings import INFINITE, MappingSettings
from tailrace.streams.record import ChangeRecord
from tailrace.streams.shards import HASHES

Style: TypeAlias = Literal["vector", "whole", "partial"]
FAULTS: Final = (
    "crash", "theft", "stop", "pause", "clock-step", "outage", "throttle", "redrive", "trim",
)  # fmt: skip
"""Faults that have a moment; those of ports, records and latencies are drawn while the run goes on."""
FLEET_FAULTS: Final = ("cut-off", "worker-stop", "theft", "crash")
"""Faults of several workers: one does not reach its state store for a while, one leaves in order."""
MEMBER_FAULTS: Final = ("freeze", "twin", "join")
"""Faults of members: one does nothing for a while and does not know it, one more begins under the name of
another, or under a name of its own.
"""
ACTS: Final = (
    "start",
    "read",
    "invoke",
    "park",
    "save",
    "round",
    "release",
    "evacuation-look",
    "evacuation",
    "redrive",
)
"""What a worker is doing: each is steps of the runtime's. A crash strikes at a yield of one of them."""
DRAWN_FAULTS: Final = (
    "read-failure", "poison", "flaky", "time-out", "slow", "filtered", "shard-closed", "child-shard",
    "lease-lost", "in-flight-at-crash", "park-failure", "parked-at-start", "parked-behind", "free-meanwhile",
    "redriven", "redriven-elsewhere", "redriven-late", "redrive-refused", "redrive-stopped", "redrive-slow",
    "redrive-long", "redrive-rival", "redrive-conflict", "redrive-failure", "redrive-overtaken",
    "redrive-letter", "redrive-busy", "refused-for-good",
    "duplicate", "answer-lost", "hanging", "hanging-after-effect", "repeated-records", "iterator-expiry",
    "trim-overtakes", "retention", "evacuated", "evacuation-failure", "evacuation-look-failure",
    "evacuation-answer-lost", "evacuation-conflict", "peek-failure", "evacuated-read", "broken", "suspended",
    "close-in-flight", "clock-forward", "clock-back", "rollover", "reshard", "merge", "parked-at-reshard",
    "window-final", "window-early", "window-lost", "window-final-refused", "window-no-state",
    "target-emptied", "target-renamed", "target-set-back", "target-failure", "target-answer-lost",
    "stamp-lost", "commit-lost", "commit-repeated", "position-alone",
    "upgraded", "earlier-stream", "started-late", "stolen", "raced", "raced-parking", "expired",
    *MEMBER_FAULTS, "name-in-use", "heart-failed", "lease-not-ours", "stray-released", "handed-over",
    "finished-elsewhere", "state-write-late", "died-for-good", "state-answer-lost", "came-back",
    "beside-another",
    *(f"{act}-failure" for act in ("start", "save", "round", "release")),
    *(f"crash-{act}" for act in ("now", *ACTS)),
)  # fmt: skip
MAPPING: Final = "simulated"
WALL_MS: Final = 1_700_000_000_000


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that happens at a time. Units: milliseconds since the start."""

    at_ms: int
    kind: str
    length_ms: int = 0


@dataclass(slots=True)
class ShardPlan:
    """The records of one shard, by the time they are written, and when it is closed.

    Shape:   read once its parents are finished; its keys have partitions from `first` to `last`, its records
             numbers from `begins` on.
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

    Shape:   `troubles` counts how often a record will still be refused (−1: until the faults stop);
             `trouble_kind` how, and `are_final` whether the handler says that it always will.
    """

    settings: MappingSettings
    style: Style
    troubles: dict[int, int]
    trouble_kind: FailureKind
    are_final: bool = False
    target_before: str = ""
    """How an earlier life has left what the target owns: "renamed", "set back" or ""."""

    @property
    def id(self) -> str:
        """How it is called."""
        return self.settings.id

    def is_wanted(self, record: ChangeRecord) -> bool:
        """Whether its filters let a record through, asked without the patterns that the machine asks."""
        return not self.settings.filters or record.size_bytes < 700 or int(record.key) > 2


@dataclass(slots=True)
class SimulationPlan:
    """Everything that a seed decides.

    Shape:   one or two `mappings` read the same shards; from `heal_ms` on no fault happens any more.
    """

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
    """Whether a stream before it is gone unread, of a source without one order of numbers for all streams."""
    new_yield_crashes: float = 0.0
    """How likely a worker dies at a yield that is new in the run."""
    races: float = 0.0
    """How likely another worker takes a shard while its owner writes a checkpoint or parks."""
    retention_ms: int = 0
    """How long the stream keeps a record; 0: for ever."""
    beside: Mapping[int, int] = field(default_factory=dict)
    """The workers, by number, that follow so many shards which the others know nothing of: they have the
    app's next version, with one table more.
    """
    counts: Counter[str] = field(default_factory=Counter)


def count(made: SimulationPlan) -> None:
    """Note what a plan tries."""
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
    "order=shard transactional": lambda s: s.is_transactional,
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
