"""Amazon Resource Names of tables and streams.

Rules of this file: texts in, texts out. Source: semantics §1.2.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from tailrace.errors import validation_error
from tailrace.streams.dates import label as label_of

__all__ = [
    "ACCOUNT", "REGION", "StreamArn", "TableArn", "label_of", "parse_stream_arn", "parse_table_arn",
    "region_of", "stream_arn", "table_arn",
]  # fmt: skip

REGION: Final = "us-east-1"
ACCOUNT: Final = "000000000000"
"""Where tables are unless told otherwise, and where all tables of data directories of before namespaces
are."""
SHORTEST: Final = 37
LONGEST: Final = 1024
PATTERN: Final = re.compile(
    r"arn:aws:dynamodb:([a-z0-9-]+):([0-9]{12}):table/([a-zA-Z0-9_.-]{3,255})/stream/([^/]+)"
)
TABLE: Final = re.compile(r"arn:aws[a-z-]*:dynamodb:([a-z0-9-]*):([0-9]*):table/([a-zA-Z0-9_.-]{3,255})")


class TableArn(NamedTuple):
    """The parts of a table's ARN."""

    region: str
    account: str
    table: str


class StreamArn(NamedTuple):
    """The parts of a stream's ARN."""

    region: str
    account: str
    table: str
    label: str


def region_of(environment: Mapping[str, str]) -> str:
    """The region that an environment chooses.

    AWS_REGION, which AWS's command line and every SDK but botocore read; else AWS_DEFAULT_REGION, which
    botocore reads; else us-east-1. Profiles are not looked into.

    >>> region_of({"AWS_DEFAULT_REGION": "eu-west-1"}), region_of({})
    ('eu-west-1', 'us-east-1')
    """
    return environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or REGION


def table_arn(region: str, account: str, table: str) -> str:
    """The ARN of a table.

    >>> table_arn("us-east-1", "000000000000", "orders")
    'arn:aws:dynamodb:us-east-1:000000000000:table/orders'
    """
    return f"arn:aws:dynamodb:{region}:{account}:table/{table}"


def stream_arn(table: str, label: str) -> str:
    """Shape: `<table's ARN>/stream/<label>`."""
    return f"{table}/stream/{label}"


def parse_table_arn(text: str) -> TableArn | None:
    """The parts of a table's ARN; None for what is none, as a table's name is not.

    >>> parse_table_arn("arn:aws:dynamodb:eu-west-1:000000000000:table/orders").region
    'eu-west-1'
    """
    match = TABLE.fullmatch(text) if text.startswith("arn:") else None
    return None if match is None else TableArn(*match.groups())


def parse_stream_arn(text: str) -> StreamArn:
    """The parts of a stream's ARN. Raises: ApiError (ValidationException)."""
    for is_wrong, bound in (
        (len(text) < SHORTEST, f"greater than or equal to {SHORTEST}"),
        (len(text) > LONGEST, f"less than or equal to {LONGEST}"),
    ):
        if is_wrong:
            raise validation_error(
                f"1 validation error detected: Value '{text}' at 'streamArn' failed to satisfy constraint: "
                f"Member must have length {bound}"
            )
    match = PATTERN.fullmatch(text)
    if match is None:
        raise validation_error(f"Invalid StreamArn: {text}")
    return StreamArn(*match.groups())
