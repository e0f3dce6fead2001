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
STARTING_POINTS: Final = (
    "stamp.done",  # a mapping's checkpoint is under the new epoch, nothing is read under it
)
POINTS: Final = FLOW_POINTS + PARKING_POINTS + STARTING_POINTS
SINK_POINTS: Final = (
    "target.stamped",  # a target that owns the checkpoint has the new epoch, nothing was asked since
    "page.written",  # a page of a snapshot is in the sink, and it is not saved that it is
    "page.saved",  # how far the snapshot is was saved
    "sweep.begun",  # all pages are saved, nothing that the scan has not seen is deleted
)
"""What is passed only where a sink keeps positions, or is given snapshots."""


LEASE_REASONS: Final = ("taken", "taken over", "handed over", "finished", "given back", "lost", "expired")
"""Why a lease came to a worker, or went: it was free, or its owner was gone; another worker is to have it,
all handlers are done with the shard, or the worker ends; another worker has it, or the own heartbeat failed.
"""


class AwsMetric(NamedTuple):
    """One metric of AWS's by its own name, unit and dimension: the metric of ours that says the same, and the
    number of a Tally that it is.
    """

    name: str
    unit: str
    dimension: str
    metric: str
    member: str


class Metric(NamedTuple):
    """One metric: its name, kind (`counter`, `gauge`, `histogram`), labels and what it says, with the
    unit.
    """

    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


