"""The settings of one mapping, with their bounds.

Rules of this file: AWS's names where AWS has one, in snake case, units last. `for_lambda` has AWS's defaults
exactly; the class's own defaults are the safe ones of Python names. A wrong value is refused when the mapping
is made, in a text that names the setting, the value and the bound.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, Self, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from tailrace.errors import SettingsError
from tailrace.mapping.filters import DataFilter, RecordFilter, read_filter_criteria
from tailrace.patterns.pattern import Pattern
from tailrace.streams.kinesis.names import is_data_stream
from tailrace.streams.record import ChangeRecord, ViewType
from tailrace.tables.schema import partition_of_key

Order: TypeAlias = Literal["key", "lane", "shard"]
"""A failing key steps aside; a failing batch blocks its lane (Lambda); a whole shard goes in sequence,
without holes.
"""
OnFailure: TypeAlias = Literal["park", "block", "discard", "drop"]
"""After the last attempt: the key waits, the shard waits, a dead letter is kept and the key goes on, nothing
is kept.
"""
OrderedBy: TypeAlias = Literal["item", "partition"]
INFINITE: Final = -1
LARGEST: Final = 1_000_000_000
"""A bound for what has no natural one: it only catches slips such as microseconds given as milliseconds."""


def _within(name: str, value: object, lowest: float, highest: float, also: str = "") -> float:
    whole = isinstance(lowest, int) and name != "backoff.factor"
    is_number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not is_number or not isinstance(value, int | float) or not lowest <= value <= highest:
        kind = "a whole number" if whole else "a number"
        raise SettingsError(
            f"{name}: {value!r} is not allowed; it is {also}{kind} from {lowest} to {highest}"
        )
    return value


class Backoff(Struct, frozen=True):
    """Exponential waiting: base, base×factor, … up to cap. Units: milliseconds. All zero: retry at once."""

    base_ms: int = 1_000
    factor: float = 2.0
    cap_ms: int = 300_000

    def __post_init__(self) -> None:
        _within("backoff.base_ms", self.base_ms, 0, LARGEST)
        _within("backoff.factor", self.factor, 1, 10)
        _within("backoff.cap_ms", self.cap_ms, 0, LARGEST)


class BreakerSettings(Struct, frozen=True):
    """How a sink that is out (it throttles, or is not there) is probed. A code error is never an outage."""

    probe: Backoff = Backoff(1_000, 2.0, 60_000)


class MappingSettings(Struct, frozen=True):
    """Everything the machine needs to know. Units: in the names; −1 means without end, as on AWS.

    Shape:   `max_keys` failing keys may stand aside, and as many be parked, each with `max_per_key` later
             changes; `max_ranges` bounds the settled ranges of one checkpoint. `accepts` must not raise.
             Source of the bounds: semantics §2.1.
    """

    id: str
    order: Order = "key"
    batch_size: int = 100
    batching_window_ms: int = 0
    parallelization_factor: int = 1
    maximum_retry_attempts: int = 5
    maximum_record_age_ms: int = INFINITE
    bisect_batch_on_function_error: bool = True
    report_batch_item_failures: bool = False
    batch_bytes: int = 6_000_000
    concurrency: int = 1
    keys_at_once: int = 1
    """How many keys of one batch the sink works on at the same time: a batch takes no fewer of them to leave
    some to other batches.
    """
    on_failure: OnFailure = "park"
    max_keys: int = 1_024
    max_per_key: int = 1_024
    buffer_records: int = 2_000
    buffer_bytes: int = 128 * 1024 * 1024
    """No further read while the records that are read and not settled weigh so much; one page may exceed
    it.
    """
    checkpoint_interval_ms: int = 0
    backoff: Backoff = Backoff()
    breaker: BreakerSettings | None = BreakerSettings()
    accepts: Callable[[ChangeRecord], bool] | None = None
    filters: tuple[Pattern, ...] = ()
    """What FilterCriteria say: a record passes when one of them matches, or when there are none."""
    max_ranges: int = 4_096
    tumbling_window_ms: int = 0
    """Windows of the records' own time, whose state a function carries on; 0: none. Only with one lane."""
    tumbling_idle_ms: int = 2_000
    """How long after its end, and after the source was last heard, the window of a shard without news is
    closed.
    """
    starts_at_end: bool = False
    """A new mapping begins behind what the stream holds (LATEST), not with its oldest record
    (TRIM_HORIZON).
    """
    is_transactional: bool = False
    """The target has the position beside its rows: a batch is accepted whole or not at all, and what is not
    in the target, because it was refused or trimmed, is a durable dead letter or gap before anything behind
    it is tried. Only with order="shard".
    """
    ordered_by: OrderedBy = "item"
    """What order="key" keeps in order, parks and puts back: the changes of an item, or of all items with one
    partition key.
    """
    max_generations: int = 16
    """How many of its own changes in one line of descent a handler is called for, before it is paused as a
    loop.
    """
    disorder_ms: int = 0
    """By so much the source may deliver changes of an item late and again (DynamoDB's records in a data
    stream): they are put in order, and one waits at most so long for one before it. 0: it keeps their order.
    Only with order="key".
    """
    waits_always: bool = False
    """Each change waits for the bound of disorder. Otherwise only one whose old image is not the last new
    one does, and an item that comes back to an image it had may hide that something is missing.
    """
    max_waiting: int = 10_000
    """How many changes may wait for one before them: above that the first of them waits no more."""

    def __post_init__(self) -> None:
        if not self.id:
            raise SettingsError("id: '' is not allowed; a mapping needs a stable name")
        if self.order not in ("key", "lane", "shard"):
            raise SettingsError(f"order: {self.order!r} is not allowed; it is 'key', 'lane' or 'shard'")
        if self.on_failure not in ("park", "block", "discard", "drop"):
            raise SettingsError(
                f"on_failure: {self.on_failure!r} is not allowed; it is 'park', 'block', 'discard' or 'drop'"
            )
        if self.ordered_by not in ("item", "partition"):
            raise SettingsError(
                f"ordered_by: {self.ordered_by!r} is not allowed; it is 'item' or 'partition'"
            )
        if self.ordered_by == "partition" and self.order != "key":
            raise SettingsError(
                f"ordered_by='partition' with order={self.order!r} is not allowed; it is for 'key'"
            )
        for name, (lowest, highest) in BOUNDS.items():
            _within(name, getattr(self, name), lowest, highest)
        if self.maximum_record_age_ms != INFINITE:
            _within("maximum_record_age_ms", self.maximum_record_age_ms, 60_000, 604_800_000, "-1, or ")
        if self.order == "shard":
            self._check_whole_shard()
        if self.is_transactional and self.order != "shard":
            raise SettingsError(
                f"order={self.order!r} is not allowed for a target that has the position beside its rows; it "
                "is order='shard' with on_failure='discard' or 'block'"
            )
        if self.disorder_ms and self.order != "key":
            raise SettingsError(
                f"order={self.order!r} is not allowed with a source that does not keep the order of an "
                "item's changes; only order='key' puts them in order"
            )
        if self.tumbling_window_ms:
            self._check_window()

    def _check_whole_shard(self) -> None:
        """What contradicts a sequence without holes. Source: growth §2.4."""
        stops = self.on_failure == "block"
        for name, is_wrong, reason in (
            (
                f"on_failure: {self.on_failure!r}",
                self.on_failure in ("park", "drop"),
                "it is 'discard' (a refused record becomes a dead letter) or 'block' (the shard stops at it)",
            ),
            (
                f"concurrency: {self.concurrency}",
                self.concurrency > 1,
                "one batch of a shard is in flight at a time",
            ),
            (
                f"parallelization_factor: {self.parallelization_factor}",
                self.parallelization_factor > 1,
                "one batch of a shard is in flight at a time",
            ),
            (
                f"maximum_record_age_ms: {self.maximum_record_age_ms}",
                self.maximum_record_age_ms != INFINITE,
                "no record is too old to be in sequence",
            ),
            (
                "bisect_batch_on_function_error: False",
                not self.bisect_batch_on_function_error,
                "a refused record is found by halves",
            ),
            (
                "a filter",
                stops and bool(self.filters or self.accepts is not None),
                "with on_failure='block' nothing of the shard is left out",
            ),
        ):
            if is_wrong:
                raise SettingsError(f"{name} is not allowed with order='shard'; {reason}")

    def _check_window(self) -> None:
        """Source: semantics §2.9 ("Not with ParallelizationFactor >1 and not with filters")."""
        for name, is_wrong, reason in (
            (f"order={self.order!r}", self.order != "lane", "windows belong to functions"),
            (
                f"ParallelizationFactor {self.parallelization_factor}",
                self.parallelization_factor > 1,
                "a tumbling window needs ParallelizationFactor 1",
            ),
            ("FilterCriteria", bool(self.filters), "a tumbling window takes every record"),
        ):
            if is_wrong:
                seconds = self.tumbling_window_ms // 1_000
                raise SettingsError(
                    f"TumblingWindowInSeconds: {seconds} is not allowed with {name}; {reason}"
                )

    @property
    def is_disordered(self) -> bool:
        """Whether the source does not keep the order of an item's changes."""
        return self.disorder_ms > 0

    @property
    def capacity(self) -> int:
        """How many records may wait in the machine: the buffer, but never less than one batch."""
        return max(self.buffer_records, self.batch_size)

    @property
    def at_once(self) -> int:
        """How many batches of one shard may be at the handler at once."""
        match self.order:
            case "key":
                return self.concurrency
            case "lane":
                return self.parallelization_factor
            case "shard":
                return 1

    def keyed(self, records: Sequence[ChangeRecord]) -> Sequence[ChangeRecord]:
        """Records with the key that ordered_by="partition" keeps them in order by."""
        return [replace(record, key=partition_of_key(record.key)) for record in records]

    def reading(self, stream_arn: str, view_type: ViewType, region: str) -> Self:
        """These settings for one stream, whose records are judged by the filters and then by `accepts`."""
        if not self.filters:
            return self
        if is_data_stream(stream_arn):
            passes: Callable[[ChangeRecord], bool] = DataFilter(self.filters)
        else:
            passes = RecordFilter(self.filters, stream_arn, view_type, region)
        accepts = self.accepts
        if accepts is None:
            return replace(self, accepts=passes)
        return replace(self, accepts=lambda record: passes(record) and accepts(record))

    @classmethod
    def for_lambda(cls, id: str, **changes: object) -> Self:
        """AWS's own defaults: unlimited retries, no bisect, one lane that a failing batch blocks. No breaker.

        Shape:   `changes` by AWS's names (`BatchSize=10`, `FilterCriteria={…}`, …) or by ours;
                 `pattern_dialect="event-bus"` lets filters use wildcard, cidr and the like too, which a
                 mapping on AWS refuses.
        Raises:  SettingsError.
        Source:  semantics §2.1.
        """
        known = set(cls.__struct_fields__)
        values: dict[str, Any] = {
            "order": "lane",
            "maximum_retry_attempts": INFINITE,
            "bisect_batch_on_function_error": False,
            "breaker": None,
            "on_failure": "discard",
        }
        dialect = changes.pop("pattern_dialect", "mapping")
        if dialect not in ("mapping", "event-bus"):
            raise SettingsError(
                f"pattern_dialect: {dialect!r} is not allowed; it is 'mapping' or 'event-bus'"
            )
        if "FilterCriteria" in changes:
            values["filters"] = read_filter_criteria(changes.pop("FilterCriteria"), dialect)
        for name, value in changes.items():
            ours = _from_aws(name, value) if name in AWS_NAMES else {name: value}
            if not ours.keys() <= known:
                raise SettingsError(
                    f"{name}: no such setting; there are {', '.join(sorted((*AWS_NAMES, *OTHERS)))}"
                )
            values.update(ours)
        return cls(id, **values)


