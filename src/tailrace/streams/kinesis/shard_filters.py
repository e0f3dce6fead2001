"""ListShards' filters: which shards of a data stream a client asks for.

Rules of this file: pure; the shards are those that can still be read, in the order of their indexes. Source:
semantics §5.2; AWS API Reference, ShardFilter.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias, assert_never

from msgspec import Struct

from tailrace.streams.kinesis.data_shards import DataShard

ShardFilterKind: TypeAlias = Literal[
    "AFTER_SHARD_ID", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON", "AT_LATEST", "AT_TIMESTAMP", "FROM_TIMESTAMP"
]


class DataShardFilter(Struct, frozen=True):
    """A filter with what belongs to it.

    Shape:   `shard_id` with AFTER_SHARD_ID, and `timestamp_ms` with AT_ and FROM_TIMESTAMP.
    """

    kind: ShardFilterKind
    shard_id: str = ""
    timestamp_ms: int = 0


def filtered_shards(shards: Sequence[DataShard], chosen: DataShardFilter, horizon_ms: int) -> list[DataShard]:
    """Those that a filter lets through. Units: horizon_ms since the epoch; a moment before it is the horizon.

    Shape:   AT_… those that were open then, FROM_… those that were open then or later.
    """
    match chosen.kind:
        case "AFTER_SHARD_ID":
            return [shard for shard in shards if shard.shard_id > chosen.shard_id]
        case "AT_LATEST":
            return [shard for shard in shards if not shard.is_closed]
        case "AT_TRIM_HORIZON":
            return _open_at(shards, horizon_ms)
        case "AT_TIMESTAMP":
            return _open_at(shards, max(chosen.timestamp_ms, horizon_ms))
        case "FROM_TRIM_HORIZON":
            return list(shards)
        case "FROM_TIMESTAMP":
            moment_ms = max(chosen.timestamp_ms, horizon_ms)
            return [shard for shard in shards if shard.closed_ms is None or shard.closed_ms > moment_ms]
        case _:
            assert_never(chosen.kind)


def _open_at(shards: Sequence[DataShard], moment_ms: int) -> list[DataShard]:
    """Those that were open at a moment, those that the stream began with where it is younger."""
    began_ms = min((shard.created_ms for shard in shards), default=0)
    return [shard for shard in shards if shard.was_open_at(max(moment_ms, began_ms))]