METRICS: Final = (
    Metric(
        "tailrace_lag_seconds",
        "gauge",
        ("table", "handler"),
        "age of the oldest change that is not settled or was lost in a gap; where none is known, of the last "
        "look at its shards. Never absent",
    ),
    Metric(
        "tailrace_last_progress_timestamp_seconds",
        "gauge",
        ("table", "handler"),
        "when a checkpoint last moved, in seconds since the epoch: to be shown, for a table without changes "
        "moves none",
    ),
    Metric(
        "tailrace_retention_left_seconds",
        "gauge",
        ("table", "handler"),
        "time until the oldest unsettled change is trimmed, 0 once one was. Never absent",
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
        "changes that a handler was called for and had caused itself; at max_generations in one line "
        "it is paused",
    ),
    Metric(
        "tailrace_open_windows",
        "gauge",
        ("handler",),
        "parts of time and keys with changes that a window has still to tell",
    ),
    Metric(
        "tailrace_late_changes_total",
        "counter",
        ("handler",),
        "changes that came after their window was closed for good",
    ),
    Metric("tailrace_dead_letters", "gauge", ("handler",), "changes given up and kept"),
    Metric(
        "tailrace_invocations_total",
        "counter",
        ("handler",),
        "calls with a batch, retries included (AWS: Invocations)",
    ),
    Metric("tailrace_errors_total", "counter", ("handler",), "calls that raised or timed out (AWS: Errors)"),
    Metric(
        "tailrace_throttles_total",
        "counter",
        ("handler",),
        "calls that were told to come later; they are no invocations (AWS: Throttles)",
    ),
    Metric("tailrace_concurrent_calls", "gauge", ("handler",), "calls under way (AWS: ConcurrentExecutions)"),
    Metric(
        "tailrace_iterator_age_seconds",
        "gauge",
        ("handler",),
        "age of the last record of the last batch when it was handed over (AWS: IteratorAge)",
    ),
    Metric(
        "tailrace_polled_events_total",
        "counter",
        ("handler",),
        "records read for a handler (AWS: PolledEventCount)",
    ),
    Metric(
        "tailrace_filtered_out_events_total",
        "counter",
        ("handler",),
        "records that a filter kept from it (AWS: FilteredOutEventCount)",
    ),
    Metric(
        "tailrace_invoked_events_total",
        "counter",
        ("handler",),
        "records handed over, each as often as it was (AWS: InvokedEventCount)",
    ),
    Metric(
        "tailrace_failed_invoke_events_total",
        "counter",
        ("handler",),
        "of those, the ones whose call failed or reported them (AWS: FailedInvokeEventCount)",
    ),
    Metric(
        "tailrace_dropped_events_total",
        "counter",
        ("handler",),
        "records that AWS would have lost; here their dead letters are kept (AWS: DroppedEventCount)",
    ),
    Metric(
        "tailrace_destination_delivered_events_total",
        "counter",
        ("handler",),
        "records that an on-failure destination was told of (AWS: OnFailureDestinationDeliveredEventCount)",
    ),
    Metric(
        "tailrace_destination_failures_total",
        "counter",
        ("handler",),
        "deliveries to an on-failure destination that failed; each is repeated (AWS: "
        "DestinationDeliveryFailures)",
    ),
    Metric(
        "tailrace_open_gaps",
        "gauge",
        ("handler",),
        "ranges trimmed before they were read, and not acknowledged",
    ),
    Metric(
        "tailrace_gap_records_total",
        "counter",
        ("handler",),
        "changes lost in gaps, acknowledged ones too: as many as were skipped by an operator, and "
        "one for each "
        "range that was trimmed, of which nobody knows how many it had",
    ),
    Metric(
        "tailrace_unbalanced_changes",
        "gauge",
        ("handler",),
        "changes read here that neither wait nor have come to exactly one end: 0, or a fault of tailrace",
    ),
    Metric(
        "tailrace_checkpoint_failures_total",
        "counter",
        ("handler",),
        "tries to save a checkpoint that failed; each is repeated",
    ),
    Metric(
        "tailrace_evacuating_shards",
        "gauge",
        ("handler",),
        "shards of which changes are kept from the trim until the handler takes them",
    ),
    Metric(
        "tailrace_contested_shards",
        "gauge",
        ("handler",),
        "shards that are read here while their lease has named another worker for longer than a lease lasts",
    ),
    Metric(
        "tailrace_snapshot_done_ratio",
        "gauge",
        ("handler",),
        "share of the table that the last snapshot has read, by an estimate; absent where there is none",
    ),
    Metric(
        "tailrace_snapshot_items",
        "gauge",
        ("handler",),
        "rows that the last snapshot has written to the sink",
    ),
    Metric("tailrace_snapshot_rcu", "gauge", ("handler",), "read units that the last snapshot has used"),
    Metric(
        "tailrace_snapshot_left_seconds",
        "gauge",
        ("handler",),
        "about how long a snapshot reads yet, at the rate so far; absent where that is not known",
    ),
    Metric(
        "tailrace_snapshot_still_seconds",
        "gauge",
        ("handler",),
        "for how long a snapshot that is wanted has not moved; 0 when it is paused, or none is wanted",
    ),
    Metric(
        "tailrace_snapshot_state",
        "gauge",
        ("handler", "state"),
        "1 for the state of the last snapshot: waiting for a worker, paused, begun, agreeing, scanning, "
        "sweeping, done or failed; 0 for the others",
    ),
    Metric(
        "tailrace_snapshot_end_timestamp_seconds",
        "gauge",
        ("handler",),
        "when the last snapshot ended, in seconds since the epoch; absent while it has not",
    ),
    Metric("tailrace_parked_keys", "gauge", ("handler",), "items whose changes wait for a redrive"),
    Metric(
        "tailrace_parked_oldest_seconds", "gauge", ("handler",), "time since the oldest of them was parked"
    ),
    Metric(
        "tailrace_handler_seconds", "histogram", ("handler",), "time of one call of a handler (AWS: Duration)"
    ),
    Metric("tailrace_requests_total", "counter", ("operation", "status"), "requests answered"),
    Metric("tailrace_commits_total", "counter", (), "group commits"),
    Metric(
        "tailrace_leases",
        "gauge",
        ("state",),
        "leases of this worker: held, draining for another one, or wanted and not there yet",
    ),
    Metric(
        "tailrace_lease_changes_total",
        "counter",
        ("reason",),
        "leases that came to this worker (taken, taken over) or went, by reason",
    ),
    Metric(
        "tailrace_unreachable_seconds",
        "gauge",
        ("what",),
        "for how long the state, a stream or the items of a table could not be reached; 0 when they can",
    ),
    Metric(
        "tailrace_source_calls_total",
        "counter",
        ("operation", "result"),
        "calls of DynamoDB Streams that this worker's readers made, by their result: ok, or AWS's code",
    ),
    Metric(
        "tailrace_source_cost_usd_total",
        "counter",
        (),
        "what the GetRecords calls of this worker that succeeded cost at the price of --read-price; "
        "what is free "
        "in a month is not taken off",
    ),
    Metric(
        "tailrace_shards",
        "gauge",
        ("table", "state"),
        "of a server: shards of the current stream, open or closed; of a worker: shards that it "
        "holds, read within "
        "a minute or unread, and those that it tells since no living worker holds them, unowned",
    ),
    Metric(
        "tailrace_kinesis_destination_oldest_seconds",
        "gauge",
        ("table", "stream"),
        "age of the oldest change that waits to be copied into a data stream, 0 where none does (AWS: "
        "AgeOfOldestUnreplicatedRecord)",
    ),
    Metric(
        "tailrace_kinesis_destination_throttled_records_total",
        "counter",
        ("table", "stream"),
        "records that a shard of a data stream was too busy for, each time that it was, since the start "
        "(AWS: ThrottledPutRecordCount)",
    ),
    Metric(
        "tailrace_kinesis_destination_failed_records_total",
        "counter",
        ("table", "stream", "reason"),
        "changes that were not copied: too large for the data stream, or lost because they waited for a day "
        "(AWS: FailedToReplicateRecordCount)",
    ),
    Metric("tailrace_build_info", "gauge", ("version",), "the running version; the value is always 1"),
)

