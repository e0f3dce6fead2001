"""What a setting costs a month at AWS, by formula: as a Lambda function, and by workers of one's own.

Theory of operation: what the plan counted is one stretch of time, and a month has so many of them. Lambda
polls for nothing and asks for each call and its gigabyte-seconds. A worker pays for each GetRecords, also one
that brings nothing, for each checkpoint, for its heartbeat, and for the machine that it runs on.
Rules of this file: pure; prices are given, and whoever shows a sum shows them. Source: reference/operations
§8.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from tailrace.errors import SettingsError
from tailrace.planning.core.measures import PlanFigures
from tailrace.planning.core.quantities import number

SECONDS_A_MONTH: Final = 730 * 3_600
HEARTBEAT_S: Final = 10 / 3
"""A worker writes one row so often: a third of a lease."""
NAMES: Final[Mapping[str, str]] = {
    "invocation": "a million invocations of Lambda",
    "gb-second": "a million gigabyte-seconds of Lambda",
    "stream-read": "a million GetRecords of DynamoDB Streams",
    "write": "a million write request units of the state's table",
    "worker-hour": "an hour of the machine that one worker runs on",
}


class PlanCost(Struct, frozen=True):
    """US dollars a month. Shape: None: it reads no stream of AWS's, or is not run so."""

    function: float
    polling: float
    state: float
    machines: float

    @property
    def worker(self) -> float:
        """Of workers of one's own, all together."""
        return self.polling + self.state + self.machines


def read_prices(defaults: Mapping[str, float], said: Mapping[str, str]) -> dict[str, float]:
    """Prices with those that were said. Raises: SettingsError."""
    prices = dict(defaults)
    for name, text in said.items():
        if name not in NAMES:
            raise SettingsError(f"price: {name}: no such price; there are {', '.join(NAMES)}")
        prices[name] = number(f"price: {name}", text, 0, 1_000_000)
    return prices


def cost_of(figures: PlanFigures, prices: Mapping[str, float], memory_mb: int, workers: int) -> PlanCost:
    """What a setting costs at this traffic, all month long."""
    seconds = figures.length_us / 1_000_000
    times = SECONDS_A_MONTH / seconds / 1_000_000
    gigabytes = figures.busy_us / 1_000_000 * memory_mb / 1_024
    return PlanCost(
        (figures.invocations * prices["invocation"] + gigabytes * prices["gb-second"]) * times,
        figures.reads * prices["stream-read"] * times,
        (figures.checkpoints + seconds / HEARTBEAT_S * workers) * prices["write"] * times,
        workers * SECONDS_A_MONTH / 3_600 * prices["worker-hour"],
    )
