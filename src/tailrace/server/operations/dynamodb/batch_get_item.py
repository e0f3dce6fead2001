"""BatchGetItem: read up to a hundred items of any tables.

Behaviour:     absent items are left out; items come in the order of the keys; what would pass 16 MB comes back under
               UnprocessedKeys; every read is consistent. A table that is named by its ARN is answered under its ARN.
Limits:        100 keys, 16 MB.
Not emulated:  nothing.
Source:        AWS API Reference, BatchGetItem; semantics §6.3, §6.5.
"""

from typing import Any, Final

import orjson

from tailrace.engine.engine import Engine
from tailrace.engine.slices import Effort, Slices
from tailrace.errors import validation_error
from tailrace.expressions.projection import Projection
from tailrace.server.capacity import Cost, consumed_each, data_bytes, is_wanted, read_units
from tailrace.server.parameters import EXPRESSION, read_placeholders, read_projection
from tailrace.server.registry import DYNAMODB, operation
from tailrace.server.shapes import (
    ATTRIBUTE_LIST,
    NAMES,
    RETURN_CAPACITY,
    TABLE_NAME,
    Flag,
    Input,
    Many,
    Mapped,
    Values,
    structure,
)  # fmt: skip
from tailrace.server.validation import refuse_mixture, table_name
from tailrace.server.wire import Payload
from tailrace.values.types import Item
from tailrace.values.wire import dump_item, read_item

MOST_KEYS: Final = 100
MOST_BYTES: Final = 16 * 1024 * 1024
KEYS_AND_ATTRIBUTES: Final = structure(
    "KeysAndAttributes", "Keys",
    Keys=Many(Values(), 1, MOST_KEYS), AttributesToGet=ATTRIBUTE_LIST, ConsistentRead=Flag(),
    ProjectionExpression=EXPRESSION, ExpressionAttributeNames=NAMES,
)  # fmt: skip
INPUT: Final = Input(
    structure(
        "BatchGetItemInput", "RequestItems",
        RequestItems=Mapped(KEYS_AND_ATTRIBUTES, 1, MOST_KEYS, TABLE_NAME), ReturnConsumedCapacity=RETURN_CAPACITY,
    ),
)  # fmt: skip


@operation(DYNAMODB, "BatchGetItem", INPUT)
def batch_get_item(engine: Engine, payload: Payload) -> Slices[bytes]:
    """Read many items. Raises: ApiError."""
    requests: dict[str, dict[str, Any]] = payload["RequestItems"]
    wanted = {table: _read_request(one) for table, one in requests.items()}
    if sum(len(keys) for keys, _ in wanted.values()) > MOST_KEYS:
        raise validation_error("Too many items requested for the BatchGetItem call")
    measures = is_wanted(payload)
    room, effort = Room(), Effort()
    responses: list[bytes] = []
    unprocessed: dict[str, dict[str, Any]] = {}
    costs: dict[str, Cost] = {}
    for table, (keys, projection) in wanted.items():
        found: list[bytes] = []
        name = table_name(table)
        for index, key in enumerate(keys):
            data = engine.get_bytes(name, key)
            if measures:
                costs.setdefault(table, Cost()).table += read_units(data_bytes(data), requests[table])
            if data is None:
                continue
            if not room.takes(data):
                unprocessed[table] = {**requests[table], "Keys": keys[index:]}
                break
            found.append(data if projection is None else dump_item(projection.apply(orjson.loads(data))))
            if effort.takes(len(data)):
                yield
        responses.append(orjson.dumps(table) + b":[" + b",".join(found) + b"]")
    return b'{"Responses":{%b},"UnprocessedKeys":%b%b}' % (
        b",".join(responses),
        orjson.dumps(unprocessed),
        consumed_each(payload, costs),
    )


class Room:
    """What is left of 16 MB. Items are weighed only when their JSON, which is never lighter, would not fit."""

    def __init__(self) -> None:
        self._json = 0
        self._taken: list[bytes] = []
        self._exact: int | None = None

    def takes(self, data: bytes) -> bool:
        """Whether this item fits too."""
        if self._exact is None:
            self._json += len(data)
            self._taken.append(data)
            if self._json <= MOST_BYTES:
                return True
            self._exact = sum(map(data_bytes, self._taken))
        else:
            self._exact += data_bytes(data)
        return self._exact <= MOST_BYTES


def _read_request(request: dict[str, Any]) -> tuple[list[Item], Projection | None]:
    refuse_mixture(KEYS_AND_ATTRIBUTES, request)
    placeholders = read_placeholders(request, "ProjectionExpression")
    keys = [read_item(key) for key in request["Keys"]]
    projection = read_projection(request, placeholders)
    placeholders.check_all_used()
    if len({orjson.dumps(key, option=orjson.OPT_SORT_KEYS) for key in keys}) < len(keys):
        raise validation_error("Provided list of item keys contains duplicates")
    return keys, projection
