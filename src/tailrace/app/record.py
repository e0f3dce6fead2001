"""What a handler of a data stream is given: a record, or the records of a batch.

Theory of operation: the machine knows a record as the insert of an item (streams/kinesis/plain.py), so here
it is a change with words of its own: its data, its partition key, when it arrived. What changes can do it can
do, `transaction` and `event_id` among it.
Rules of this file: data is decoded when it is asked for, at most once. Source: ADR 94.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, overload

import orjson

from tailrace.app.change import Batch, Change
from tailrace.streams.kinesis.aggregation import UserRecord, read_aggregate
from tailrace.streams.kinesis.names import stream_of_source
from tailrace.streams.kinesis.plain import data_of, partition_key_of


class Record(Change[dict[str, Any]]):
    """One record of a data stream.

    Shape:   `data` are the bytes that were put; `sequence_number` and `event_id` are those of the stream and
             of Lambda's events.
    """

    def __repr__(self) -> str:
        return f"<Record {self.stream}/{self.partition_key} {self.sequence_number}>"

    @property
    def stream(self) -> str:
        """The name of its stream."""
        return stream_of_source(self.table) or self.table

    @cached_property
    def data(self) -> bytes:
        """What was put."""
        return data_of(self.record)

    @cached_property
    def partition_key(self) -> str:
        """The key that it was put with: records of one key come in their order."""
        return partition_key_of(self.record)

    @property
    def key(self) -> str:
        """The same."""
        return self.partition_key

    @property
    def arrived_at(self) -> datetime:
        """When the stream took it, in UTC."""
        return self.at

    @property
    def text(self) -> str:
        """Its data as text. Raises: UnicodeDecodeError where it is no UTF-8."""
        return self.data.decode()

    @cached_property
    def user_records(self) -> tuple[UserRecord, ...]:
        """What its producer wrote, in order: the records of an aggregate of the Kinesis Producer Library, or
        the record alone.

        Shape:     each has `partition_key`, `data` and, where it was put with one, `explicit_hash_key`.
        Guarantee: what fails comes again as one record, with all that is in it.
        """
        users = read_aggregate(self.data)
        return (UserRecord(self.partition_key, self.data),) if users is None else users

    def json(self) -> Any:
        """What its data says as JSON. Raises: ValueError where it is none."""
        return orjson.loads(self.data)


class Records(Batch[dict[str, Any]]):
    """Records of one shard, in order."""

    _changes: Sequence[Record]

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        return self._changes[index]

    def __iter__(self) -> Iterator[Record]:
        return iter(self._changes)
