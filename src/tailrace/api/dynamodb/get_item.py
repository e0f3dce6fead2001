"""GetItem: read one item.

Behaviour:     every read is consistent, whatever ConsistentRead says; an absent item answers an empty object.
Limits:        expression 4 KB.
Not emulated:  nothing.
Source:        AWS API Reference, GetItem; semantics §6.4, §6.5; aws-texts-2026 §2.
"""

from typing import Any

from tailrace.api.dynamodb import capacity
from tailrace.api.dynamodb.parameters import read_placeholders, read_projection, refuse_key_paths
from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.values.canonical import size_bytes
from tailrace.values.wire import read_item


@operation(DYNAMODB, "GetItem")
def get_item(engine: Engine, payload: Payload) -> Result:
    """Read one item; its stored bytes are the answer. Raises: ApiError."""
    placeholders = read_placeholders(payload, "ProjectionExpression")
    key = read_item(payload["Key"])
    projection = read_projection(payload, placeholders)
    if "ReturnConsumedCapacity" not in payload and projection is None:
        data = engine.get_bytes(payload["TableName"], key)
        return b"{}" if data is None else b'{"Item":' + data + b"}"
    placeholders.check_all_used()
    item = engine.get(payload["TableName"], key)
    refuse_key_paths(engine, payload, projection)
    answer: dict[str, Any] = {}
    if item is not None:
        answer["Item"] = item if projection is None else projection.apply(item)
    if capacity.is_wanted(payload):
        units = capacity.read_units(0 if item is None else size_bytes(item), payload)
        answer["ConsumedCapacity"] = capacity.consumed(payload, payload["TableName"], capacity.Cost(units))
    return answer
