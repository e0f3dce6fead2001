"""AWS's list prices of what a fleet calls: one table, with its date and its source.

Rules of this file: us-east-1, on demand, US dollars, beyond the free tier; docs/reference/prices.md shows it.
Stands alone because it is what is changed when AWS changes a price.
"""

from typing import Final

from msgspec import Struct

AS_OF: Final = "2026-11-27"
SECONDS_A_MONTH: Final = 730 * 3_600


class Price(Struct, frozen=True):
    """One price. Units: US dollars for a million units."""

    unit: str
    usd_per_million: float
    source: str


PRICES: Final = {
    "stream read": Price(
        "DynamoDB Streams read request unit: one GetRecords call of up to 1 MB",
        0.2,
        "DynamoDB pricing, on-demand, DynamoDB Streams (us-east-1): 0.02 USD for 100,000; "
        "the first 2.5 million a month are free",
    ),
    "write": Price(
        "DynamoDB write request unit: a write of up to 1 KB, two in a transaction",
        0.625,
        "DynamoDB pricing, on-demand, standard table class (us-east-1)",
    ),
    "read": Price(
        "DynamoDB read request unit: a strongly consistent read of up to 4 KB",
        0.125,
        "DynamoDB pricing, on-demand, standard table class (us-east-1)",
    ),
    "free": Price(
        "GetShardIterator, DescribeStream, ListStreams",
        0.0,
        "DynamoDB pricing, DynamoDB Streams: only GetRecords is charged",
    ),
}
