"""What can be seen of a running node from outside: `/metrics` for Prometheus, `/ready` for its supervisor.

Rules of this file: both are views of one `Observed` snapshot; the decision of readiness is pure. A name that
is not in `telemetry.METRICS` is not exposed, and each of those is. Called by `scrape`, with what `snapshot`
saw.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import orjson
from msgspec import Struct, field

from tailrace.engine.destinations.destinations import DestinationStanding
from tailrace.runtime.attempts import Tally
from tailrace.telemetry import AWS_METRICS, METRICS, AwsMetric, Metric

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Family

Labels: TypeAlias = tuple[str, ...]
Response: TypeAlias = tuple[int, str, bytes]
"""Status, kind and body."""
COUNTED: Final = {metric.metric: metric for metric in AWS_METRICS}

OF_DESTINATIONS: Final = "tailrace_kinesis_destination_"
SNAPSHOT_MEMBERS: Final = {
    "tailrace_snapshot_done_ratio": ("share", 1),
    "tailrace_snapshot_items": ("items", 1),
    "tailrace_snapshot_rcu": ("read_units", 1),
    "tailrace_snapshot_left_seconds": ("left_ms", 1_000),
    "tailrace_snapshot_still_seconds": ("still_ms", 1_000),
    "tailrace_snapshot_end_timestamp_seconds": ("ended_ms", 1_000),
}
"""What each number of a snapshot is called in its view, and how many of that unit are one of the metric's."""
SNAPSHOT_STATES: Final = (
    "waiting", "paused", "begun", "agreeing", "scanning", "sweeping", "done", "failed"
)  # fmt: skip
STUCK_AGE_MS: Final = 60_000
STUCK_STILLNESS_MS: Final = 60_000


class Durations(Struct, frozen=True):
    """How long calls took. Shape: cumulative counts by upper bound in seconds, the last bound "+Inf"."""

    buckets: Sequence[tuple[str, float]] = (("+Inf", 0.0),)
    seconds: float = 0.0


class ShardProgress(Struct, frozen=True):
    """How one handler stands in one shard.

    Units: oldest_unsettled_ms is an age by the wall clock, None when all that is known is settled; still_ms
           is the time since its checkpoint last moved (since its start, before the first), by the monotonic
           clock, None where it does not run; lag_ms how old that knowledge is, for what is None.
    """

    handler: str
    table: str
    shard: str
    oldest_unsettled_ms: int | None = None
    still_ms: int | None = 0
    lag_ms: int = 0

    @property
    def age_ms(self) -> int:
        """The age of the oldest change that is not settled, else of what is known."""
        return self.lag_ms if self.oldest_unsettled_ms is None else self.oldest_unsettled_ms


class HandlerTotals(Struct, frozen=True):
    """One handler's totals in all shards, since the data directory exists."""

    handler: str
    table: str
    settled: Mapping[str, int] = field(default_factory=dict)
    duplicates: int = 0
    dead_letters: int = 0
    durations: Durations = Durations()
    parked_keys: int = 0
    parked_oldest_ms: int = 0
    own_changes: int = 0
    open_windows: int = 0
    late_changes: int = 0
    open_gaps: int = 0
    gap_age_ms: int | None = None
    evacuating_shards: int = 0
    contested_shards: int = 0
    gap_records: int = 0
    unbalanced: int = 0
    tally: Tally = field(default_factory=Tally)


class Observed(Struct, frozen=True):
    """A process at one moment (`wall_ms`, since the epoch). `commit_error`: why the last commit failed, None
    when it did not; `snapshots` as `tailrace snapshot status --json` has them; `functions`: those that were
    invoked directly; `away_ms` for how long what a worker
    reaches could not be reached, by its kind; `cost_usd` of its reads.
    """

    version: str
    progress: Sequence[ShardProgress] = ()
    handlers: Sequence[HandlerTotals] = ()
    snapshots: Sequence[Mapping[str, Any]] = ()
    requests: Mapping[tuple[str, str], int] = field(default_factory=dict)
    shards: Mapping[tuple[str, str], int] = field(default_factory=dict)
    destinations: Sequence[DestinationStanding] = ()
    functions: Mapping[str, Tally] = field(default_factory=dict)
    commits: int = 0
    commit_error: str | None = None
    retention_ms: int = 86_400_000
    wall_ms: int = 0
    leases: Mapping[str, int] = field(default_factory=dict)
    calls: Mapping[tuple[str, str], int] = field(default_factory=dict)
    lease_changes: Mapping[str, int] = field(default_factory=dict)
    away_ms: Mapping[str, int] = field(default_factory=dict)
    cost_usd: float = 0.0


# ---- readiness ---------------------------------------------------------------------------------------------


class Limits(Struct, frozen=True):
    """When a handler counts as stuck: both must be exceeded. Units: milliseconds."""

    age_ms: int = STUCK_AGE_MS
    still_ms: int = STUCK_STILLNESS_MS


