"""What a fleet's calls cost at AWS's list price: for `tailrace top`.

Theory of operation: prices are those of tailrace.aws.prices. A write of the state is a request unit for each
begun kilobyte, and two in a transaction; what rows tell are writes, so what is said is the least that they
cost. Only a state in DynamoDB costs by the write.
Rules of this file: pure; a call without a price is told without a cost. Stands alone as what `top` decides.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from tailrace.aws.prices import PRICES, SECONDS_A_MONTH

STREAMS: Final = "dynamodbstreams"
DYNAMODB: Final = "dynamodb"


class Rate(Struct, frozen=True):
    """One kind of call: how often, and what that costs; None: no price is known."""

    call: str
    per_second: float
    usd_per_month: float | None

    def value(self) -> dict[str, Any]:
        """As JSON."""
        return {"call": self.call, "per_second": self.per_second, "usd_per_month": self.usd_per_month}


def costs(
    writes: Mapping[str, float], calls: Mapping[tuple[str, str], float] | None, *, is_dynamodb: bool
) -> list[Rate]:
    """Writes of the state by kind and calls of workers, with their cost a month at this rate.

    >>> [rate.usd_per_month for rate in costs({"checkpoints": 1.0}, None, is_dynamodb=True)]
    [1.6425]
    """
    rates = [
        Rate(f"state: {kind}", rate, month("write", rate) if is_dynamodb else None)
        for kind, rate in writes.items()
    ]
    for (service, operation), rate in sorted((calls or {}).items()):
        unit = UNITS.get((service, operation))
        rates.append(Rate(f"{service} {operation}", rate, None if unit is None else month(unit, rate)))
    return rates


UNITS: Final[Mapping[tuple[str, str], str]] = {
    (STREAMS, "get_records"): "stream read",
    (STREAMS, "get_shard_iterator"): "free",
    (STREAMS, "describe_stream"): "free",
    (STREAMS, "list_streams"): "free",
}
"""What a call costs at least. Writes of the state are priced by its rows, lest they be counted twice."""


def month(unit: str, per_second: float) -> float:
    """US dollars a month of 730 hours.

    >>> month("stream read", 1.0)
    0.5256
    """
    return round(per_second * SECONDS_A_MONTH * PRICES[unit].usd_per_million / 1_000_000, 4)
