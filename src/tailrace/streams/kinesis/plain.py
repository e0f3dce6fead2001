"""Plain records of data streams as the machine knows them: a change record whose item is the record itself.

Theory of operation: a record was put once and never changes, so it is the INSERT of an item: its key is the
partition key, its image has the data as well. Its sequence number is the stream's own, a number of 56 digits
as AWS writes it; nobody has to translate it on its way to a function or a failure document. Its event id is
the one that Lambda gives it. All that keeps, parks, shows and orders changes holds for it as it is.
Rules of this file: pure; the image is spliced, never parsed, because the data's base64 is what functions are
given. Stands alone because functions, filters and handlers take records apart as the source put them
together. Source: semantics §2.10; ADR 94.
"""

from base64 import b64decode, b64encode
from typing import Final

import orjson

from tailrace.streams.kinesis.data_records import DataRecord
from tailrace.streams.record import MILLISECOND, ChangeRecord
from tailrace.values.types import Item

PARTITION_KEY: Final = "partitionKey"
DATA: Final = "data"
BEFORE_DATA: Final = b',"data":{"B":"'
AFTER_DATA: Final = b'"}}'


def keys_of(partition_key: str) -> Item:
    """The key of a plain record's item, in DynamoDB JSON.

    >>> keys_of("a")
    {'partitionKey': {'S': 'a'}}
    """
    return {PARTITION_KEY: {"S": partition_key}}


def plain_record(record: DataRecord, shard_id: str, shard: int, key: bytes, partition: int) -> ChangeRecord:
    """A record as the machine knows it.

    Shape:   `shard` is what stands for the shard in its records, `key` and `partition` are where its item is
             (`tables.schema`).
    """
    keys = orjson.dumps(keys_of(record.partition_key))
    keys_size = len(record.partition_key.encode())
    return ChangeRecord(
        sequence=int(record.sequence_number),
        shard=shard,
        event_name="INSERT",
        created_us=record.created_ms * MILLISECOND,
        size_bytes=keys_size + len(record.data),
        partition=partition,
        key=key,
        keys=keys,
        new=b"".join((keys[:-1], BEFORE_DATA, b64encode(record.data), AFTER_DATA)),
        keys_size=keys_size,
        new_size=len(record.data),
        source_id=f"{shard_id}:{record.sequence_number}",
    )


def partition_key_of(record: ChangeRecord) -> str:
    """The partition key that a plain record was put with."""
    key: str = orjson.loads(record.keys)[PARTITION_KEY]["S"]
    return key


def base64_of(record: ChangeRecord) -> bytes:
    """The data of a plain record in base64, as events have it."""
    assert record.new is not None
    return record.new[len(record.keys) - 1 + len(BEFORE_DATA) : -len(AFTER_DATA)]


def data_of(record: ChangeRecord) -> bytes:
    """The data of a plain record.

    >>> data_of(plain_record(DataRecord(1, "49", 0, "a", b"hello"), "shardId-0", 1, b"", 0))
    b'hello'
    """
    return b64decode(base64_of(record))
