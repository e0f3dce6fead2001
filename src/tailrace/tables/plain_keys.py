"""Where plain records of data streams are, as the items that they are to the machine.

Rules of this file: pure. Stands alone because both who reads the engine and who is called by Lambda need it,
and the latter loads no engine. Source: ADR 94.
"""

from functools import lru_cache
from typing import Final, NamedTuple

from tailrace.streams.kinesis.names import source_name
from tailrace.streams.kinesis.plain import PARTITION_KEY, keys_of
from tailrace.tables.schema import TableSchema

PLAIN: Final = TableSchema(source_name(""), 0, "", PARTITION_KEY, "S")
"""What identifies a plain record's item, whatever its stream."""
MOST_KEPT: Final = 4_096


class Located(NamedTuple):
    """Where a partition key's records are: the bytes that order them, the hash that chooses a lane."""

    key: bytes
    partition: int


@lru_cache(maxsize=MOST_KEPT)
def located(partition_key: str) -> Located:
    """Where the records of a partition key are."""
    target = PLAIN.locate_key(keys_of(partition_key))
    return Located(target.key_bytes, target.partition)
