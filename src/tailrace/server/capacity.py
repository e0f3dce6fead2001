"""What a request would have cost on AWS: the answer to `ReturnConsumedCapacity`.

Rules of this file: pure arithmetic over item sizes; computed only when asked for, so the usual request pays nothing. There
are no secondary indexes yet: INDEXES tells the table's part and nothing more. Source: semantics §6.7. Used by the files
under `server.operations.dynamodb`.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

import orjson

from tailrace.server.wire import Payload
from tailrace.values.size import size_bytes
from tailrace.values.types import Item

READ_BYTES: Final = 4_096
WRITE_BYTES: Final = 1_024


def is_wanted(payload: Payload) -> bool:
    """Whether the answer tells what was consumed."""
    return bool(payload.get("ReturnConsumedCapacity", "NONE") != "NONE")


def read_units(size: int, payload: Payload) -> float:
    """Units of one read. Units: size in bytes; a consistent read costs twice an eventually consistent one.

    >>> read_units(0, {}), read_units(4097, {"ConsistentRead": True})
    (0.5, 2.0)
    """
    blocks = max(1, -(-size // READ_BYTES))
    return blocks * (1.0 if payload.get("ConsistentRead") else 0.5)


def write_units(old: Item | None, new: Item | None) -> float:
    """Units of one write: the larger of both items, at least one.

    >>> write_units(None, {"pk": {"S": "x" * 1023}})
    2.0
    """
    size = max(0 if item is None else size_bytes(item) for item in (old, new))
    return float(max(1, -(-size // WRITE_BYTES)))


def data_bytes(data: bytes | None) -> int:
    """What a stored item weighs. Units: bytes as DynamoDB counts them."""
    return 0 if data is None else size_bytes(orjson.loads(data))


def consumed(payload: Payload, table: str, units: float) -> dict[str, Any]:
    """AWS's ConsumedCapacity of one table."""
    told: dict[str, Any] = {"TableName": table, "CapacityUnits": units}
    if payload["ReturnConsumedCapacity"] == "INDEXES":
        told["Table"] = {"CapacityUnits": units}
    return told


TRANSACTION: Final = 2.0
"""A transaction costs twice. Source: semantics §6.7, §6.9."""


def consumed_by_transaction(
    payload: Payload, units: Mapping[str, float], kind: Literal["ReadCapacityUnits", "WriteCapacityUnits"]
) -> list[dict[str, Any]]:
    """AWS's ConsumedCapacity of a transaction: one entry a table, which also tells the kind of units."""
    told = []
    for table, count in units.items():
        one = {**consumed(payload, table, count), kind: count}
        if "Table" in one:
            one["Table"] = {"CapacityUnits": count, kind: count}
        told.append(one)
    return told


def consumed_each(payload: Payload, units: Mapping[str, float]) -> bytes:
    """The member ConsumedCapacity of a batch, with its comma; nothing when it is not wanted."""
    if not is_wanted(payload):
        return b""
    return b',"ConsumedCapacity":' + orjson.dumps(
        [consumed(payload, table, count) for table, count in units.items()]
    )
