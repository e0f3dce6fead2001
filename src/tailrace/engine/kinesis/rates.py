"""What the shards of data streams may still take and give in this second, where the engine limits them.

Rules of this file: kept in memory alone: after a start every shard is fresh. Without the setting
`shard_limits` nothing is counted. Stands alone because writes and reads are counted together.
"""

from tailrace.engine.kinesis.catalog import DataParts, DataStreamState
from tailrace.errors import ApiError
from tailrace.streams.kinesis.data_shards import DataShard
from tailrace.streams.kinesis.throughput import ShardRates


class DataRates:
    """The rates of every shard that something was asked of."""

    def __init__(self, parts: DataParts) -> None:
        self._is_limited = parts.settings.shard_limits
        self._clock = parts.clock
        self._rates: dict[int, ShardRates] = {}

    def _of(self, shard: DataShard, now_ms: int) -> ShardRates:
        return self._rates.get(shard.number) or ShardRates.fresh(now_ms)

    def put(self, stream: DataStreamState, shard: DataShard, size: int) -> ApiError | None:
        """Count a record of so many bytes. Returns: the error of one that is too much."""
        if not self._is_limited:
            return None
        now_ms = self._clock.now().monotonic_ms
        return self._took(stream, shard, self._of(shard, now_ms).putting(size, now_ms))

    def ask(self, stream: DataStreamState, shard: DataShard) -> None:
        """Count a read that begins. Raises: ApiError (ProvisionedThroughputExceededException)."""
        if not self._is_limited:
            return
        now_ms = self._clock.now().monotonic_ms
        error = self._took(stream, shard, self._of(shard, now_ms).asking(now_ms))
        if error is not None:
            raise error

    def read(self, shard: DataShard, size: int) -> None:
        """Count what a read came to. Units: bytes."""
        if self._is_limited:
            self._rates[shard.number] = self._rates[shard.number].having_read(size)

    def _took(self, stream: DataStreamState, shard: DataShard, rates: ShardRates | None) -> ApiError | None:
        if rates is not None:
            self._rates[shard.number] = rates
            return None
        return ApiError(
            "ProvisionedThroughputExceededException",
            f"Rate exceeded for shard {shard.shard_id} in {stream}.",
        )

    def forget(self, shard: int) -> None:
        """A shard is gone."""
        self._rates.pop(shard, None)
