"""Provisioned throughput over time: its limits, and how often it may be lowered.

Rules of this file: pure; time is told. Called by `engine.table_settings`. Source: AWS Developer Guide,
"Quotas"; semantics §6.11.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tailrace.errors import ApiError, validation_error
from tailrace.streams.dates import DAY_MS, moment
from tailrace.tables.schema import INVALID

MOST_UNITS: Final = 1_000_000_000_000
"""A figure above it is no throughput at all, whatever the quota."""
TABLE_UNITS: Final = 40_000
ACCOUNT_UNITS: Final = 80_000
"""AWS's default quotas. Told by DescribeLimits and not enforced: quotas are raised by asking."""
UNITS_MISSING: Final = (
    f"{INVALID}ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is "
    "PROVISIONED"
)
UNITS_REFUSED: Final = (
    f"{INVALID}Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is "
    "PAY_PER_REQUEST"
)
FREE_DECREASES: Final = 4
DECREASE_MS: Final = 3_600_000
WEEKDAYS: Final = ("Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday")
FULL_MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


class ThroughputHistory(msgspec.Struct, frozen=True):
    """When a table's throughput last changed. Units: ms since the epoch; `decreases` are of that UTC day."""

    increased_ms: int | None = None
    decreased_ms: int | None = None
    decreases: int = 0

    def decreases_on(self, wall_ms: int) -> int:
        """How often it was lowered on the UTC day of this moment."""
        if self.decreased_ms is None or self.decreased_ms // DAY_MS != wall_ms // DAY_MS:
            return 0
        return self.decreases

    def after(self, before: tuple[int, int], units: tuple[int, int], wall_ms: int) -> "ThroughputHistory":
        """The history after a change. Raises: ApiError LimitExceededException after too many decreases."""
        history = self
        if units[0] < before[0] or units[1] < before[1]:
            count = self.decreases_on(wall_ms)
            last_ms = self.decreased_ms or 0
            if count >= FREE_DECREASES and wall_ms < last_ms + DECREASE_MS:
                raise _too_often(count, last_ms)
            history = msgspec.structs.replace(history, decreased_ms=wall_ms, decreases=count + 1)
        if units[0] > before[0] or units[1] > before[1]:
            history = msgspec.structs.replace(history, increased_ms=wall_ms)
        return history

    def described(self, units: tuple[int, int], wall_ms: int) -> dict[str, Any]:
        """AWS's ProvisionedThroughputDescription."""
        answer: dict[str, Any] = {}
        if self.increased_ms is not None:
            answer["LastIncreaseDateTime"] = self.increased_ms / 1_000
        if self.decreased_ms is not None:
            answer["LastDecreaseDateTime"] = self.decreased_ms / 1_000
        answer["NumberOfDecreasesToday"] = self.decreases_on(wall_ms)
        answer["ReadCapacityUnits"], answer["WriteCapacityUnits"] = units
        return answer


def check_units(throughput: Mapping[str, int], index: str | None = None) -> tuple[int, int]:
    """(reads, writes) of the ProvisionedThroughput of a table or an index. Raises: ApiError."""
    for name in ("ReadCapacityUnits", "WriteCapacityUnits"):
        if throughput[name] > MOST_UNITS:
            where = "" if index is None else f" for index {index}"
            raise validation_error(f"Given value {throughput[name]} for {name} is out of bounds{where}")
    return throughput["ReadCapacityUnits"], throughput["WriteCapacityUnits"]


def _too_often(count: int, last_ms: int) -> ApiError:
    return ApiError(
        "LimitExceededException",
        "Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC "
        "day. After the first "
        f"{FREE_DECREASES} decreases, each subsequent decrease in the same UTC day can be performed "
        "at most once every "
        f"{DECREASE_MS // 1_000} seconds. Number of decreases today: {count}. Last decrease at "
        f"{_spoken(last_ms)}. "
        f"Next decrease can be made at {_spoken(last_ms + DECREASE_MS)}",
    )


def _spoken(wall_ms: int) -> str:
    """A moment as this message says it.

    >>> _spoken(1_532_503_329_000)
    'Wednesday, July 25, 2018 at 7:22:09 AM Coordinated Universal Time'
    """
    at = moment(wall_ms)
    hour, half = at.hour % 12 or 12, "AM" if at.hour < 12 else "PM"
    clock = f"{hour}:{at.minute:02d}:{at.second:02d} {half}"
    return (
        f"{WEEKDAYS[at.weekday]}, {FULL_MONTHS[at.month - 1]} {at.day}, {at.year} at {clock} Coordinated "
        "Universal Time"
    )
