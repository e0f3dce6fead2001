"""Data streams as clients see them: descriptions, lists of streams and of shards.

Rules of this file: reads only; members as AWS's model has them. Times are `Moment`s. Source: semantics §5.2;
AWS API Reference, DescribeStream, DescribeStreamSummary, ListStreams, ListShards.
"""

from typing import Any, Final

from msgspec import Struct

from tailrace.engine.kinesis.catalog import DataParts, DataStreamState
from tailrace.engine.kinesis.lifecycle import DataStreams
from tailrace.engine.kinesis.reading import DataReader
from tailrace.streams.kinesis.data_records import DataRecord
from tailrace.streams.kinesis.data_shards import DataShard
from tailrace.streams.kinesis.names import shard_id as id_of
from tailrace.streams.kinesis.shard_filters import DataShardFilter, filtered_shards
from tailrace.streams.kinesis.tokens import ListToken
from tailrace.streams.moment import Moment

STREAMS_A_PAGE: Final = 100
SHARDS_A_DESCRIPTION: Final = 100
SHARDS_A_PAGE: Final = 1_000


class DataDescriptions(Struct, frozen=True):
    """Tells the streams of one account and region."""

    _parts: DataParts
    _streams: DataStreams
    _reader: DataReader

    def stream(self, stream: DataStreamState, limit: int, start: str | None) -> dict[str, Any]:
        """StreamDescription: shards behind `start`, none of a stream that is being made."""
        shards = [] if stream.document.busy == "CREATING" else self._reader.shards(stream)
        following = [shard for shard in shards if start is None or shard.shard_id > start]
        page = following[:limit]
        return {
            **self._common(stream),
            "Shards": [described_shard(shard) for shard in page],
            "HasMoreShards": len(following) > len(page),
        }

    def summary(self, stream: DataStreamState) -> dict[str, Any]:
        """StreamDescriptionSummary."""
        document = stream.document
        answer = {
            **self._common(stream),
            "OpenShardCount": 0 if document.busy == "CREATING" else len(stream.open_shards),
            "ConsumerCount": len(document.consumers),
            "MaxRecordSizeInKiB": document.max_record_kib,
            "ChannelCount": 0,
            "QueueCount": 0,
        }
        if document.mode == "ON_DEMAND":
            answer["RecordDistributionStrategy"] = "USER_PARTITION_KEY"
            if document.warm_mibps is not None:
                answer["WarmThroughput"] = warm_throughput(document.warm_mibps)
        return answer

    def _common(self, stream: DataStreamState) -> dict[str, Any]:
        document = stream.document
        answer: dict[str, Any] = {
            "StreamName": document.name,
            "StreamARN": stream.arn,
            "StreamStatus": self._streams.status(stream),
            "StreamModeDetails": {"StreamMode": document.mode},
            "RetentionPeriodHours": document.retention_hours,
            "StreamCreationTimestamp": Moment(document.created_ms),
            "EnhancedMonitoring": [{"ShardLevelMetrics": list(document.metrics)}],
            "EncryptionType": "NONE" if document.key_id is None else "KMS",
        }
        if document.key_id is not None:
            answer["KeyId"] = document.key_id
        return answer

    def listed(self, after: str, limit: int) -> dict[str, Any]:
        """ListStreams: those whose names come after `after`, by name."""
        streams = [stream for stream in self._streams.all() if stream.name > after]
        page = streams[:limit]
        answer: dict[str, Any] = {
            "StreamNames": [stream.name for stream in page],
            "HasMoreStreams": len(streams) > len(page),
            "StreamSummaries": [
                {
                    "StreamName": stream.name,
                    "StreamARN": stream.arn,
                    "StreamStatus": self._streams.status(stream),
                    "StreamModeDetails": {"StreamMode": stream.document.mode},
                    "StreamCreationTimestamp": Moment(stream.document.created_ms),
                }
                for stream in page
            ],
        }
        if len(streams) > len(page):
            wall_ms = self._parts.clock.now().wall_ms
            answer["NextToken"] = ListToken("streams", "", page[-1].name, wall_ms).text
        return answer

    def shards(
        self, stream: DataStreamState, chosen: DataShardFilter, after: str, limit: int
    ) -> dict[str, Any]:
        """ListShards: those that the filter lets through, behind `after`."""
        horizon_ms = self._reader.horizon_ms(stream.document)
        shards = [
            shard
            for shard in filtered_shards(self._reader.shards(stream), chosen, horizon_ms)
            if shard.shard_id > after
        ]
        page = shards[:limit]
        answer: dict[str, Any] = {"Shards": [described_shard(shard) for shard in page]}
        if len(shards) > len(page):
            wall_ms = self._parts.clock.now().wall_ms
            answer["NextToken"] = ListToken("shards", stream.arn, page[-1].shard_id, wall_ms, chosen).text
        return answer


def described_shard(shard: DataShard) -> dict[str, Any]:
    """A shard as clients see it."""
    numbers = {"StartingSequenceNumber": shard.starting_sequence_number}
    ending = shard.ending_sequence_number
    if ending is not None:
        numbers["EndingSequenceNumber"] = ending
    answer: dict[str, Any] = {"ShardId": shard.shard_id}
    for name, parent in zip(("ParentShardId", "AdjacentParentShardId"), shard.parents, strict=False):
        answer[name] = id_of(parent)
    return {**answer, "HashKeyRange": described_range(shard), "SequenceNumberRange": numbers}


def described_child(shard: DataShard) -> dict[str, Any]:
    """A shard as GetRecords and SubscribeToShard tell it at the end of its parent."""
    return {
        "ShardId": shard.shard_id,
        "ParentShards": [id_of(parent) for parent in shard.parents],
        "HashKeyRange": described_range(shard),
    }


def described_record(record: DataRecord) -> dict[str, Any]:
    """A record as GetRecords and SubscribeToShard tell it."""
    told: dict[str, Any] = {
        "SequenceNumber": record.sequence_number,
        "ApproximateArrivalTimestamp": Moment(record.created_ms),
        "Data": record.data,
        "PartitionKey": record.partition_key,
    }
    if record.is_encrypted:
        told["EncryptionType"] = "KMS"
    return told


def described_range(shard: DataShard) -> dict[str, str]:
    """Its hashes, both ends inclusive."""
    return {"StartingHashKey": shard.starting_hash_key, "EndingHashKey": shard.ending_hash_key}


def warm_throughput(mibps: int) -> dict[str, int]:
    """What was asked for is there at once."""
    return {"TargetMiBps": mibps, "CurrentMiBps": mibps}
