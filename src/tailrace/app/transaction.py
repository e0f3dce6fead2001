"""`change.transaction`: writes that are recorded now and committed with a mark when the handler has returned.

Rules of this file: nothing is written here, so nothing is written when the handler fails. The limits are
those of TransactWriteItems less one action for the mark, and one action an item: writes of one item are
merged, in order, by tables/merging.py. Committed by runtime/effects.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, cast

from tailrace.app.plain import to_item, to_plain
from tailrace.app.table import Table, key_names
from tailrace.app.typed import Named, entity_among, key_of, put_of, update_of
from tailrace.errors import SettingsError
from tailrace.expressions.composing import NotExact
from tailrace.ports import ItemWrite
from tailrace.tables.merging import TransactWrite, merged
from tailrace.tables.schema import KeyType, TableSchema
from tailrace.values.canonical import size_bytes
from tailrace.values.types import AttributeValue, Item

ACTIONS: Final = 99
BYTES: Final = 4_000_000
NO_TABLES: Final[Mapping[str, Table]] = MappingProxyType({})
KEY_TYPES: Final = frozenset({"S", "N", "B"})
SHOWN: Final = 60
"""How much of an expression a refusal shows."""


@dataclass(slots=True)
class _Place:
    """What is recorded of one item. Shape: `calls` made it, as a refusal tells them."""

    written: TransactWrite
    size: int
    calls: list[str] = field(default_factory=list)


class Transaction:
    """Recorded writes: of instances and fields of entities, or of tables and plain Python values.

    Guarantee: writes of one item are as if they were made one after the other, all or none.
    """

    __slots__ = ("_entity_of", "_keys", "_places", "_size", "_tables")

    def __init__(self, tables: Mapping[str, Table] = NO_TABLES) -> None:
        self._tables = tables
        self._entity_of = entity_among(tables)
        self._keys: dict[str, tuple[str, ...]] = {}
        self._places: list[_Place] = []
        self._size = 0

    @property
    def writes(self) -> Sequence[ItemWrite]:
        """What is to be written: one write an item, in the order in which the items were first named."""
        return tuple(ItemWrite(*place.written) for place in self._places)

    def put(
        self,
        target: Table | str | object,
        item: Mapping[str, Any] | None = None,
        *,
        condition: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        """Put an item, if the condition holds: `put(Order(id="o1"))`, or `put(orders, {"id": "o1"})`.

        Raises:  SettingsError, ItemError.
        """
        table, content = put_of(target, item, self._entity_of)
        parameters = {"Item": content, "ConditionExpression": condition}
        self._record("Put", table, parameters, names, to_item(values or {}))

    def update(
        self,
        target: Table | str | Named,
        key: Mapping[str, Any] | None = None,
        expression: str | None = None,
        *,
        condition: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
        **attributes: Any,
    ) -> None:
        """Update an item, making it where it is absent, if the condition holds.

        Shape:   by an expression, `update(orders, {"id": "o1"}, "ADD n :n", …)`, or by what to set,
                 `update(Order, id="o1", status="paid")`; a field set to None is removed where it is left out.
        Raises:  SettingsError, ItemError.
        """
        asked = update_of(target, key, expression, names, values, attributes, self._entity_of)
        parameters = {
            "Key": asked.key,
            "UpdateExpression": asked.expression,
            "ConditionExpression": condition,
        }
        self._record("Update", asked.table, parameters, asked.names, asked.values)

    def delete(
        self,
        target: Table | str | Named,
        key: Mapping[str, Any] | None = None,
        *,
        condition: str | None = None,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        """Delete an item, `delete(Order, id="o1")`, if the condition holds.

        Raises:  SettingsError, ItemError.
        """
        table, content = key_of(target, key, fields, self._entity_of)
        parameters = {"Key": content, "ConditionExpression": condition}
        self._record("Delete", table, parameters, names, to_item(values or {}))

    def check(
        self,
        target: Table | str | Named,
        key: Mapping[str, Any] | None = None,
        condition: str | None = None,
        *,
        names: Mapping[str, str] | None = None,
        values: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> None:
        """Require a condition of an item that is not written, `check(Order, condition="…", id="o1")`.

        Raises:  SettingsError, ItemError.
        """
        if condition is None:
            raise SettingsError("check: condition= is missing: an expression, as in 'attribute_exists(id)'")
        table, content = key_of(target, key, fields, self._entity_of)
        parameters = {"Key": content, "ConditionExpression": condition}
        self._record("ConditionCheck", table, parameters, names, to_item(values or {}))

    def _record(
        self,
        action: Any,
        table: Table | str,
        parameters: dict[str, Any],
        names: Mapping[str, str] | None,
        values: Mapping[str, AttributeValue],
    ) -> None:
        placeholders = {
            "ExpressionAttributeNames": dict(names or {}),
            "ExpressionAttributeValues": dict(values),
        }
        members = {"TableName": str(table), **parameters, **placeholders}
        written = TransactWrite(action, {name: value for name, value in members.items() if value})
        name = str(table)
        if name not in self._keys:
            self._learn(name, table, parameters.get("Key"))
        self._add(_Place(written, _size_of(written), [_call_words(written)]))

    def _learn(self, name: str, table: Table | str, key: Item | None) -> None:
        """Note the key of a table as soon as it is known; until then puts into it stand side by side."""
        declared = table if isinstance(table, Table) else self._tables.get(name)
        if declared is not None:
            self._keys[name] = tuple(key_names(declared))
        elif key is not None:
            self._keys[name] = tuple(key)
            earlier, self._places, self._size = self._places, [], 0
            for place in earlier:
                self._add(place)

    def _add(self, new: _Place) -> None:
        old = self._place_of(new.written)
        if old is not None:
            new = _joined(self._schema(old.written), old, new)
        elif len(self._places) >= ACTIONS:
            raise SettingsError(f"change.transaction holds at most {ACTIONS} actions: one more is the mark")
        size = self._size + new.size - (0 if old is None else old.size)
        if size > BYTES:
            raise SettingsError(f"change.transaction holds at most {BYTES:,} bytes, and this is {size:,}")
        self._size = size
        if old is None:
            self._places.append(new)
        else:
            old.written, old.size, old.calls = new.written, new.size, new.calls

    def _place_of(self, written: TransactWrite) -> _Place | None:
        key = self._key(written)
        if key is None:
            return None
        table = written.parameters["TableName"]
        for place in self._places:
            if place.written.parameters["TableName"] == table and self._key(place.written) == key:
                return place
        return None

    def _key(self, written: TransactWrite) -> Item | None:
        """The item's key; None where it is not known, or is no key: then the commit is refused."""
        names = self._keys.get(written.parameters["TableName"], ())
        item: Item = written.parameters["Item" if written.action == "Put" else "Key"]
        key = {name: item[name] for name in names if name in item and KEY_TYPES.issuperset(item[name])}
        return key if key and len(key) == len(names) else None

    def _schema(self, written: TransactWrite) -> TableSchema:
        table, key = written.parameters["TableName"], self._key(written) or {}
        names = self._keys[table]
        types = [cast(KeyType, next(iter(key[name]))) for name in names]
        pairs = [*zip(names, types, strict=True)]
        return TableSchema(table, 0, "", *pairs[0], *(pairs[1] if len(pairs) > 1 else (None, None)))


