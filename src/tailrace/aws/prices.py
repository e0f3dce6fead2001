"""AWS's list prices of what a fleet calls: one table, with its date and its source.

Rules of this file: us-east-1, on demand, US dollars, beyond the free tier; docs/reference/prices.md shows it.
Stands alone because it is what is changed when AWS changes a price.
"""

from typing import Final
from urllib.parse import urlsplit

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
    "invocation": Price(
        "AWS Lambda: an invocation by an event source mapping, whose reads of streams are free",
        0.2,
        "AWS Lambda pricing, requests (us-east-1); the first million a month is free",
    ),
    "gb-second": Price(
        "AWS Lambda: a gigabyte of memory for a second of an invocation",
        16.6667,
        "AWS Lambda pricing, duration, x86 (us-east-1); the first 400,000 a month are free",
    ),
    "free": Price(
        "GetShardIterator, DescribeStream, ListStreams",
        0.0,
        "DynamoDB pricing, DynamoDB Streams: only GetRecords is charged",
    ),
}


def is_at_aws(endpoint: str | None) -> bool:
    """Whether calls there are charged: None, or a host of AWS's."""
    host = "" if endpoint is None else urlsplit(endpoint).hostname or ""
    return endpoint is None or host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))


def read_price(endpoint: str | None, said: float | None = None) -> float:
    """What a million reads of streams cost: the price that is said, else the list price at AWS (`endpoint`
    None, or a host of AWS's), else nothing. Units: US dollars.

    >>> read_price(None), read_price("http://localhost:8000"), read_price(None, 0.5)
    (0.2, 0.0, 0.5)
    >>> read_price("https://streams.dynamodb.eu-west-1.amazonaws.com")
    0.2
    """
    return _listed("stream read", endpoint) if said is None else said


def item_read_price(endpoint: str | None) -> float:
    """What a million consistent reads of up to 4 KB cost, on demand: at AWS the list price, else nothing.
    Units: US dollars.

    >>> item_read_price(None), item_read_price("http://localhost:8000")
    (0.125, 0.0)
    """
    return _listed("read", endpoint)


def _listed(unit: str, endpoint: str | None) -> float:
    return PRICES[unit].usd_per_million if is_at_aws(endpoint) else 0.0