LIMITS: Final = Limits()


def reasons_against(observed: Observed, limits: Limits = LIMITS) -> list[dict[str, object]]:
    """Why the node is not ready; nothing when it is.

    A handler that waits for nothing is fine however long ago it moved, and so is one that is far behind and
    moves: only age and stillness together mean that progress has stopped while the table is written.
    """
    reasons: list[dict[str, object]] = []
    if observed.commit_error is not None:
        reasons.append({"reason": "commit", "message": f"the last commit failed: {observed.commit_error}"})
    for lost in observed.handlers:
        if lost.open_gaps:
            reasons.append(
                {
                    "reason": "gap",
                    "handler": lost.handler,
                    "table": lost.table,
                    "gaps": lost.open_gaps,
                    "message": f"{lost.handler} has lost changes of {lost.table}: "
                    "they were trimmed before it came to them",
                    "hint": f"tailrace gaps {lost.handler}, then tailrace gaps acknowledge {lost.handler}",
                }
            )
    for progress in observed.progress:
        age, still_ms = progress.oldest_unsettled_ms, progress.still_ms or 0
        if age is None or age <= limits.age_ms or still_ms <= limits.still_ms:
            continue
        reasons.append(
            {
                "reason": "stuck",
                "handler": progress.handler,
                "table": progress.table,
                "shard": progress.shard,
                "oldest_unsettled_seconds": age / 1_000,
                "still_seconds": still_ms / 1_000,
                "message": f"{progress.handler} has not moved for {still_ms / 1_000:g} s "
                f"in {progress.shard}, and its oldest change waits for {age / 1_000:g} s",
                "hint": "tailrace status",
            }
        )
    return reasons


def ready(observed: Observed, limits: Limits = LIMITS) -> "Response":
    """The answer of `/ready`: 200, or 503 with the reasons."""
    reasons = reasons_against(observed, limits)
    body = orjson.dumps({"ready": not reasons, "reasons": reasons})
    return (503 if reasons else 200), "application/json", body


# ---- metrics -----------------------------------------------------------------------------------------------


def metrics(observed: Observed) -> "Response":
    """The answer of `/metrics`: the text exposition of every metric of `telemetry.METRICS`."""
    # Imported here: it costs more than all the rest of the start, and many servers are never scraped.
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
    from prometheus_client.registry import Collector, CollectorRegistry

    class Snapshot(Collector):
        """One scrape."""

        def collect(self) -> Iterable["Family"]:
            """Every family with its samples."""
            return families(observed)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Snapshot())
    return 200, CONTENT_TYPE_LATEST, generate_latest(registry)


def families(observed: Observed) -> Iterator["Family"]:
    """One Prometheus family a metric."""
    from prometheus_client.metrics_core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )

    for metric in METRICS:
        if metric.kind == "histogram":
            histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
            for totals in observed.handlers:
                histogram.add_metric([totals.handler], totals.durations.buckets, totals.durations.seconds)
            for name, tally in observed.functions.items():
                histogram.add_metric([name], tally.buckets(), tally.total_ms / 1_000)
            yield histogram
            continue
        family = (CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily)(
            metric.name, metric.help, labels=metric.labels
        )
        for labels, value in samples(metric, observed):
            family.add_metric(labels, value)
        yield family


