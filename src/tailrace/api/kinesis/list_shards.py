"""ListShards: the shards of a data stream, as a filter chooses them.

Behaviour:     without a filter all that can still be read. AT_TRIM_HORIZON and AT_TIMESTAMP are those that
               were open then, FROM_… those open then or later; a time before the horizon is the horizon.
               NextToken lives five minutes and stands for everything else of the request.
Limits:        1,000 shards a page unless told otherwise.
Not emulated:  nothing.
Source:        AWS API Reference, Kinesis, ListShards, ShardFilter; semantics §5.2.
"""

from typing import Final

from tailrace.api.kinesis.requests import INVALID, milliseconds, name_and_arn
from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.engine.kinesis.describing import SHARDS_A_PAGE
from tailrace.errors import ApiError
from tailrace.streams.kinesis.shard_filters import DataShardFilter
from tailrace.streams.kinesis.tokens import read_list_token

WITHOUT_TOKEN: Final = ("StreamName", "ExclusiveStartShardId", "StreamCreationTimestamp", "ShardFilter")
NEEDED: Final = {"AFTER_SHARD_ID": "ShardId", "AT_TIMESTAMP": "Timestamp", "FROM_TIMESTAMP": "Timestamp"}
ALL: Final = DataShardFilter("FROM_TRIM_HORIZON")


@operation(KINESIS, "ListShards")
def list_shards(engine: Engine, payload: Payload) -> Result:
    """List shards. Raises: ApiError."""
    limit = payload.get("MaxResults", SHARDS_A_PAGE)
    streams, descriptions = engine.kinesis.streams, engine.kinesis.descriptions
    if "NextToken" not in payload:
        stream = streams.usable(*name_and_arn(payload))
        if "StreamCreationTimestamp" in payload:
            streams.require_created(stream, milliseconds(payload["StreamCreationTimestamp"]))
        start = payload.get("ExclusiveStartShardId", "")
        return descriptions.shards(stream, _filter(payload), start, limit)
    for name in WITHOUT_TOKEN:
        if name in payload:
            raise ApiError(INVALID, f"NextToken and {name} cannot be provided together.")
    token = read_list_token(payload["NextToken"], "shards", engine.clock.now().wall_ms)
    if payload.get("StreamARN", token.of) != token.of:
        raise ApiError(INVALID, f"NextToken is not of the stream {payload['StreamARN']}.")
    return descriptions.shards(streams.usable(None, token.of), token.filter or ALL, token.after, limit)


def _filter(payload: Payload) -> DataShardFilter:
    """The filter of a request. Raises: ApiError."""
    chosen = payload.get("ShardFilter")
    if chosen is None:
        return ALL
    kind = chosen["Type"]
    for name in ("ShardId", "Timestamp"):
        if name in chosen and name != NEEDED.get(kind):
            raise ApiError(INVALID, f"ShardFilter of type {kind} must not have a {name}.")
        if name not in chosen and name == NEEDED.get(kind):
            raise ApiError(INVALID, f"ShardFilter of type {kind} must have a {name}.")
    return DataShardFilter(kind, chosen.get("ShardId", ""), milliseconds(chosen.get("Timestamp", 0)))
