"""BatchWriteItem: put and delete up to 25 items of any tables.

Behaviour:     everything is checked before anything is written; then each write stands alone and leaves its
               own record; nothing is ever left unprocessed.
Limits:        25 requests, 16 MB, 400 KB an item.
Not emulated:  nothing.
Source:        AWS API Reference, BatchWriteItem; semantics §6.3, §6.5; aws-texts-2026 §2, §3.
"""

from typing import Any, Final

from tailrace.api.dynamodb.capacity import Cost, consumed_each, is_wanted
from tailrace.api.dynamodb.collections import collection_metrics_each
from tailrace.api.registry import DYNAMODB, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.engine.slices import Effort, Slices
from tailrace.errors import ApiError, validation_error
from tailrace.tables.limits import ITEM_BYTES
from tailrace.tables.mutate import Delete, Put
from tailrace.values.canonical import size_bytes
from tailrace.values.types import Item
from tailrace.values.wire import read_item
from tailrace.values.wordings import SEVERAL

MOST_REQUESTS: Final = 25


@operation(DYNAMODB, "BatchWriteItem")
def batch_write_item(engine: Engine, payload: Payload) -> Slices[bytes]:
    """Write many items. Raises: ApiError, and then nothing is written."""
    requests: dict[str, list[dict[str, Any]]] = payload["RequestItems"]
    effort = Effort()
    operations: list[Put | Delete] = []
    for table, writes in requests.items():
        for write in writes:
            operation, size = _read_write(table, write)
            operations.append(operation)
            if effort.takes(size):
                yield
    if len(operations) > MOST_REQUESTS:
        raise validation_error("Too many items requested for the BatchWriteItem call")
    seen: set[tuple[str, bytes]] = set()
    for operation in operations:
        place = (operation.table, _place(engine, operation))
        if place in seen:
            raise validation_error("Provided list of item keys contains duplicates")
        seen.add(place)
    for writes in requests.values():
        writes.clear()  # an item is given back when it is written: all of them at the end would take long
    measures = is_wanted(payload)
    costs: dict[str, Cost] = {}
    written: list[tuple[str, Item]] = []
    operations.reverse()
    while operations:
        operation = operations.pop()
        mutation = engine.put(operation) if isinstance(operation, Put) else engine.delete(operation)
        written.append((operation.table, mutation.keys))
        if measures:
            costs.setdefault(operation.table, Cost()).add_write(engine.indexes(operation.table), mutation)
        if effort.takes(mutation.size):
            del operation, mutation
            yield
    return b'{"UnprocessedItems":{}%b%b}' % (
        collection_metrics_each(engine, payload, written),
        consumed_each(payload, costs),
    )


def _place(engine: Engine, write: Put | Delete) -> bytes:
    try:
        return engine.check(write).key_bytes
    except ApiError:
        if isinstance(write, Put):  # in a batch AWS says of a put's key what it says of any key
            schema = engine.schema(write.table)
            schema.check_key({name: write.item[name] for name in schema.key_names if name in write.item})
        raise


def _read_write(table: str, write: dict[str, Any]) -> tuple[Put | Delete, int]:
    """One write, and what its item weighs."""
    present = [name for name in ("PutRequest", "DeleteRequest") if name in write]
    if len(present) != 1:
        raise validation_error(SEVERAL)  # AWS says so of a request that says nothing, too
    if present == ["DeleteRequest"]:
        return Delete(table, read_item(write["DeleteRequest"]["Key"])), 0
    item = read_item(write["PutRequest"]["Item"])
    size = size_bytes(item)
    if size > ITEM_BYTES:
        raise validation_error("Item size has exceeded the maximum allowed size")
    return Put(table, item), size
