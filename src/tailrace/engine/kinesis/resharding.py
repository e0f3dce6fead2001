"""Shards of data streams are split, merged and counted anew.

Rules of this file: transitions are `streams.kinesis`' pure ones; here they meet the clock, the numbers and
the catalog. What is closed and what continues it are one commit. A change asks for an ACTIVE, provisioned
stream. Source: semantics §5.3; AWS API Reference, SplitShard, MergeShards, UpdateShardCount.
"""

from typing import Any, Final

from msgspec import Struct

from tailrace.engine.kinesis.catalog import DataParts, DataStreamState
from tailrace.engine.kinesis.lifecycle import DataStreams
from tailrace.errors import ApiError, validation_error
from tailrace.streams.kinesis.data_shards import (
    DataShard,
    Reshard,
    merge_shards,
    resharded,
    split_shard,
)
from tailrace.streams.kinesis.hash_ranges import read_hash_key
from tailrace.streams.kinesis.uniform_scaling import MOST_SHARDS, SplitAt, scaled, uniform_plan

SCALINGS: Final = 10
"""How often in 24 hours a stream's shards may be counted anew."""
DAY_MS: Final = 86_400_000
INVALID: Final = "InvalidArgumentException"
NOT_WITHIN: Final = (
    "NewStartingHashKey {0} used in SplitShard() on shard {1} in stream {2} under account {3} is not both "
    "greater than one plus the shard's StartingHashKey {4} and less than the shard's EndingHashKey {5}."
)


class Resharding(Struct, frozen=True):
    """Changes of the shards of one account's streams."""

    _parts: DataParts
    _streams: DataStreams

    def split(self, stream: DataStreamState, shard_id: str, hash_key: str) -> None:
        """SplitShard. Raises: ApiError."""
        self._require_provisioned(stream, "SplitShard")
        shard = self._open(stream, shard_id)
        at = read_hash_key(hash_key, "NewStartingHashKey")
        first, last = shard.hash_range
        if not first + 1 < at < last:
            raise ApiError(
                INVALID,
                NOT_WITHIN.format(hash_key, shard_id, stream.name, stream.document.account, first, last),
            )
        self._streams.require_room(1)
        number, wall_ms = self._numbers(2)
        self._save(stream, [split_shard(shard, at, stream.document.next_index, number, wall_ms)])

    def merge(self, stream: DataStreamState, shard_id: str, adjacent_id: str) -> None:
        """MergeShards. Raises: ApiError."""
        self._require_provisioned(stream, "MergeShards")
        shard, adjacent = self._open(stream, shard_id), self._open(stream, adjacent_id)
        if not shard.hash_range.touches(adjacent.hash_range):
            raise ApiError(
                INVALID,
                f"Shards {shard_id} and {adjacent_id} in {stream} are not an adjacent pair of shards "
                "eligible for merging",
            )
        number, wall_ms = self._numbers(1)
        self._save(stream, [merge_shards(shard, adjacent, stream.document.next_index, number, wall_ms)])

    def scale(self, stream: DataStreamState, target: int) -> int:
        """UpdateShardCount. Returns: how many open shards there were. Raises: ApiError."""
        self._require_provisioned(stream, "UpdateShardCount")
        count, wall_ms = len(stream.open_shards), self._parts.clock.now().wall_ms
        recent = tuple(at_ms for at_ms in stream.document.scalings_ms if at_ms > wall_ms - DAY_MS)
        self._require_target(stream, count, target)
        if len(recent) >= SCALINGS:
            raise ApiError(
                "LimitExceededException",
                f"The shard count of {stream} was updated {len(recent)} times in the last 24 hours, which is "
                "the limit.",
            )
        if target > count:
            self._streams.require_room(target - count)
        steps = uniform_plan([shard.hash_range for shard in stream.open_shards], target)
        number, wall_ms = self._numbers(sum(1 + isinstance(step, SplitAt) for step in steps))
        changes = scaled(stream.open_shards, steps, stream.document.next_index, number, wall_ms)
        self._save(stream, changes, scalings_ms=(*recent, wall_ms))
        return count

    def _require_target(self, stream: DataStreamState, count: int, target: int) -> None:
        """Source: semantics §5.3."""
        words = f"UpdateShardCount of {stream} cannot scale "
        if target > 2 * count:
            why = f"up from {count} open shards to {target}: at most double, {2 * count}."
        elif 2 * target < count:
            why = f"down from {count} open shards to {target}: at least half, {(count + 1) // 2}."
        elif target > MOST_SHARDS:
            why = f"to {target} shards: at most {MOST_SHARDS}."
        else:
            return
        raise ApiError(INVALID, words + why)

    def _require_provisioned(self, stream: DataStreamState, operation: str) -> None:
        if stream.document.mode != "PROVISIONED":
            raise validation_error(
                f"{operation} is only supported for data streams in PROVISIONED mode; stream {stream.name} "
                f"under account {stream.document.account} is in {stream.document.mode} mode."
            )

    def _open(self, stream: DataStreamState, shard_id: str) -> DataShard:
        """An open shard. Raises: ApiError."""
        shard = stream.by_id.get(shard_id)
        if shard is None:
            raise ApiError(
                "ResourceNotFoundException",
                f"Could not find shard {shard_id} in {stream}.",
            )
        if shard.is_closed:
            raise ApiError(
                "ResourceInUseException",
                f"Shard {shard_id} in {stream} has already been merged "
                "or split, and thus is not eligible for merging or splitting.",
            )
        return shard

    def _numbers(self, count: int) -> tuple[int, int]:
        """The first of so many numbers of shards, and the moment."""
        number = self._parts.catalog.take_shard_numbers(count)
        return number, self._parts.clock.now().wall_ms

    def _save(self, stream: DataStreamState, changes: list[Reshard], **settings: Any) -> None:
        """Keep the shards after these changes, in order, and other settings, in one group."""
        document = stream.document
        for closed in (shard for change in changes for shard in change.closed):
            self._parts.committer.note_closed(closed.number)
        index = document.next_index + sum(len(change.opened) for change in changes)
        shards = resharded(document.shards, *changes)
        self._streams.update(stream, shards=shards, next_index=index, **settings)