BOUNDS: Final[Mapping[str, tuple[int, int]]] = {
    "batch_size": (1, 10_000),
    "batching_window_ms": (0, 300_000),
    "parallelization_factor": (1, 10),
    "maximum_retry_attempts": (INFINITE, 10_000),
    "maximum_record_age_ms": (INFINITE, 604_800_000),
    "batch_bytes": (1, LARGEST),
    "concurrency": (1, 1_000),
    "keys_at_once": (1, 10_000),
    "max_keys": (1, 1_000_000),
    "max_per_key": (1, 1_000_000),
    "buffer_records": (1, 1_000_000),
    "buffer_bytes": (1, 1 << 40),
    "checkpoint_interval_ms": (0, 3_600_000),
    "max_ranges": (1, 1_000_000),
    "tumbling_window_ms": (0, 900_000),
    "tumbling_idle_ms": (0, 3_600_000),
    "max_generations": (1, 1_000_000),
    "disorder_ms": (0, 3_600_000),
    "max_waiting": (1, 1_000_000),
}
AWS_NAMES: Final[Mapping[str, str]] = {
    "BatchSize": "batch_size",
    "MaximumBatchingWindowInSeconds": "batching_window_ms",
    "ParallelizationFactor": "parallelization_factor",
    "MaximumRetryAttempts": "maximum_retry_attempts",
    "MaximumRecordAgeInSeconds": "maximum_record_age_ms",
    "BisectBatchOnFunctionError": "bisect_batch_on_function_error",
    "FunctionResponseTypes": "report_batch_item_failures",
    "TumblingWindowInSeconds": "tumbling_window_ms",
    "StartingPosition": "starts_at_end",
}
POSITIONS: Final = ("TRIM_HORIZON", "LATEST")
OTHERS: Final = ("FilterCriteria", "DestinationConfig", "Timeout", "MemorySize", "Environment")
"""What a function is given besides, and others read."""


