"""Changes of one table that DynamoDB has put into a data stream of this process's engine.

Theory of operation: shards, positions and waiting are those of a data stream (data_streams.py); a record is
what its data say (streams/kinesis/destination.py). One data stream may have the changes of several tables:
those of others are passed over. A shard tells its range of hashes, and a record the hash that chose its
shard, so that what is kept of an item is found in the shards that continue its own.
Rules of this file: a record that is no change stops the reader in words, for nobody knows whose it is. The
order of an item's changes is not kept here: mapping/holding.py restores it. Stands alone because a data
stream of plain records is read without any of it. Made by `compose_worker`. Source: semantics §5.5; ADR 92.
"""

from collections.abc import Mapping

from msgspec.structs import replace

from tailrace.engine.engine import Engine
from tailrace.errors import ApiError, SourceError
from tailrace.ports import Shard, StreamRef
from tailrace.sources.data_streams import DataStreamSource
from tailrace.streams.kinesis.data_records import DataRecord
from tailrace.streams.kinesis.data_shards import DataShard
from tailrace.streams.kinesis.destination import DestinationRecord
from tailrace.streams.kinesis.hash_ranges import HashRange, hash_of
from tailrace.streams.record import ChangeRecord
from tailrace.tables.schema import TableSchema


class TableChangesSource(DataStreamSource):
    """A `Source` over the changes of one table in a data stream."""

    def __init__(self, engine: Engine, name: str, schema: TableSchema) -> None:
        super().__init__(engine, name)
        self._schema = schema

    async def stream(self) -> StreamRef:
        """The present stream of the name. Raises: SourceError when there is none."""
        stream = await super().stream()
        return replace(stream, table=self._schema.name, view_type="NEW_AND_OLD_IMAGES")

    async def shards(self, stream: StreamRef | None = None) -> list[Shard]:
        """Every shard that can still be read, parents first, with its hashes. Raises: SourceError."""
        shards, ranges = await super().shards(stream), self._hash_ranges()
        return [replace(shard, hash_range=ranges.get(shard.shard_id)) for shard in shards]

    def _hash_ranges(self) -> Mapping[str, HashRange]:
        state = self._pages.stream(self._name)
        return {} if state is None else {shard.shard_id: shard.hash_range for shard in state.document.shards}

    def _take(self, record: DataRecord, shard: DataShard) -> ChangeRecord | None:
        """The change that a record of the stream tells; None: it is of another table. Raises: SourceError."""
        try:
            said = DestinationRecord.decode(record.data)
            if said.table != self._schema.name:
                return None
            keys = {key: said.keys[key] for key in self._schema.key_names if key in said.keys}
            target = self._schema.locate_key(keys)
        except (SourceError, ApiError) as error:
            raise SourceError(
                f"record {record.sequence_number} of data stream {self._name!r}: {error.args[0]}",
                hint="read a stream that only DynamoDB writes to",
            ) from error
        partition = hash_of(record.partition_key)
        return said.change(int(record.sequence_number), shard.number, partition, target.key_bytes)
