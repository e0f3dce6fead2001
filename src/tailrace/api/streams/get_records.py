"""GetRecords: records behind a token, and the token that goes on.

Behaviour:     durable records only; Records is always there; NextShardIterator is absent, not null, once a
               closed shard is drained. Records are answered as their stored images, shown as the stream's
               view type says.
Limits:        1,000 records or 1 MB.
Not emulated:  throttling of more than two readers a shard.
Source:        AWS API Reference, DynamoDB Streams, GetRecords; semantics §1.3, §1.6.
"""

import orjson

from tailrace.api.registry import STREAMS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.streams.envelopes import api_record


@operation(STREAMS, "GetRecords")
def get_records(engine: Engine, payload: Payload) -> Result:
    """Read a page of a shard. Raises: ApiError."""
    records, token, view_type = engine.get_records(payload["ShardIterator"], payload.get("Limit"))
    region = engine.settings.region
    body = b",".join([api_record(record, view_type, region) for record in records])
    tail = b"" if token is None else b',"NextShardIterator":' + orjson.dumps(token)
    return b'{"Records":[' + body + b"]" + tail + b"}"
