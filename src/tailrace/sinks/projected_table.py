"""A projection's rows in a DynamoDB table that clients read: `into=app.table("sales", pk="pk", sk="sk")`.

Theory of operation: the groups of a build are one partition (`pk` "sales@v2", `sk` the key as JSON text), so
that one Query reads them all; the items are spread over 256 others ("sales@v2#7f"). The row "sales", "served"
says which build to read. A commit is one TransactWriteItems, in the engine of this process or, with
`app.transactions(client, …)`, at its endpoint.
Rules of this file: keys, groups and states are native attributes, readable as they are. Format 1,
docs/formats/projections.md. Made by projection_places.py.
"""

import asyncio
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, Protocol

import orjson

from tailrace.app.table import Table
from tailrace.aws.errors import AwsError, store_error
from tailrace.aws.tables import tables_of
from tailrace.engine.engine import Engine
from tailrace.engine.query import QueryRequest
from tailrace.errors import ApiError, StateConflict, StoreError
from tailrace.expressions.keys import KeyCondition
from tailrace.leases.generation import BEFORE, check_kept
from tailrace.ports import ItemWrite, StateStore
from tailrace.projections.core.rows import AppliedItem, GroupState, ProjectedRow, RowChange, bucket_of
from tailrace.rows.kinds import PROJECTION_ITEM
from tailrace.rows.writes import VERSION, readable
from tailrace.streams.version import FIRST_GENERATION, NOTHING, row_version
from tailrace.values.types import AttributeValue, Item
from tailrace.values.wire import read_item

ROWS_AT_ONCE: Final = 99
"""TransactWriteItems takes a hundred actions."""
LONGEST_KEY: Final = 1_000
"""Bytes of a sort key; DynamoDB takes 1,024. What is longer stands there as its hash."""
SERVED: Final = "served"
SOURCES: Final = "tailrace_sources"
"""The sort key and the attribute of the numbers of sources."""
REFUSED: Final = "TransactionCanceledException"


class ConsistentRows(Protocol):
    """Where the rows of a table are read, consistently."""

    async def get(self, table: str, key: Item) -> Item | None:
        """One item."""

    async def query(self, table: str, name: str, value: str) -> list[Item]:
        """All items of one partition."""


