"""Writing and reading items in a test world: typed, or as plain values.

Rules of this file: each write is one commit of the production engine; values in and out, nothing is judged.
Called by world.py.
"""

from collections.abc import Mapping
from typing import Any, TypeAlias, TypeVar, overload

from orjson import dumps

from tailrace.app.client import Asking, answered
from tailrace.app.data_stream import DataStream
from tailrace.app.entity import Entity
from tailrace.app.plain import to_plain_item
from tailrace.app.table import Table
from tailrace.app.typed import key_of, put_of, update_of
from tailrace.engine.engine import Engine
from tailrace.engine.kinesis.putting import DataEntry
from tailrace.engine.query import ScanRequest
from tailrace.expressions.placeholders import Placeholders
from tailrace.expressions.update import parse_update
from tailrace.runtime.causing import CAUSE
from tailrace.server.handler_door import DoorAtOnce
from tailrace.streams.kinesis.plain import keys_of
from tailrace.tables.mutate import Delete, Put, Update
from tailrace.values.canonical import ordered_bytes
from tailrace.values.types import Item

T = TypeVar("T")
Typed: TypeAlias = type[Any] | Entity[Any]


class Items:
    """The items of an engine. Shape: a target is a table and plain values, or an entity and its fields."""

    engine: Engine

    def entity(self, cls: type[Any]) -> Entity[Any]:
        """The entity of a class. Raises: SettingsError."""
        raise NotImplementedError

    def _entity(self, target: Typed) -> Entity[Any]:
        return target if isinstance(target, Entity) else self.entity(target)

    def _commit(self, words: str, content: Item) -> None:
        self.engine.committer.flush()
        self._written(words, content)

    def _written(self, words: str, content: Item) -> None:
        """Called after each write."""

    def put(self, target: Table | str | object, item: Mapping[str, Any] | None = None) -> None:
        """Write an item: `world.put(Order(id="o1"))`, or plain values, `world.put(orders, {"id": "o1"})`.

        Raises:  ApiError, SettingsError, ItemError.
        """
        target, content = put_of(target, item, self.entity)
        with self.engine.caused_by(CAUSE.get()):
            self.engine.put(Put(str(target), content))
        self._commit(f"put {target}", content)

    def put_record(
        self,
        stream: DataStream | str,
        data: object,
        key: str,
        *,
        hash_key: int | None = None,
    ) -> str:
        """Put a record into a data stream: `world.put_record(clicks, {"page": "/"}, key="user-1")`.

        Shape:   bytes as they are, a text in UTF-8, anything else as JSON; `key` is its partition key,
                 `hash_key` chooses the shard in its place.
        Returns: its sequence number.
        Raises:  ApiError; TypeError for what has no JSON form.
        """
        content = data if isinstance(data, bytes) else data.encode() if isinstance(data, str) else dumps(data)
        door = self.engine.kinesis
        entry = DataEntry(content, key, None if hash_key is None else str(hash_key))
        (put,) = door.puts.put(door.streams.usable(str(stream)), [entry])
        if put.error is not None:
            raise put.error
        self._commit(f"put record {stream}", keys_of(key))
        return put.sequence_number

    def update(
        self,
        target: Table | str | Typed,
        key: Mapping[str, Any] | None = None,
        expression: str | None = None,
        *,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
        **attributes: Any,
    ) -> None:
        """Change an item: `world.update(Order, id="o1", status="paid")`, or by its key and an update
        expression or attributes to set: `world.update(orders, {"id": "o1"}, status="paid")`. A field set to
        None is removed where it is left out.

        Raises:  ApiError, SettingsError, ItemError.
        """
        asked = update_of(target, key, expression, names, values, attributes, self.entity)
        target, content = asked.table, asked.key
        placeholders = Placeholders(asked.names or None, asked.values or None)
        update = parse_update(asked.expression, placeholders)
        placeholders.check_all_used()
        with self.engine.caused_by(CAUSE.get()):
            self.engine.update(Update(str(target), content, update))
        self._commit(f"update {target}", content)

    def delete(
        self, target: Table | str | Typed, key: Mapping[str, Any] | None = None, **fields: Any
    ) -> None:
        """Delete an item, `world.delete(Order, id="o1")`; one that is not there is no error.

        Raises:  ApiError, ItemError.
        """
        table, content = self._key(target, key, fields)
        with self.engine.caused_by(CAUSE.get()):
            self.engine.delete(Delete(table, content))
        self._commit(f"delete {table}", content)

    @overload
    def get(self, target: Table | str, key: Mapping[str, Any]) -> dict[str, Any] | None: ...
    @overload
    def get(
        self, target: type[T] | Entity[T], key: Mapping[str, Any] | None = None, **fields: Any
    ) -> T | None: ...
    def get(self, target: Table | str | Typed, key: Mapping[str, Any] | None = None, **fields: Any) -> Any:
        """An item, `world.get(Order, id="o1")`, or its plain values; None when it is not there.

        Raises:  ApiError, ItemError.
        """
        table, content = self._key(target, key, fields)
        item = self.engine.get(table, content)
        if item is None:
            return None
        return to_plain_item(item) if isinstance(target, Table | str) else self._entity(target).decode(item)

    @overload
    def query(
        self,
        target: Table | str,
        expression: str,
        *,
        index: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
        reverse: bool = False,
        limit: int | None = None,
    ) -> list[dict[str, Any]]: ...
    @overload
    def query(
        self,
        target: type[T] | Entity[T],
        expression: str | None = None,
        *,
        index: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
        reverse: bool = False,
        limit: int | None = None,
        **fields: Any,
    ) -> list[T]: ...
    def query(
        self,
        target: Table | str | Typed,
        expression: str | None = None,
        *,
        index: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
        reverse: bool = False,
        limit: int | None = None,
        **fields: Any,
    ) -> list[Any]:
        """The items of one partition of a table or an index, in order:
        `world.query(Order, index="by_country", country="NL")`.

        Shape:   the fields of the partition key, and as many of the sort key's as there are; or an expression
                 on the sort key, `"total > :t"`.
        Raises:  ApiError, SettingsError, ItemError.
        """
        asking = Asking(self.entity)
        steps = asking.query(target, expression, index, names, values, fields, reverse=reverse, limit=limit)
        return answered(steps, DoorAtOnce(self.engine))

    @overload
    def scan(self, target: Table | str) -> list[dict[str, Any]]: ...
    @overload
    def scan(self, target: type[T] | Entity[T]) -> list[T]: ...
    def scan(self, target: Table | str | Typed) -> list[Any]:
        """Every item of a table as plain values, or every one of an entity, in the order of their keys.

        Raises:  ApiError, ItemError.
        """
        entity = None if isinstance(target, Table | str) else self._entity(target)
        table = str(target) if entity is None else entity.table.name
        names = self.engine.schema(table).key_names
        items: list[Item] = []
        start: Item | None = None
        while True:
            page = self.engine.scan(ScanRequest(table, start=start))
            items += page.decoded()
            start = page.last_key
            if start is None:
                break
        items.sort(key=lambda item: [ordered_bytes(item[name]) for name in names])
        if entity is None:
            return [to_plain_item(item) for item in items]
        return [entity.decode(item) for item in items if entity.fits(item)]

    def _key(
        self, target: Table | str | Typed, key: Mapping[str, Any] | None, fields: Mapping[str, Any]
    ) -> tuple[str, Item]:
        table, content = key_of(target, key, fields, self.entity)
        return str(table), content
