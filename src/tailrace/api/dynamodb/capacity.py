"""What a request would have cost on AWS: the answer to `ReturnConsumedCapacity`.

Rules of this file: pure arithmetic over item sizes; computed only when asked for, so the usual request pays
nothing. What an index cost is told apart, and only where it cost something. Source: semantics §6.7. Used by
the files under `api.dynamodb`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

import orjson
from msgspec import Struct, field

from tailrace.api.wire import Payload
from tailrace.tables.indexes import TableIndexSchema
from tailrace.tables.mutate import Mutation
from tailrace.values.canonical import size_bytes
from tailrace.values.types import Item

READ_BYTES: Final = 4_096
WRITE_BYTES: Final = 1_024


class Cost(Struct):
    """What requests cost one table and each of its indexes. Units: read or write units."""

    table: float = 0.0
    local: dict[str, float] = field(default_factory=dict)
    others: dict[str, float] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """Everything together."""
        return self.table + sum(self.local.values()) + sum(self.others.values())

    def charge(self, index: TableIndexSchema, units: float) -> None:
        """Add what an index cost."""
        costs = self.local if index.is_local else self.others
        costs[index.name] = costs.get(index.name, 0.0) + units

    def add_write(self, indexes: Iterable[TableIndexSchema], mutation: Mutation, factor: float = 1.0) -> None:
        """Add one write and what it did to the table's indexes; a transaction's `factor` is two."""
        self.table += factor * write_units(mutation.old, mutation.new)
        if mutation.changed:
            for index in indexes:
                change = index.change(mutation)
                if change is not None:
                    self.charge(index, factor * change.units())


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


Kind = Literal["ReadCapacityUnits", "WriteCapacityUnits"]


def consumed(payload: Payload, table: str, cost: Cost, kind: Kind | None = None) -> dict[str, Any]:
    """AWS's ConsumedCapacity of one table. A transaction tells the kind of its units too."""

    def units(count: float) -> dict[str, float]:
        return {"CapacityUnits": count} if kind is None else {"CapacityUnits": count, kind: count}

    document: dict[str, Any] = {"TableName": table, **units(cost.total)}
    if payload["ReturnConsumedCapacity"] == "INDEXES":
        document["Table"] = units(cost.table)
        for member, costs in (("LocalSecondaryIndexes", cost.local), ("GlobalSecondaryIndexes", cost.others)):
            if costs:
                document[member] = {name: units(count) for name, count in costs.items()}
    return document


TRANSACTION: Final = 2.0
"""A transaction costs twice. Source: semantics §6.7, §6.9."""


def consumed_by_transaction(payload: Payload, costs: Mapping[str, Cost], kind: Kind) -> list[dict[str, Any]]:
    """AWS's ConsumedCapacity of a transaction: one entry a table, which also tells the kind of units."""
    return [consumed(payload, table, cost, kind) for table, cost in costs.items()]


def consumed_each(payload: Payload, costs: Mapping[str, Cost]) -> bytes:
    """The member ConsumedCapacity of a batch, with its comma; nothing when it is not wanted."""
    if not is_wanted(payload):
        return b""
    return b',"ConsumedCapacity":' + orjson.dumps(
        [consumed(payload, table, cost) for table, cost in costs.items()]
    )
