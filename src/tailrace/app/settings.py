"""Settings by keyword, beside those with a parameter of their own: for type checkers and for refusals.

Rules of this file: names and types (PEP 692, `**settings: Unpack[…]`), and what order over shards makes of
settings; bounds, defaults and meanings are
those of mapping/settings.py and function_settings.py, and docs/reference/settings.md says them.
"""

import difflib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Literal, TypedDict

from msgspec import structs

from tailrace.errors import SettingsError
from tailrace.mapping.settings import INFINITE, BreakerSettings, MappingSettings, OrderedBy
from tailrace.patterns.pattern import Pattern


class HandlerSettings(TypedDict, total=False):
    """What every handler, sink, projection and window may set besides. Units: in the names."""

    batching_window_ms: int
    maximum_record_age_ms: int
    bisect_batch_on_function_error: bool
    batch_bytes: int
    keys_at_once: int
    buffer_records: int
    buffer_bytes: int
    checkpoint_interval_ms: int
    breaker: BreakerSettings | None
    filters: tuple[Pattern, ...]
    max_ranges: int
    tumbling_window_ms: int
    tumbling_idle_ms: int
    max_generations: int
    ordered_by: OrderedBy


class BatchSettings(HandlerSettings, total=False):
    """What has a batch size of its own may set besides."""

    concurrency: int


class SinkSettings(BatchSettings, total=False):
    """What a sink of a table may set besides."""

    batch_size: int


class LambdaSettings(SinkSettings, total=False):
    """What a Lambda function may set: AWS's names and defaults, of its mapping and its owelse ours."""

    BatchSize: int
    MaximumBatchingWindowInSeconds: int
    ParallelizationFactor: int
    MaximumRetryAttempts: int
    MaximumRecordAgeInSeconds: int
    BisectBatchOnFunctionError: bool
    FunctionResponseTypes: Sequence[Literal["ReportBatchItemFailures"]]
    TumblingWindowInSeconds: int
    StartingPosition: Literal["TRIM_HORIZON", "LATEST"]
    FilterCriteria: Mapping[str, Any]
    DestinationConfig: Mapping[str, Any]
    Timeout: int
    MemorySize: int
    Environment: Mapping[str, Mapping[str, str]]
    pattern_dialect: Literal["mapping", "event-bus"]


NAMES: Final = frozenset(SinkSettings.__annotations__) | frozenset(HandlerSettings.__annotations__)


PARAMETERS: Final = frozenset({
    "batch_size", "concurrency", "id", "on_failure", "once", "retry", "timeout", "where",
})  # fmt: skip
"""What a declaration takes by itself."""


def check_names(name: str, settings: Collection[str]) -> None:
    """Refuse what no handler has. Raises: SettingsError."""
    for setting in settings:
        if setting not in NAMES:
            near = difflib.get_close_matches(setting, sorted(NAMES | PARAMETERS), n=1, cutoff=0.6)
            meant = f"did you mean {near[0]}? " if near else ""
            raise SettingsError(
                f"handler {name!r}: {setting}: no such setting; {meant}there are "
                f"{', '.join(sorted(NAMES | PARAMETERS))}"
            )


def whole_shards(place: str, settings: MappingSettings) -> MappingSettings:
    """A handler's settings with each shard in sequence; where the shard waits for a change that fails, it is
    tried without end. Raises: SettingsError.
    """
    changes: dict[str, Any] = {"order": "shard"}
    if settings.on_failure == "block":  # it would refuse filters, for what is left out of an archive is lost
        changes |= {"on_failure": "discard", "maximum_retry_attempts": INFINITE}
    try:
        return structs.replace(settings, **changes)
    except SettingsError as error:
        raise SettingsError(f"{place}: {error}") from error
