"""Names of what can be observed: crash points, metrics, log fields. No exporter lives here.

Rules of this file: plain constants; a name that is not listed here is not used anywhere.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

PointReached = Callable[[str], None]
"""Called with a point's name when the code passes it; the composition root decides what that does."""


def pass_by(point: str) -> None:
    """The production observer of points: it does nothing."""


WRITE_POINTS: Final = (
    "write.received",  # a request is parsed, nothing is decided
    "write.mutated",  # the change is decided, nothing is durable
    "commit.begun",  # the group's transaction is open
    "commit.written",  # all rows of the group are written, not committed
    "commit.done",  # the group is durable, no client knows it
    "answer.sent",  # the clients know it
)
DELIVERY_POINTS: Final = (
    "lease.taken",  # a worker holds a shard under a new epoch
    "read.done",  # records are in memory
    "invoke.begun",  # the handler is about to be called
    "invoke.done",  # the handler has returned, its recorded writes are not committed
    "transaction.done",  # its recorded writes and marks are durable
    "checkpoint.begun",  # a checkpoint is about to be saved
    "checkpoint.done",  # the checkpoint is durable
)
FLOW_POINTS: Final = WRITE_POINTS + DELIVERY_POINTS
"""What every change passes that no handler fails at."""
PARKING_POINTS: Final = (
    "park.begun",  # a failing key is about to be parked
    "park.done",  # it is durably parked, its checkpoint is not saved
)
POINTS: Final = FLOW_POINTS + PARKING_POINTS


class Metric(NamedTuple):
    """One metric: its name, kind (`counter`, `gauge`, `histogram`), labels and what it says, with the unit."""

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


METRICS: Final = (
    Metric(
        "tailrace_lag_seconds", "gauge", ("table", "handler"), "age of the oldest change that is not settled"
    ),
    Metric(
        "tailrace_last_progress_seconds", "gauge", ("table", "handler"), "time since a checkpoint last moved"
    ),
    Metric(
        "tailrace_retention_left_seconds",
        "gauge",
        ("table", "handler"),
        "time until the oldest unsettled change is trimmed",
    ),
    Metric("tailrace_changes_total", "counter", ("handler", "outcome"), "changes settled, by outcome"),
    Metric(
        "tailrace_duplicates_suppressed_total",
        "counter",
        ("handler",),
        "recorded writes that were already applied",
    ),
    Metric(
        "tailrace_own_changes_total",
        "counter",
        ("handler",),
        "changes that a handler was called for and had caused itself; at max_generations in one line it is paused",
    ),
    Metric("tailrace_dead_letters", "gauge", ("handler",), "changes given up and kept"),
    Metric(
        "tailrace_destination_failures_total",
        "counter",
        ("handler",),
        "deliveries to an on-failure destination that failed; each is repeated (AWS: DestinationDeliveryFailures)",
    ),
    Metric(
        "tailrace_destination_dropped_total",
        "counter",
        ("handler",),
        "changes that AWS would have lost with them (AWS: DroppedEventCount); here their dead letters are kept",
    ),
    Metric("tailrace_parked_keys", "gauge", ("handler",), "items whose changes wait for a redrive"),
    Metric(
        "tailrace_parked_oldest_seconds", "gauge", ("handler",), "time since the oldest of them was parked"
    ),
    Metric("tailrace_handler_seconds", "histogram", ("handler",), "time of one call of a handler"),
    Metric("tailrace_requests_total", "counter", ("operation", "status"), "requests answered"),
    Metric("tailrace_commits_total", "counter", (), "group commits"),
    Metric("tailrace_shards", "gauge", ("table", "state"), "shards of the current stream, by state"),
    Metric("tailrace_build_info", "gauge", ("version",), "the running version; the value is always 1"),
)

LOG_FIELDS: Final = (
    "time", "level", "message", "event_id", "key", "handler", "table", "shard", "attempt", "error", "hint", "trace",
)  # fmt: skip
