"""BatchGetItem: read up to a hundred items of any tables.

Behaviour:     absent items are left out; items come in the order of the keys; what would pass 16 MB in all,
               or 1 MB of one partition, comes back under UnprocessedKeys and is charged when it is read; the
               first item is always read. A table has one partition, with a stream one per open shard. Every
               read is consistent. A table that is named by its ARN is answered under its ARN.
Limits:        100 keys, 16 MB, 1 MB a partition.
Not emulated:  nothing.
Source:        AWS API Reference, BatchGetItem; semantics §6.3, §6.5; aws-texts-2026 §2, §3.
"""

from typing import Any, Final

import orjson

from tailrace.api.dynamodb.capacity import Cost, consumed_each, data_bytes, is_wanted, read_units
from tailrace.api.dynamodb.parameters import read_placeholders, read_projection
from tailrace.api.registry import DYNAMODB, operation
from tailrace.api.validation import refuse_mixture
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.engine.slices import Effort, Slices
from tailrace.errors import validation_error
from tailrace.expressions.projection import ProjectionExpression
from tailrace.values.types import Item
from tailrace.values.wire import dump_item, read_item

MOST_KEYS: Final = 100
MOST_BYTES: Final = 16 * 1024 * 1024
PARTITION_BYTES: Final = 1024 * 1024
"""Of one partition in one call. Source: AWS API Reference, BatchGetItem ("more than 1MB per partition")."""
KEYS_AND_ATTRIBUTES: Final = DYNAMODB.model.structure("KeysAndAttributes")


@operation(DYNAMODB, "BatchGetItem")
def batch_get_item(engine: Engine, payload: Payload) -> Slices[bytes]:
    """Read many items. Raises: ApiError."""
    requests: dict[str, dict[str, Any]] = payload["RequestItems"]
    refuse_mixture(KEYS_AND_ATTRIBUTES, {name: None for request in requests.values() for name in request})
    wanted = {table: _read_request(request) for table, request in requests.items()}
    if sum(len(keys) for keys, _ in wanted.values()) > MOST_KEYS:
        raise validation_error("Too many items requested for the BatchGetItem call")
    measures = is_wanted(payload)
    room, effort = Room(), Effort()
    responses: list[bytes] = []
    unprocessed: dict[str, dict[str, Any]] = {}
    costs: dict[str, Cost] = {}
    for table, (keys, projection) in wanted.items():
        items: list[bytes] = []
        left: list[Item] = []
        for key in keys:
            data = engine.get_bytes(table, key)
            if data is not None and not room.takes((table, engine.partition(table, key)), data):
                left.append(key)
                continue
            if measures:
                costs.setdefault(table, Cost()).table += read_units(data_bytes(data), requests[table])
            if data is None:
                continue
            items.append(data if projection is None else dump_item(projection.apply(orjson.loads(data))))
            if effort.takes(len(data)):
                yield
        if left:
            unprocessed[table] = {**requests[table], "Keys": left}
        responses.append(orjson.dumps(table) + b":[" + b",".join(items) + b"]")
    return b'{"Responses":{%b},"UnprocessedKeys":%b%b}' % (
        b",".join(responses),
        orjson.dumps(unprocessed),
        consumed_each(payload, costs),
    )


class ResponseBudget:
    """What is left of so many bytes. Items are weighed only when their JSON, which is never lighter, would
    not fit; the first one that does not fit closes it, so that what is answered is a beginning of what was
    asked for.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._json = 0
        self._taken: list[bytes] = []
        self._exact: int | None = None

    def takes(self, data: bytes) -> bool:
        """Whether this item fits too."""
        if self._exact is None:
            self._json += len(data)
            self._taken.append(data)
            if self._json <= self._most:
                return True
            self._exact = sum(map(data_bytes, self._taken))
        else:
            self._exact += data_bytes(data)
        return self._exact <= self._most


class Room:
    """What is left of the whole answer and of each partition's share."""

    def __init__(self) -> None:
        self._whole = ResponseBudget(MOST_BYTES)
        self._partitions: dict[tuple[str, int], ResponseBudget] = {}

    def takes(self, partition: tuple[str, int], data: bytes) -> bool:
        """Whether this item of a partition fits too. Shape: a partition is (table, number of the shard)."""
        bound = self._partitions.get(partition)
        if bound is None:
            bound = self._partitions[partition] = ResponseBudget(PARTITION_BYTES)
        return bound.takes(data) and self._whole.takes(data)


def _read_request(request: dict[str, Any]) -> tuple[list[Item], ProjectionExpression | None]:
    placeholders = read_placeholders(request, "ProjectionExpression")
    keys = [read_item(key) for key in request["Keys"]]
    projection = read_projection(request, placeholders)
    placeholders.check_all_used()
    if len({orjson.dumps(key, option=orjson.OPT_SORT_KEYS) for key in keys}) < len(keys):
        raise validation_error("Provided list of item keys contains duplicates")
    return keys, projection