class EngineRows:
    """The tables of the engine in this process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def get(self, table: str, key: Item) -> Item | None:
        """One item. Raises: StoreError when there is no such table."""
        try:
            return self._engine.get(table, key)
        except ApiError as error:
            raise StoreError(f"table {table!r}: {error.message}") from error

    async def query(self, table: str, name: str, value: str) -> list[Item]:
        """All items of one partition. Raises: StoreError when there is no such table."""
        items: list[Item] = []
        start: Item | None = None
        while True:
            try:
                page = self._engine.query(QueryRequest(table, KeyCondition({"S": value}), start=start))
            except ApiError as error:
                raise StoreError(f"table {table!r}: {error.message}") from error
            items += page.decoded()
            start = page.last_key
            if start is None:
                return items


class RemoteRows:
    """Tables at an endpoint, over an AwsAccess or a boto3 `dynamodb` client."""

    def __init__(self, client: Any) -> None:
        self._tables = tables_of(client)

    async def get(self, table: str, key: Item) -> Item | None:
        """One item. Raises: StoreError."""
        answer = await self._call("GetItem", {"TableName": table, "Key": key, "ConsistentRead": True})
        return None if "Item" not in answer else read_item(answer["Item"])

    async def query(self, table: str, name: str, value: str) -> list[Item]:
        """All items of one partition. Raises: StoreError."""
        request: dict[str, Any] = {
            "TableName": table,
            "ConsistentRead": True,
            "KeyConditionExpression": "#pk = :pk",
            "ExpressionAttributeNames": {"#pk": name},
            "ExpressionAttributeValues": {":pk": {"S": value}},
        }
        items: list[Item] = []
        while True:
            answer = await self._call("Query", request)
            items += [read_item(item) for item in answer["Items"]]
            if "LastEvaluatedKey" not in answer:
                return items
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    async def _call(self, operation: str, members: dict[str, Any]) -> Mapping[str, Any]:
        try:
            return await self._tables.call(operation, members)
        except AwsError as error:
            raise store_error(error, str(members["TableName"])) from error


class TableProjectionStore:
    """The ProjectionStore port over a table. Shape: `writes` commits, `rows` reads, of one DynamoDB."""

    rows_at_once = ROWS_AT_ONCE

    def __init__(
        self,
        table: Table,
        projection: str,
        name: str,
        writes: StateStore,
        rows: ConsistentRows,
    ) -> None:
        self._table = table
        self._projection = projection
        self._name = name
        self._writes = writes
        self._rows = rows

    async def items(self, keys: Sequence[str]) -> list[AppliedItem]:
        """The rows of these items."""
        rows = await asyncio.gather(*(self._get(self._partition(key), key) for key in keys))
        return [_item(row) for row in rows if row is not None]

    async def bucket(self, number: int) -> list[AppliedItem]:
        """The rows of one bucket."""
        rows = await self._rows.query(self._table.name, self._table.pk, f"{self._name}#{number:02x}")
        return [_item(row) for row in rows]

    async def groups(self, keys: Sequence[str] | None = None) -> list[GroupState]:
        """The rows of groups."""
        if keys is None:
            return [
                _group(row) for row in await self._rows.query(self._table.name, self._table.pk, self._name)
            ]
        rows = await asyncio.gather(*(self._get(self._name, key) for key in keys))
        return [_group(row) for row in rows if row is not None]

    async def commit(self, changes: Sequence[RowChange]) -> None:
        """All of it or nothing. Raises: StateConflict, ApiError."""
        try:
            await self._writes.transact([self._write(change) for change in changes])
        except ApiError as error:
            if error.code == REFUSED and "ConditionalCheckFailed" in str(error):
                raise StateConflict(f"{self._table.name}: a row was written meanwhile", index=0) from error
            raise

    async def serve(self) -> None:
        """Write down for clients which build they shall read."""
        item: Item = {
            **self._key(self._projection, SERVED),
            "served": {"S": self._name},
            "v": {"N": str(VERSION)},
        }
        await self._writes.transact([ItemWrite("Put", {"TableName": self._table.name, "Item": item})])

    def _partition(self, key: str) -> str:
        return f"{self._name}#{bucket_of(key):02x}"

    def _key(self, partition: str, sort: str) -> Item:
        return {self._table.pk: {"S": partition}, self._table.sk or "": {"S": sort_key(sort)}}

    async def _get(self, partition: str, sort: str) -> Item | None:
        return await self._rows.get(self._table.name, self._key(partition, sort))

    def _write(self, change: RowChange) -> ItemWrite:
        row, after = change.row, change.after
        key = self._key(self._partition(row.key) if isinstance(row, AppliedItem) else self._name, row.key)
        parameters: dict[str, Any] = {
            "TableName": self._table.name,
            **_condition(change.before, self._table.pk),
        }
        if after is None:
            return ItemWrite("Delete", {**parameters, "Key": key})
        item = {**_attributes(after), **key}
        return ItemWrite("Put", {**parameters, "Item": item})


class TableSources:
    """The numbers of a projection's sources, in an item beside the one that names the served build."""

    def __init__(self, table: Table, projection: str, writes: StateStore, rows: ConsistentRows) -> None:
        self._table = table
        self._projection = projection
        self._writes = writes
        self._rows = rows

    async def sources(self) -> Mapping[str, int]:
        """The sources that are kept; of rows from before numbers, that there are some. Raises: StoreError."""
        kept = await self._stored_sources()
        if kept:
            return kept
        served = await self._rows.get(self._table.name, self._key(SERVED))
        if served is None or not await self._rows.query(
            self._table.name, self._table.pk, served["served"]["S"]
        ):
            return {}
        return {BEFORE: FIRST_GENERATION}

    async def keep_sources(self, sources: Mapping[str, int]) -> None:
        """Keep these too. Raises: SettingsError naming the source and both numbers; StoreError."""
        while True:
            kept = await self._stored_sources()
            check_kept(f"table {self._table.name}", kept, sources)
            after = {**kept, **sources}
            if after == kept:
                return
            names = {"#kept": SOURCES}
            condition: dict[str, Any] = {
                "ConditionExpression": "attribute_not_exists(#kept)",
                "ExpressionAttributeNames": names,
            }
            if kept:
                condition = {
                    "ConditionExpression": "#kept = :kept",
                    "ExpressionAttributeNames": names,
                    "ExpressionAttributeValues": {":kept": _sources(kept)},
                }
            item: Item = {**self._key(SOURCES), SOURCES: _sources(after), "v": {"N": str(VERSION)}}
            try:
                await self._writes.transact(
                    [ItemWrite("Put", {"TableName": self._table.name, "Item": item, **condition})]
                )
            except ApiError as error:
                if error.code != REFUSED or "ConditionalCheckFailed" not in str(error):
                    raise StoreError(f"{self._table.name}: {error.message}") from error
                continue  # another worker keeps some at the same time
            return

    async def _stored_sources(self) -> dict[str, int]:
        item = await self._rows.get(self._table.name, self._key(SOURCES))
        return (
            {}
            if item is None
            else {source: int(number["N"]) for source, number in item[SOURCES]["M"].items()}
        )

    def _key(self, sort: str) -> Item:
        return {self._table.pk: {"S": self._projection}, self._table.sk or "": {"S": sort}}


