"""TransactGetItems: read up to a hundred items as of one moment.

Behaviour:     one answer a key, in order, `{}` for an absent item and for one of which the projection
               shows nothing; a key that does not fit its table cancels with reasons.
Limits:        100 items, 4 MB of items, one action an item.
Not emulated:  TransactionConflict: requests run one after the other, so no other transaction is ever under
               way.
Source:        AWS API Reference, TransactGetItems; semantics §6.7, §6.9.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from tailrace.api.dynamodb.capacity import (
    TRANSACTION,
    Cost,
    consumed_by_transaction,
    data_bytes,
    is_wanted,
    read_units,
)
from tailrace.api.dynamodb.parameters import read_placeholders, read_projection
from tailrace.api.registry import DYNAMODB, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.engine.slices import Effort, Slices
from tailrace.engine.transact import weighed
from tailrace.expressions.projection import ProjectionExpression
from tailrace.values.types import Item
from tailrace.values.wire import dump_item, read_item

CONSISTENT: Final = {"ConsistentRead": True}


@operation(DYNAMODB, "TransactGetItems")
def transact_get_items(engine: Engine, payload: Payload) -> Slices[bytes]:
    """Read several items at once. Raises: ApiError."""
    gets = [transact_item["Get"] for transact_item in payload["TransactItems"]]
    wanted = [_read_get(get) for get in gets]
    items = engine.transact_get([(get["TableName"], key) for get, (key, _) in zip(gets, wanted, strict=True)])
    yield from weighed(items)
    effort = Effort()
    answers: list[bytes] = []
    for data, (_, projection) in zip(items, wanted, strict=True):
        answers.append(_answer(data, projection))
        if data is not None and effort.takes(len(data)):
            yield
    consumed = b""
    if is_wanted(payload):
        costs = _costs(gets, items)
        consumed = b',"ConsumedCapacity":' + orjson.dumps(
            consumed_by_transaction(payload, costs, "ReadCapacityUnits")
        )
    return b'{"Responses":[%b]%b}' % (b",".join(answers), consumed)


def _read_get(get: Payload) -> tuple[Item, ProjectionExpression | None]:
    placeholders = read_placeholders(get, "ProjectionExpression")
    key = read_item(get["Key"])
    projection = read_projection(get, placeholders)
    placeholders.check_all_used()
    return key, projection


def _answer(data: bytes | None, projection: ProjectionExpression | None) -> bytes:
    if data is None:
        return b"{}"
    if projection is not None:
        shown = projection.apply(orjson.loads(data))
        if not shown:
            return b"{}"
        data = dump_item(shown)
    return b'{"Item":%b}' % data


def _costs(gets: list[dict[str, Any]], items: list[bytes | None]) -> Mapping[str, Cost]:
    costs: dict[str, Cost] = {}
    for get, data in zip(gets, items, strict=True):
        table = get["TableName"]
        costs.setdefault(table, Cost()).table += TRANSACTION * read_units(data_bytes(data), CONSISTENT)
    return costs
