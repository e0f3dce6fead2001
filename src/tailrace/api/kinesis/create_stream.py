"""CreateStream: make a data stream.

Behaviour:     ACTIVE at once (with --aws-delays after AWS's time); an on-demand stream has four shards and
               keeps them. Warm throughput is kept and told.
Limits:        20,000 open shards and 50 on-demand streams an account, 5 streams in CREATING.
Not emulated:  streams that distribute records themselves.
Source:        AWS API Reference, Kinesis, CreateStream; semantics §5.1, §5.3.
"""

from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.engine.kinesis.lifecycle import NewDataStream
from tailrace.engine.kinesis.tagging import check_data_tags


@operation(KINESIS, "CreateStream", refused={"RecordDistributionStrategy": "USER_PARTITION_KEY"})
def create_stream(engine: Engine, payload: Payload) -> Result:
    """Make a stream. Raises: ApiError."""
    tags = payload.get("Tags", {})
    check_data_tags(payload["StreamName"], tags)
    engine.kinesis.streams.create(
        NewDataStream(
            payload["StreamName"],
            payload.get("StreamModeDetails", {}).get("StreamMode", "PROVISIONED"),
            payload.get("ShardCount"),
            payload.get("MaxRecordSizeInKiB"),
            payload.get("WarmThroughputMiBps"),
            tags,
        )
    )
    return b""
