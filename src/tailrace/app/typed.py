"""What a write or a read names: a table with plain values, or an entity with its fields.

Theory of operation: `change.transaction`, the client of a handler and the test world take the same arguments;
here they become a table's name, a key and expressions, once. Fields make the key (`Order, id="o1"`), also as
a mapping (`Order, {"id": "o1"}`); a field set to None is removed where it is left out.
Rules of this file: arguments in, DynamoDB's parameters out; nothing is read or written.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from tailrace.app.entity import Entity
from tailrace.app.item import ENTITY, entity_of
from tailrace.app.plain import to_attribute, to_item
from tailrace.app.table import Table
from tailrace.errors import SettingsError
from tailrace.values.types import AttributeValue, Item

Named: TypeAlias = type[Any] | Entity[Any]
"""An entity, by its class or itself."""
EntityOf: TypeAlias = Callable[[type[Any]], Entity[Any]]
EXPRESSION: Final = "give an expression or attributes to set, one of them"


class Updating(NamedTuple):
    """An update. Shape: `expression` with its `names` and `values`, as UpdateItem takes them."""

    table: Table | str
    key: Item
    expression: str
    names: Mapping[str, str]
    values: Mapping[str, AttributeValue]


def entity_among(tables: Mapping[str, Table]) -> EntityOf:
    """A function that finds the entity of a class, among these tables and of Item classes anywhere.

    Raises:  the function: SettingsError for other classes.
    """

    def known_entity(cls: type[Any]) -> Entity[Any]:
        if isinstance(own := cls.__dict__.get(ENTITY), Entity):
            return own
        known = [entity for table in tables.values() for entity in table.entities if entity.cls is cls]
        return known[0] if len(known) == 1 else entity_of(cls)

    return known_entity


def entity_named(target: object, of: EntityOf) -> Entity[Any]:
    """The entity that a class or an entity names. Raises: SettingsError."""
    if isinstance(target, Entity):
        return target
    if not isinstance(target, type):
        raise SettingsError(
            f"{target!r} is no table and no entity; name its class and fields: Order, id='o1'"
        )
    return of(target)


def put_of(
    target: Table | str | object, item: Mapping[str, Any] | None, of: EntityOf
) -> tuple[Table | str, Item]:
    """The table and the item of a put: of an instance, or of a table and plain values.

    Raises:  SettingsError, ItemError.
    """
    if isinstance(target, Table | str):
        return target, to_item(item or {})
    if item is not None or isinstance(target, type | Entity):
        raise SettingsError(
            f"put: {target!r} is not allowed; put an instance, Order(id='o1'), or a table and an item"
        )
    entity = of(type(target))
    return entity.table, entity.encode(target)


def key_of(
    target: Table | str | Named, key: Mapping[str, Any] | None, fields: Mapping[str, Any], of: EntityOf
) -> tuple[Table | str, Item]:
    """The table and the key of one item. Raises: SettingsError, ItemError."""
    if isinstance(target, Table | str):
        if fields:
            raise SettingsError(f"{', '.join(fields)}: a table's key is a mapping: {target}, {{'id': 'o1'}}")
        return target, to_item(key or {})
    entity = entity_named(target, of)
    return entity.table, entity.key_item({**(key or {}), **fields})


def update_of(
    target: Table | str | Named,
    key: Mapping[str, Any] | None,
    expression: str | None,
    names: Mapping[str, str] | None,
    values: Mapping[str, Any] | None,
    attributes: Mapping[str, Any],
    of: EntityOf,
) -> Updating:
    """An update by an expression, or by attributes (of an entity: fields) to set.

    Raises:  SettingsError, ItemError.
    """
    given = {name: to_attribute(value) for name, value in (values or {}).items()}
    if isinstance(target, Table | str):
        if (expression is None) != bool(attributes):
            raise SettingsError(f"update: {EXPRESSION}")
        changes: Mapping[str, AttributeValue | None] = {
            name: to_attribute(value) for name, value in attributes.items()
        }
        table, content = target, to_item(key or {})
    else:
        entity = entity_named(target, of)
        content, changes = entity.split({**(key or {}), **attributes})
        table = entity.table
        if (expression is None) != bool(changes):
            raise SettingsError(f"update: {EXPRESSION}: {entity}, id='o1', status='paid'")
    if expression is not None:
        return Updating(table, content, expression, names or {}, given)
    if names is None and values is None:
        return Updating(table, content, *setting(changes))
    set_expression, set_names, set_values = setting(changes)  # beside those of a condition
    return Updating(table, content, set_expression, {**(names or {}), **set_names}, {**given, **set_values})


def setting(
    changes: Mapping[str, AttributeValue | None],
) -> tuple[str, dict[str, str], dict[str, AttributeValue]]:
    """The expression that sets attributes (None: removes them), its names and its values.

    >>> setting({"status": {"S": "paid"}, "note": None})
    ('SET #set0 = :set0 REMOVE #set1', {'#set0': 'status', '#set1': 'note'}, {':set0': {'S': 'paid'}})
    """
    names = {f"#set{index}": name for index, name in enumerate(changes)}
    values = {f":set{index}": value for index, value in enumerate(changes.values()) if value is not None}
    set_part = ", ".join(f"#{name[1:]} = {name}" for name in values)
    removed = ", ".join(name for name in names if f":{name[1:]}" not in values)
    parts = [f"SET {set_part}"] * bool(set_part) + [f"REMOVE {removed}"] * bool(removed)
    return " ".join(parts), names, values