def samples(metric: Metric, observed: Observed) -> Iterator[tuple[Labels, float]]:
    """The label values and numbers of one counter or gauge."""
    match metric.name:
        case "tailrace_lag_seconds":
            yield from ((key, age / 1_000) for key, age in worst_ages(observed).items())
        case "tailrace_last_progress_timestamp_seconds":
            for key, still in worst_stillness(observed).items():
                yield key, (observed.wall_ms - still) / 1_000
        case "tailrace_retention_left_seconds":
            for key, age in worst_ages(observed).items():
                yield key, max(0, observed.retention_ms - age) / 1_000
        case "tailrace_changes_total":
            for totals in observed.handlers:
                yield from (((totals.handler, outcome), count) for outcome, count in totals.settled.items())
        case "tailrace_duplicates_suppressed_total":
            yield from (((totals.handler,), totals.duplicates) for totals in observed.handlers)
        case "tailrace_own_changes_total":
            yield from (((totals.handler,), totals.own_changes) for totals in observed.handlers)
        case "tailrace_open_windows":
            yield from (((totals.handler,), totals.open_windows) for totals in observed.handlers)
        case "tailrace_late_changes_total":
            yield from (((totals.handler,), totals.late_changes) for totals in observed.handlers)
        case "tailrace_open_gaps":
            yield from (((totals.handler,), totals.open_gaps) for totals in observed.handlers)
        case "tailrace_gap_records_total":
            yield from (((totals.handler,), totals.gap_records) for totals in observed.handlers)
        case "tailrace_unbalanced_changes":
            yield from (((totals.handler,), totals.unbalanced) for totals in observed.handlers)
        case "tailrace_checkpoint_failures_total":
            yield from (((totals.handler,), totals.tally.unsaved) for totals in observed.handlers)
        case "tailrace_evacuating_shards":
            yield from (((totals.handler,), totals.evacuating_shards) for totals in observed.handlers)
        case "tailrace_contested_shards":
            yield from (((totals.handler,), totals.contested_shards) for totals in observed.handlers)
        case "tailrace_parked_keys":
            yield from (((totals.handler,), totals.parked_keys) for totals in observed.handlers)
        case "tailrace_parked_oldest_seconds":
            yield from (((totals.handler,), totals.parked_oldest_ms / 1_000) for totals in observed.handlers)
        case "tailrace_dead_letters":
            yield from (((totals.handler,), totals.dead_letters) for totals in observed.handlers)
        case "tailrace_requests_total":
            yield from observed.requests.items()
        case "tailrace_commits_total":
            yield (), observed.commits
        case "tailrace_shards":
            yield from observed.shards.items()
        case "tailrace_leases":
            yield from (((state,), count) for state, count in observed.leases.items())
        case "tailrace_lease_changes_total":
            yield from (((reason,), count) for reason, count in observed.lease_changes.items())
        case "tailrace_unreachable_seconds":
            yield from (((what,), away_ms / 1_000) for what, away_ms in observed.away_ms.items())
        case "tailrace_source_calls_total":
            yield from observed.calls.items()
        case "tailrace_source_cost_usd_total":
            yield (), observed.cost_usd
        case "tailrace_build_info":
            yield (observed.version,), 1
        case name:
            yield from of_others(name, observed)


def of_others(name: str, observed: Observed) -> Iterator[tuple[Labels, float]]:
    """The samples of metrics that are told in groups."""
    if name in COUNTED:
        return counted(COUNTED[name], observed)
    if name.startswith(OF_DESTINATIONS):
        return of_destinations(name.removeprefix(OF_DESTINATIONS), observed)
    return of_snapshots(name, observed)


def of_destinations(name: str, observed: Observed) -> Iterator[tuple[Labels, float]]:
    """What the ways of tables into data streams say to a metric of theirs."""
    for one in observed.destinations:
        way = (one.table, one.stream_arn)
        match name:
            case "oldest_seconds":
                yield way, one.oldest_ms / 1_000
            case "throttled_records_total":
                yield way, one.throttled
            case "failed_records_total":
                yield (*way, "too large"), one.failed
                yield (*way, "lost"), one.lost


def of_snapshots(name: str, observed: Observed) -> Iterator[tuple[Labels, float]]:
    """What snapshots say to a metric of theirs; nothing where it is not known."""
    for value in observed.snapshots:
        if name == "tailrace_snapshot_state":
            for state in SNAPSHOT_STATES:
                yield (value["handler"], state), float(value["state"] == state)
            continue
        member, units = SNAPSHOT_MEMBERS[name]
        if (number := value.get(member)) is not None:
            yield (value["handler"],), number / units


def counted(metric: AwsMetric, observed: Observed) -> Iterator[tuple[Labels, float]]:
    """The numbers of handlers' tallies, and of functions that are invoked directly, as AWS counts them."""
    unit = 1_000 if metric.unit == "Milliseconds" else 1
    for totals in observed.handlers:
        yield (totals.handler,), getattr(totals.tally, metric.member) / unit
    if metric.dimension == "FunctionName":
        for name, tally in observed.functions.items():
            yield (name,), getattr(tally, metric.member) / unit


def worst_ages(observed: Observed) -> dict[tuple[str, str], int]:
    """By table and handler: the age of the oldest change of any shard that is unsettled, or lost in an open
    gap; where none is known, that of the oldest look. Never absent: 0 where no shard is there to be read.

    >>> worst_ages(Observed("1", handlers=[HandlerTotals("mail", "orders")]))
    {('orders', 'mail'): 0}
    """
    worst = {(totals.table, totals.handler): totals.gap_age_ms or 0 for totals in observed.handlers}
    # A gap counts, since what is gone has not been handled: the alarm does not end with the data.
    for progress in observed.progress:
        key = (progress.table, progress.handler)
        worst[key] = max(worst.get(key, 0), progress.age_ms)
    return worst


def worst_stillness(observed: Observed) -> dict[tuple[str, str], int]:
    """By table and handler that runs: the longest stillness of a shard with work left, else the shortest of
    all.
    """
    busy: dict[tuple[str, str], int] = {}
    idle: dict[tuple[str, str], int] = {}
    for progress in observed.progress:
        key, still_ms = (progress.table, progress.handler), progress.still_ms
        if still_ms is None:
            continue
        if progress.oldest_unsettled_ms is None:
            idle[key] = min(still_ms, idle.get(key, still_ms))
        else:
            busy[key] = max(still_ms, busy.get(key, 0))
    return {**idle, **busy}