def _from_aws(name: str, value: object) -> dict[str, object]:
    """One of AWS's settings in our name and unit; the value is refused in AWS's own name and unit."""
    if name.endswith("InSeconds"):
        lowest, highest = BOUNDS[AWS_NAMES[name]]
        seconds = _within(name, value, max(lowest, lowest // 1_000), highest // 1_000)
        if name == "MaximumRecordAgeInSeconds" and seconds != INFINITE:
            _within(name, value, 60, 604_800, "-1, or ")
        value = INFINITE if seconds == INFINITE else int(seconds * 1_000)
    elif name == "FunctionResponseTypes":
        if value not in ([], ["ReportBatchItemFailures"]):
            raise SettingsError(
                f"{name}: {value!r} is not allowed; it is [] or [{'ReportBatchItemFailures'!r}]"
            )
        value = bool(value)
    elif name == "StartingPosition":
        if value not in POSITIONS:
            raise SettingsError(
                f"{name}: {value!r} is not allowed; of a DynamoDB stream it is 'TRIM_HORIZON' or 'LATEST'"
            )
        value = value == "LATEST"
    elif name == "BisectBatchOnFunctionError":
        if not isinstance(value, bool):
            raise SettingsError(f"{name}: {value!r} is not allowed; it is true or false")
    else:
        _within(name, value, *BOUNDS[AWS_NAMES[name]])
    return {AWS_NAMES[name]: value}
