"""The documents of data streams: what the catalog's table holds of them, as JSON with a version in each.

Rules of this file: layouts only, documented in docs/formats/catalog.md; `engine.documents.decode` reads them.
Called by `engine.kinesis.catalog`.
"""

from typing import Final, Literal, TypeAlias

from msgspec import Struct

from tailrace.streams.kinesis.data_shards import SECOND_MS, DataShard
from tailrace.streams.kinesis.names import consumer_arn

HOUR_MS: Final = 3_600_000
LEAST_HOURS: Final = 24
MOST_HOURS: Final = 8_760
LEAST_RECORD_KIB: Final = 1_024
"""MaxRecordSizeInKiB of a stream that was told nothing else."""
StreamMode: TypeAlias = Literal["PROVISIONED", "ON_DEMAND"]
StreamBusy: TypeAlias = Literal["CREATING", "UPDATING", "DELETING"]
StreamStatus: TypeAlias = Literal["ACTIVE"] | StreamBusy
ConsumerStatus: TypeAlias = Literal["CREATING", "ACTIVE", "DELETING"]
DATA_STREAM_DELAYS_MS: Final[dict[StreamBusy, int]] = {
    "CREATING": 10_000,
    "UPDATING": 10_000,
    "DELETING": 10_000,
}
"""What AWS takes, about [U]."""


class ConsumerDocument(Struct, frozen=True):
    """A registered consumer. Shape: `busy` holds until `busy_until_ms` and is then over."""

    name: str
    created_ms: int
    busy: Literal["CREATING", "DELETING"] | None = None
    busy_until_ms: int = 0
    tags: dict[str, str] = {}

    def arn_in(self, stream_arn: str) -> str:
        """What clients subscribe with."""
        return consumer_arn(stream_arn, self.name, self.created_ms // SECOND_MS)


class DataStreamDocument(Struct, frozen=True):
    """A data stream.

    Shape:   `shards` in the order of their indexes, `next_index` was never used; `busy` holds until
             `busy_until_ms` and is then over; what was written before `kept_from_ms` had passed a shorter
             retention and does not come back; `key_id` is there while it is encrypted; `metrics` are those of
             enhanced monitoring; `scalings_ms` and `modes_ms` say when its shards were counted anew and its
             mode changed, as far as a limit asks for it.
    """

    region: str
    account: str
    name: str
    created_ms: int
    shards: tuple[DataShard, ...]
    next_index: int
    mode: StreamMode = "PROVISIONED"
    retention_hours: int = LEAST_HOURS
    kept_from_ms: int = 0
    max_record_kib: int = LEAST_RECORD_KIB
    warm_mibps: int | None = None
    key_id: str | None = None
    metrics: tuple[str, ...] = ()
    tags: dict[str, str] = {}
    consumers: tuple[ConsumerDocument, ...] = ()
    scalings_ms: tuple[int, ...] = ()
    modes_ms: tuple[int, ...] = ()
    busy: StreamBusy | None = None
    busy_until_ms: int = 0
    v: int = 1

    @property
    def retention_ms(self) -> int:
        """How long a record can be read."""
        return self.retention_hours * HOUR_MS


class DroppedShardDocument(Struct, frozen=True):
    """A shard of a deleted stream, or one that is forgotten, whose records housekeeping still removes."""

    number: int
    v: int = 1


class AccountDocument(Struct, frozen=True):
    """What an account said of its billing in a region: a commitment since `started_ms`, until `ended_ms`."""

    is_committed: bool = False
    started_ms: int | None = None
    ended_ms: int | None = None
    v: int = 1
