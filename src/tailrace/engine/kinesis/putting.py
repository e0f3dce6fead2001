"""PutRecord and PutRecords: each record to the open shard of its hash, with the group.

Rules of this file: all checks of a request come before anything of it is written, but for the rates of
shards, which are told entry by entry. Source: semantics §5.1; AWS API Reference, PutRecord, PutRecords.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from msgspec import Struct

from tailrace.engine.kinesis.catalog import DataParts, DataStreamState
from tailrace.engine.kinesis.rates import DataRates
from tailrace.errors import ApiError
from tailrace.streams.kinesis.data_records import data_log_row
from tailrace.streams.kinesis.data_shards import SECOND_MS, DataShard
from tailrace.streams.kinesis.hash_ranges import hash_of, read_hash_key
from tailrace.streams.kinesis.sequence_numbers import numbered
from tailrace.streams.kinesis.throughput import PUT_BYTES

LARGE: Final = 65_536
"""What a record weighs from which on the committer is told of it. Units: bytes."""
KIB: Final = 1_024
EXCEEDED: Final = "ProvisionedThroughputExceededException"


class DataEntry(NamedTuple):
    """What a client puts. Shape: `hash_key` as it is written, where it chooses the shard."""

    data: bytes
    partition_key: str
    hash_key: str | None = None


class PutEntry(NamedTuple):
    """What became of it: the number of a record, or the error of one that its shard was too busy for."""

    shard_id: str
    sequence_number: str = ""
    error: ApiError | None = None


class DataPuts(Struct, frozen=True):
    """Writes records."""

    _parts: DataParts
    _rates: DataRates

    def put(self, stream: DataStreamState, entries: Sequence[DataEntry]) -> list[PutEntry]:
        """Write them in their order; those whose shards are too busy are told so. Raises: ApiError when one
        is wrong: nothing was written then.
        """
        placed = self._placed(stream, entries)
        parts, document = self._parts, stream.document
        wall_ms = parts.clock.now().wall_ms
        is_encrypted = document.key_id is not None
        answers: list[PutEntry] = []
        for shard, key, data in placed:
            error = self._rates.put(stream, shard, len(key) + len(data))
            if error is not None:
                answers.append(PutEntry(shard.shard_id, error=error))
                continue
            created_ms = parts.catalog.take_created_ms(wall_ms)
            sequence = parts.catalog.take_sequence(wall_ms)
            parts.committer.add_record(
                data_log_row(shard.number, sequence, created_ms, key, data, encrypted=is_encrypted)
            )
            if len(data) > LARGE:
                parts.committer.note_weight(len(data))
            answers.append(
                PutEntry(shard.shard_id, numbered(shard.numbering, sequence, created_ms // SECOND_MS))
            )
        return answers

    def _placed(
        self, stream: DataStreamState, entries: Sequence[DataEntry]
    ) -> list[tuple[DataShard, bytes, bytes]]:
        """The shard, the key's bytes and the data of each entry. Raises: ApiError."""
        most = stream.document.max_record_kib * KIB
        total = 0
        placed: list[tuple[DataShard, bytes, bytes]] = []
        for data, partition_key, hash_key in entries:
            key = partition_key.encode()
            size = len(key) + len(data)
            if size > most:
                raise ApiError(
                    "InvalidArgumentException",
                    f"Record of {size} bytes, data and partition key together, is larger than the maximum "
                    f"record size of {stream}: {stream.document.max_record_kib} KiB.",
                )
            total += size
            chosen = (
                hash_of(partition_key) if hash_key is None else read_hash_key(hash_key, "ExplicitHashKey")
            )
            placed.append((stream.shard_for(chosen), key, data))
        if total > PUT_BYTES:
            raise ApiError(
                "InvalidArgumentException",
                f"Records have {total} bytes, data and partition keys together; a PutRecords has at most "
                f"{PUT_BYTES}.",
            )
        return placed
