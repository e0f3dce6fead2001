"""The settings of one mapping, with their bounds.

Rules of this file: AWS's names where AWS has one, in snake case, units last. `for_lambda` has AWS's defaults exactly;
the class's own defaults are the safe ones of Python names. A wrong value is refused when the mapping is made, in a
text that names the setting, the value and the bound.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias

from tailrace.streams.record import ChangeRecord

Order: TypeAlias = Literal["key", "lane"]
INFINITE = -1


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential waiting: base, base×factor, … up to cap. Units: milliseconds. All zero: retry at once."""

    base_ms: int = 1_000
    factor: float = 2.0
    cap_ms: int = 300_000


@dataclass(frozen=True, slots=True)
class BreakerSettings:
    """When failures are an outage: of the last `window` distinct keys, `ratio` failed (at least `minimum`)."""

    window: int = 20
    minimum: int = 10
    ratio: float = 0.5
    probe: Backoff = Backoff(1_000, 2.0, 60_000)


@dataclass(frozen=True, slots=True)
class MappingSettings:
    """Everything the machine needs to know. Units: in the names; −1 means without end, as on AWS."""

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
    max_keys: int = 1_024
    max_per_key: int = 1_024
    buffer_records: int = 2_000
    checkpoint_interval_ms: int = 0
    backoff: Backoff = Backoff()
    breaker: BreakerSettings | None = BreakerSettings()
    accepts: Callable[[ChangeRecord], bool] | None = None

    @classmethod
    def for_lambda(cls, id: str, **changes: object) -> Self:
        """AWS's own defaults: unlimited retries, no bisect, one lane that a failing batch blocks. No breaker."""
        raise NotImplementedError
