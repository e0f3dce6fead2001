"""Names of data streams, their consumers and shards.

Rules of this file: texts in, texts out. Source: semantics §5.1, §5.4.
"""

import re
from typing import Final, NamedTuple

NAME: Final = re.compile(r"[a-zA-Z0-9_.-]{1,128}")
"""Of a data stream or a consumer."""
STREAM: Final = re.compile(rf"arn:aws[a-z-]*:kinesis:([a-z0-9-]*):(\d{{12}}):stream/({NAME.pattern})")
CONSUMER: Final = re.compile(rf"({STREAM.pattern})/consumer/({NAME.pattern}):(\d{{1,12}})")
SHARD: Final = "shardId-"
SOURCE: Final = "kinesis:"
"""What apps and rows write before a data stream's name where else a table's stands; those have no colon."""
SHARD_DIGITS: Final = 12


class DataStreamArn(NamedTuple):
    """The parts of a data stream's ARN."""

    region: str
    account: str
    stream: str


class ConsumerArn(NamedTuple):
    """The parts of a consumer's ARN. Shape: `stream` is the ARN of its stream. Units: created_s since the
    epoch.
    """

    stream: str
    consumer: str
    created_s: int


def data_stream_arn(region: str, account: str, name: str) -> str:
    """The ARN of a data stream.

    >>> data_stream_arn("us-east-1", "000000000000", "orders")
    'arn:aws:kinesis:us-east-1:000000000000:stream/orders'
    """
    return f"arn:aws:kinesis:{region}:{account}:stream/{name}"


def read_data_stream_arn(text: str) -> DataStreamArn | None:
    """The parts of a data stream's ARN; None for what is none.

    >>> read_data_stream_arn("arn:aws:kinesis:us-east-1:000000000000:stream/orders").stream
    'orders'
    """
    match = STREAM.fullmatch(text)
    return None if match is None else DataStreamArn(*match.groups())


def consumer_arn(stream_arn: str, name: str, created_s: int) -> str:
    """The ARN of a consumer: a name that is registered again gets another one.

    >>> consumer_arn("arn:aws:kinesis:us-east-1:000000000000:stream/orders", "mail", 1_780_000_000)
    'arn:aws:kinesis:us-east-1:000000000000:stream/orders/consumer/mail:1780000000'
    """
    return f"{stream_arn}/consumer/{name}:{created_s}"


def read_consumer_arn(text: str) -> ConsumerArn | None:
    """The parts of a consumer's ARN; None for what is none."""
    match = CONSUMER.fullmatch(text)
    return None if match is None else ConsumerArn(match[1], match[5], int(match[6]))


def shard_id(index: int) -> str:
    """What a shard is called.

    >>> shard_id(7)
    'shardId-000000000007'
    """
    return f"{SHARD}{index:0{SHARD_DIGITS}d}"


def source_name(stream: str) -> str:
    """What apps and rows call a data stream as a source.

    >>> source_name("clicks")
    'kinesis:clicks'
    """
    return f"{SOURCE}{stream}"


def stream_of_source(name: str) -> str | None:
    """The data stream's name behind that of a source; None: it is a table.

    >>> stream_of_source("kinesis:clicks"), stream_of_source("orders")
    ('clicks', None)
    """
    return name.removeprefix(SOURCE) if name.startswith(SOURCE) else None


def stream_of_label(label: str) -> str | None:
    """The data stream's name in the label of one as a source, which ends with it; None: it is a table's.

    >>> stream_of_label("2026-11-01T00:00:00.000:clicks"), stream_of_label("2026-11-01T00:00:00.000")
    ('clicks', None)
    """
    parts = label.split(":", 3)
    return parts[3] if len(parts) == 4 else None


def is_data_stream(arn: str) -> bool:
    """Whether an ARN is that of a data stream, or of one's consumer, rather than of a table's stream.

    >>> is_data_stream("arn:aws:kinesis:us-east-1:000000000000:stream/orders/consumer/mail:1780000000")
    True
    >>> is_data_stream("arn:short")
    False
    """
    return arn.startswith("arn:") and arn.split(":", 3)[2:3] == ["kinesis"]


def stream_arn_of(arn: str) -> str:
    """The ARN of a consumer's stream; of anything else, itself.

    >>> stream_arn_of("arn:aws:kinesis:us-east-1:000000000000:stream/orders/consumer/mail:1780000000")
    'arn:aws:kinesis:us-east-1:000000000000:stream/orders'
    """
    return arn.partition("/consumer/")[0]


def is_data_event(text: str) -> bool:
    """Whether an event id is that of a data stream's record.

    >>> is_data_event("shardId-000000000006:4959"), is_data_event("c81e728d9d4c2f636f067f89cc14862c")
    (True, False)
    """
    return is_data_shard(text.partition(":")[0])


def is_data_shard(text: str) -> bool:
    """Whether an id is that of a data stream's shard; those of tables' streams are longer.

    >>> is_data_shard(shard_id(7)), is_data_shard("shardId-00000001789651619772-2a9e5aad")
    (True, False)
    """
    digits = text.removeprefix(SHARD)
    return len(digits) == SHARD_DIGITS and digits.isdigit()
