"""`db.query(Order, index="by_country", country="NL")`: a Query by an entity's fields, or by an expression.

Theory of operation: the fields that the partition key is made of are all given. Of the sort key's as many are
as there are: all of them ask for one value, the first ones for what begins so. Items of other entities are
left out of the answer.
Rules of this file: arguments in, DynamoDB's parameters out; nothing is read.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from tailrace.app.entity import Entity
from tailrace.app.index import index_keys
from tailrace.app.plain import to_attribute, to_plain_item
from tailrace.app.table import Table, key_names
from tailrace.app.typed import EntityOf, Named, entity_named
from tailrace.errors import SettingsError
from tailrace.values.types import AttributeValue, Item


class Query(NamedTuple):
    """A query. Shape: `members` as Query takes them; items are of `entity`, None: plain values."""

    members: dict[str, Any]
    entity: Entity[Any] | None

    def items(self, answer: Mapping[str, Any]) -> list[Any]:
        """What one page's answer holds. Raises: ItemError."""
        items: list[Item] = answer.get("Items", [])
        if self.entity is None:
            return [to_plain_item(item) for item in items]
        return [self.entity.decode(item) for item in items if self.entity.fits(item)]


def query_of(
    target: Table | str | Named,
    expression: str | None,
    index: str | None,
    names: Mapping[str, str] | None,
    values: Mapping[str, Any] | None,
    fields: Mapping[str, Any],
    of: EntityOf,
    *,
    reverse: bool,
) -> Query:
    """A query. Raises: SettingsError, ItemError."""
    condition = _Condition(
        dict(names or {}), {name: to_attribute(value) for name, value in (values or {}).items()}
    )
    entity = None
    if isinstance(target, Table | str):
        if fields or expression is None:
            raise SettingsError(
                f"query: a table is asked by an expression: db.query({target}, 'id = :id', "
                f"values={{':id': 'o1'}})"
            )
        table: Table | str = target
    else:
        entity = entity_named(target, of)
        table = entity.table
        _ask_fields(condition, entity, index, fields, has_expression=expression is not None)
    if isinstance(table, Table) and index is not None:
        index_keys(table, index)  # known, or refused
    if expression is not None:
        condition.parts.append(expression)
    is_global = index is not None and not (isinstance(table, Table) and table.indexes[index].is_local)
    members: dict[str, Any] = {
        "TableName": str(table),
        "IndexName": index,
        "KeyConditionExpression": " AND ".join(condition.parts),
        "ExpressionAttributeNames": condition.names,
        "ExpressionAttributeValues": condition.values,
        "ScanIndexForward": None if not reverse else False,
        "ConsistentRead": None if is_global else True,
    }
    return Query({name: value for name, value in members.items() if value not in (None, {})}, entity)


class _Condition:
    """A key condition that is being made."""

    def __init__(self, names: dict[str, str], values: dict[str, AttributeValue]) -> None:
        self.names = names
        self.values = values
        self.parts: list[str] = []

    def add(self, words: str, attribute: str, value: AttributeValue) -> None:
        """One more. Shape: `words` with `{0}` for the attribute and `{1}` for the value."""
        name, placeholder = f"#key{len(self.parts)}", f":key{len(self.parts)}"
        self.names[name], self.values[placeholder] = attribute, value
        self.parts.append(words.format(name, placeholder))


def _ask_fields(
    condition: _Condition,
    entity: Entity[Any],
    index: str | None,
    fields: Mapping[str, Any],
    *,
    has_expression: bool,
) -> None:
    table = entity.table
    keys = tuple(key_names(table)) if index is None else index_keys(table, index)
    for name in fields:
        _ = entity.model.field(name)
    partition = entity.key_made_of(keys[0])
    if lacking := [name for name in partition if name not in fields]:
        raise SettingsError(
            f"query: {entity}: {', '.join(lacking)}= is missing: the partition key {keys[0]!r} is "
            f"made of {', '.join(partition)}"
        )
    if not partition and not entity.has_key(keys[0]):
        raise SettingsError(
            f"query: {entity} has nothing in {keys[0]!r}, the partition key of index {index!r}: a field of "
            f"that name, or keys={{{keys[0]!r}: …}} on the class, puts it there"
        )
    condition.add("{0} = {1}", keys[0], entity.key_value(keys[0], fields))
    sort = keys[1] if len(keys) > 1 and entity.has_key(keys[1]) else None
    others = [name for name in fields if name not in partition]
    made_of = () if sort is None else entity.key_made_of(sort)
    if strange := [name for name in others if name not in made_of[: len(others)]]:
        raise SettingsError(
            f"query: {entity}: {', '.join(strange)}= is no part of the key that is asked"
            + (f": after {', '.join(partition)} come {', '.join(made_of)}, in this order" if made_of else "")
        )
    if sort is None or has_expression:
        if others:
            raise SettingsError(
                f"query: {', '.join(others)}= and an expression both ask the sort key; give one of them"
            )
        return
    if set(made_of) <= fields.keys():
        condition.add("{0} = {1}", sort, entity.key_value(sort, fields))
    elif prefix := entity.key_prefix(sort, fields):
        condition.add("begins_with({0}, {1})", sort, {"S": prefix})
