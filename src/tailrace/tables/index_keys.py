"""Values of index keys that a write may not have: refused in AWS's words.

Rules of this file: pure. An index key attribute may be absent (then the item has no entry), but where it is
there it must fit the index. An update is blamed only for what it changes. Called by `engine.engine` for
tables with indexes.
Source: semantics §6.4 (run-time errors), §6.5.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from tailrace.errors import ApiError, validation_error
from tailrace.expressions.update import BoundUpdate as UpdateExpression
from tailrace.tables.indexes import KeyAttribute, TableIndexSchema, entry_bytes
from tailrace.tables.limits import ITEM_BYTES, PARTITION_KEY_BYTES, SORT_KEY_BYTES
from tailrace.tables.mutate import Delete, Mutation, Operation, Put, Update, check_scalars
from tailrace.tables.schema import EMPTY_KINDS, INVALID, NOT_VALID
from tailrace.values.canonical import ordered_bytes
from tailrace.values.types import Item

NOT_SUPPORTED: Final = f"{NOT_VALID}A value specified for a secondary index key is not supported. "
UPDATE_NOT_SUPPORTED: Final = (
    f"{NOT_VALID}The update expression attempted to update a secondary index key to a value that is "
    "not supported. "
)
CANNOT_BE_EMPTY: Final = "The AttributeValue for a key attribute cannot contain an empty {} value."
UNSUPPORTED_TYPE: Final = (
    "The update expression attempted to update the secondary index key to unsupported type"
)


def check_operation(indexes: Iterable[TableIndexSchema], operation: Operation) -> None:
    """What can be refused before the stored item is known: a put's values, an update's as far as they are
    told. Raises: ApiError.
    """
    if isinstance(operation, Put):
        for index in indexes:
            _check_item(index, operation.item)
    elif isinstance(operation, Update) and operation.update is not None:
        _check_update(indexes, operation.update)


def _check_update(indexes: Iterable[TableIndexSchema], update: UpdateExpression) -> None:
    for index in indexes:
        for name, kind in index.definition.key:
            actual = update.kind_at(name)
            if actual is not None and actual != kind:
                raise _mismatch(index, name, kind, actual)
        check_scalars(index.definition.key_names, update.nested_names(), "IndexKey")


def _mismatch(index: TableIndexSchema, name: str, expected: str, actual: str) -> ApiError:
    return validation_error(
        f"{INVALID}Type mismatch for Index Key {name} Expected: {expected} Actual: {actual} "
        f"IndexName: {index.name}"
    )


def check_mutation(indexes: Sequence[TableIndexSchema], operation: Operation, mutation: Mutation) -> None:
    """What can be refused once the new item is known. Raises: ApiError. Source: semantics §6.3, §6.4."""
    new = mutation.new
    if new is None or isinstance(operation, Delete):
        return
    if isinstance(operation, Update):
        for index in indexes:
            _check_updated(index, {} if mutation.old is None else mutation.old, new)
    if mutation.changed and mutation.size + entry_bytes(indexes, new, mutation.key_bytes) > ITEM_BYTES:
        to_update = " to update" if isinstance(operation, Update) else ""
        raise validation_error(f"Item size{to_update} has exceeded the maximum allowed size")


def _check_item(index: TableIndexSchema, item: Item) -> None:
    for name, kind in index.definition.key:
        value = item.get(name)
        if value is None:
            continue
        if kind not in value:
            raise _mismatch(index, name, kind, next(iter(value)))
        if kind != "N" and not value[kind]:
            raise validation_error(
                f"{NOT_SUPPORTED}{CANNOT_BE_EMPTY.format(EMPTY_KINDS[kind])} IndexName: "
                f"{index.name}, IndexKey: {name}"
            )
    _check_sizes(index, item)


def _check_updated(index: TableIndexSchema, old: Item, new: Item) -> None:
    changed = False
    for name, kind in index.definition.key:
        value = new.get(name)
        if value is None or value == old.get(name):
            continue
        changed = True
        if kind not in value:
            raise validation_error(UNSUPPORTED_TYPE)
        if kind != "N" and not value[kind]:
            raise validation_error(f"{UPDATE_NOT_SUPPORTED}{CANNOT_BE_EMPTY.format(EMPTY_KINDS[kind])}")
    if changed:
        _check_sizes(index, new)


def _check_sizes(index: TableIndexSchema, item: Item) -> None:
    definition = index.definition
    if _size(definition.hash_key, item) > PARTITION_KEY_BYTES:
        # AWS's text really has no blank before the number.
        raise _too_large("Size of hashkey has exceeded the maximum size limit of2048 bytes")
    if _size(definition.range_key, item) > SORT_KEY_BYTES:
        raise _too_large("Aggregated size of all range keys has exceeded the size limit of 1024 bytes")


def _size(attributes: Iterable[KeyAttribute], item: Item) -> int:
    return sum(len(ordered_bytes(item[name])) for name, kind in attributes if kind in item.get(name, ()))


def _too_large(text: str) -> ApiError:
    return validation_error(f"{INVALID}{text}")