def _sources(sources: Mapping[str, int]) -> AttributeValue:
    return {"M": {source: {"N": str(number)} for source, number in sources.items()}}


def sort_key(text: str) -> str:
    """A text as a sort key: itself, or a hash of one that is too long."""
    data = text.encode()
    return text if len(data) <= LONGEST_KEY else f"sha256:{sha256(data).hexdigest()}"


def _attributes(row: ProjectedRow) -> Item:
    fixed: Item = {"v": {"N": str(VERSION)}, "at_ms": {"N": str(row.at_ms)}}
    if isinstance(row, AppliedItem):
        image: Item = {} if row.image is None else {"image": {"M": row.image}}
        return {
            **fixed,
            "v": {"N": str(PROJECTION_ITEM.format)},
            "item": {"S": row.key},
            "version": {"S": row.version.text},
            "group": {"S": row.group},
            **image,
        }
    numbers: Item = {"version": {"N": str(row.version)}, "count": {"N": str(row.count)}}
    key: AttributeValue = orjson.loads(row.key)
    return {**fixed, "group": {"S": row.key}, "key": key, "state": row.state, **numbers}


def _item(item: Item) -> AppliedItem:
    row = _readable(item)
    version = row_version(
        {name: next(iter(row[name].values())) for name in ("version", "sequence") if name in row}
    )
    return AppliedItem(
        row["item"]["S"],
        version or NOTHING,
        row["group"]["S"],
        row.get("image", {}).get("M"),
        int(row["at_ms"]["N"]),
        "version" not in row,
    )


def _group(item: Item) -> GroupState:
    row = _readable(item)
    return GroupState(
        row["group"]["S"],
        int(row["version"]["N"]),
        int(row["count"]["N"]),
        row["state"],
        int(row["at_ms"]["N"]),
    )


def _readable(row: Item) -> Item:
    readable({"v": int(row["v"]["N"])}, "projection", PROJECTION_ITEM.format)
    return row


def _condition(before: ProjectedRow | None, pk: str) -> dict[str, Any]:
    if before is None:
        return {"ConditionExpression": "attribute_not_exists(#pk)", "ExpressionAttributeNames": {"#pk": pk}}
    return {
        "ConditionExpression": "#stamp = :stamp",
        "ExpressionAttributeNames": {"#stamp": before.stamped},
        "ExpressionAttributeValues": {
            ":stamp": {"S" if isinstance(before.stamp, str) else "N": str(before.stamp)}
        },
    }