def _joined(schema: TableSchema, old: _Place, new: _Place) -> _Place:
    try:
        written = merged(schema, old.written, new.written)
    except NotExact as reason:
        parameters = old.written.parameters
        item: Item = parameters["Item" if old.written.action == "Put" else "Key"]
        key = {name: to_plain(item[name]) for name in schema.key_names}
        raise SettingsError(
            f"change.transaction: two writes of one item, {key} of {schema.name}, cannot be made one: "
            f"{' and '.join(old.calls)}, then {new.calls[0]}: {reason}",
            hint="write the item once with the outcome of both, or move one of the writes to a handler of "
            "its own; "
            "docs/guarantees.md says what is merged",
        ) from None
    return _Place(written, _size_of(written), [*old.calls, *new.calls])


def _size_of(written: TransactWrite) -> int:
    """Units: bytes of the item and of the values; names and keys are not worth counting."""
    parameters = written.parameters
    return size_bytes(parameters.get("Item", {})) + size_bytes(
        parameters.get("ExpressionAttributeValues", {})
    )


def _call_words(written: TransactWrite) -> str:
    text = written.parameters.get("UpdateExpression") or written.parameters.get("ConditionExpression")
    name = {"ConditionCheck": "check"}.get(written.action, written.action.lower())
    return name if text is None else f'{name} "{text[:SHOWN]}{"…" if len(text) > SHOWN else ""}"'
