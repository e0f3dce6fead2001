"""ItemCollectionMetrics: how large the item collections are that a request wrote to.

Rules of this file: only tables with local indexes have item collections; others answer without the member. An
estimate is the pair of whole gigabytes around the weight. Used by the writing operations. Source: semantics
§6.3, §6.7.
"""

from collections.abc import Iterable
from typing import Any, Final

import orjson

from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.values.types import Item

GIGABYTE: Final = 1024**3
Metrics = dict[str, Any]


def wants_metrics(payload: Payload) -> bool:
    """Whether the answer tells the sizes of item collections."""
    return bool(payload.get("ReturnItemCollectionMetrics", "NONE") == "SIZE")


def collection_metrics(engine: Engine, payload: Payload, table: str, keys: Item) -> Metrics | None:
    """AWS's ItemCollectionMetrics of one write; None where there are none or the client did not ask."""
    if not wants_metrics(payload):
        return None
    size = engine.collection_bytes(table, keys)
    if size is None:
        return None
    hash_name = engine.schema(table).hash_name
    gigabytes = size // GIGABYTE
    return {
        "ItemCollectionKey": {hash_name: keys[hash_name]},
        "SizeEstimateRangeGB": [float(gigabytes), float(gigabytes + 1)],
    }


def metrics_by_table(
    engine: Engine, payload: Payload, written: Iterable[tuple[str, Item]]
) -> dict[str, list[Metrics]]:
    """The same for many writes: one entry an item collection, by table."""
    by_table: dict[str, list[Metrics]] = {}
    for table, keys in written:
        metrics = collection_metrics(engine, payload, table, keys)
        if metrics is not None and metrics not in by_table.setdefault(table, []):
            by_table[table].append(metrics)
    return by_table


def collection_metrics_each(engine: Engine, payload: Payload, written: Iterable[tuple[str, Item]]) -> bytes:
    """The member ItemCollectionMetrics of a batch, with its comma; nothing when it is not wanted."""
    if not wants_metrics(payload):
        return b""
    return b',"ItemCollectionMetrics":' + orjson.dumps(metrics_by_table(engine, payload, written))