AWS_METRICS: Final = (
    AwsMetric("Invocations", "Count", "FunctionName", "tailrace_invocations_total", "invocations"),
    AwsMetric("Errors", "Count", "FunctionName", "tailrace_errors_total", "errors"),
    AwsMetric("Throttles", "Count", "FunctionName", "tailrace_throttles_total", "throttles"),
    AwsMetric("Duration", "Milliseconds", "FunctionName", "tailrace_handler_seconds", "total_ms"),
    AwsMetric("ConcurrentExecutions", "Count", "FunctionName", "tailrace_concurrent_calls", "concurrent"),
    AwsMetric(
        "IteratorAge", "Milliseconds", "FunctionName", "tailrace_iterator_age_seconds", "iterator_age_ms"
    ),
    AwsMetric(
        "DestinationDeliveryFailures",
        "Count",
        "FunctionName",
        "tailrace_destination_failures_total",
        "undelivered",
    ),
    AwsMetric(
        "PolledEventCount", "Count", "EventSourceMappingUUID", "tailrace_polled_events_total", "polled"
    ),
    AwsMetric(
        "FilteredOutEventCount",
        "Count",
        "EventSourceMappingUUID",
        "tailrace_filtered_out_events_total",
        "filtered",
    ),
    AwsMetric(
        "InvokedEventCount", "Count", "EventSourceMappingUUID", "tailrace_invoked_events_total", "invoked"
    ),
    AwsMetric(
        "FailedInvokeEventCount",
        "Count",
        "EventSourceMappingUUID",
        "tailrace_failed_invoke_events_total",
        "failed",
    ),
    AwsMetric(
        "DroppedEventCount", "Count", "EventSourceMappingUUID", "tailrace_dropped_events_total", "dropped"
    ),
    AwsMetric(
        "OnFailureDestinationDeliveredEventCount",
        "Count",
        "EventSourceMappingUUID",
        "tailrace_destination_delivered_events_total",
        "delivered",
    ),
)
"""AWS's metrics of a function and of its event source mapping. Not there: DeadLetterErrors (asynchronous
invocations have no dead-letter queue here) and DeletedEventCount (of SQS). Source: semantics §2.12.
"""


LOG_FIELDS: Final = (
    "time",
    "level",
    "message",
    "event_id",
    "key",
    "handler",
    "table",
    "shard",
    "attempt",
    "error",
    "place",
    "hint",
    "trace",
)
