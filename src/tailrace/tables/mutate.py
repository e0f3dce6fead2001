"""What a write means: an old item and an operation give a mutation, or AWS's error.

Rules of this file: pure; inputs are never changed; nothing here knows of streams, stores or time. A write
that leaves the item as it was is not a change (`changed` is False): no row and no record follow from it,
though it still answers. Called by `engine.engine` and `engine.transact`.
"""

from collections.abc import Container, Iterable
from typing import TypeAlias, assert_never

import msgspec

from tailrace.errors import ApiError, validation_error
from tailrace.expressions.condition import Condition
from tailrace.expressions.update import BoundUpdate
from tailrace.tables.limits import ITEM_BYTES
from tailrace.tables.schema import INVALID, ItemTarget, TableSchema
from tailrace.values.canonical import size_bytes, size_shared
from tailrace.values.types import Item


class Put(msgspec.Struct, frozen=True):
    """Replace an item, or create it."""

    table: str
    item: Item
    condition: Condition | None = None
    return_old_on_failure: bool = False


class Update(msgspec.Struct, frozen=True):
    """Change an item's attributes, or create it; without an expression, only see to it that it exists."""

    table: str
    key: Item
    update: BoundUpdate | None = None
    condition: Condition | None = None
    return_old_on_failure: bool = False


class Delete(msgspec.Struct, frozen=True):
    """Remove an item if it is there. `by_ttl` marks the service's own deletes."""

    table: str
    key: Item
    condition: Condition | None = None
    return_old_on_failure: bool = False
    by_ttl: bool = False


class ConditionCheck(msgspec.Struct, frozen=True):
    """Require a condition of an item that is not written (only inside a transaction)."""

    table: str
    key: Item
    condition: Condition | None
    return_old_on_failure: bool = False


Operation: TypeAlias = Put | Update | Delete | ConditionCheck


class Mutation(msgspec.Struct, frozen=True, gc=False):
    """What one operation does to one item.

    Shape:   `old` and `new` are the item before and after, None where it does not exist; `changed` says
             whether they differ. Units: `size` of the new item as DynamoDB charges it, 0 without one.
    """

    keys: Item
    key_bytes: bytes
    partition: int
    old: Item | None
    new: Item | None
    changed: bool
    size: int = 0


def without_condition(operation: Operation) -> Operation:
    """The operation once its condition is known to hold: a check then asks for nothing any more."""
    return msgspec.structs.replace(operation, condition=None)


def locate(schema: TableSchema, operation: Operation) -> ItemTarget:
    """The item an operation is about, before the old is read. Raises: ApiError. Source: semantics §6.5."""
    if isinstance(operation, Put):
        return schema.locate_item(operation.item)
    target = schema.locate_key(operation.key)
    if isinstance(operation, Update) and operation.update is not None:
        check_update(schema, operation.update)
    return target


def require_room(item: Item) -> int:
    """The size of an item to be put. Raises: ApiError when it is too large."""
    size = size_bytes(item)
    if size > ITEM_BYTES:
        raise validation_error("Item size has exceeded the maximum allowed size")
    return size


def mutate(
    schema: TableSchema, old: Item | None, operation: Operation, target: ItemTarget | None = None
) -> Mutation:
    """Decide a write.

    Raises:  ApiError: ConditionalCheckFailedException (with the item when asked for), ValidationException.
    Source:  semantics §1.4, §6.3, §6.8.
    """
    keys, key_bytes, partition = target or locate(schema, operation)
    if operation.condition is not None:
        _require(operation, old)
    match operation:
        case Put(item=new):
            return Mutation(keys, key_bytes, partition, old, new, new != old, require_room(new))
        case Update():
            return _updated(old, operation, ItemTarget(keys, key_bytes, partition))
        case Delete():
            return Mutation(keys, key_bytes, partition, old, None, old is not None)
        case ConditionCheck():
            return Mutation(keys, key_bytes, partition, old, old, False)
        case _:
            assert_never(operation)


def _updated(old: Item | None, operation: Update, target: ItemTarget) -> Mutation:
    keys, key_bytes, partition = target
    before = keys if old is None else old
    update = operation.update
    if update is None:
        new = before
    elif old is None and update.only_removes:
        # Even of a path whose parent is not there. Source: faults §3.
        return Mutation(keys, key_bytes, partition, None, None, False)
    else:
        new = update.apply(before)
        if old is None and new == keys:
            # Nothing but DELETE and REMOVE on an absent item: AWS does not create it. Source: semantics §1.4.
            return Mutation(keys, key_bytes, partition, None, None, False)
    size = size_shared(new) if update is not None and update.repeats else size_bytes(new)
    if size > ITEM_BYTES:
        raise validation_error("Item size to update has exceeded the maximum allowed size")
    return Mutation(keys, key_bytes, partition, old, new, new != old, size)


def check_update(schema: TableSchema, update: BoundUpdate) -> None:
    """Refuse an update of a key attribute. Raises: ApiError. Source: semantics §6.4."""
    names = update.top_level_names()
    for name in schema.key_names:
        if name in names:
            raise validation_error(
                f"{INVALID}Cannot update attribute {name}. This attribute is part of the key"
            )
    check_scalars(schema.key_names, update.nested_names())


def check_scalars(key_names: Iterable[str], nested: Container[str], kind: str = "Key") -> None:
    """Refuse paths into a key attribute. Shape: `kind` is Key or IndexKey. Raises: ApiError. Source: [D]."""
    for name in key_names:
        if name in nested:
            raise validation_error(
                "Key attributes must be scalars; list random access '[]' and map lookup '.' are not allowed: "
                f"{kind}: {name}"
            )


def _require(operation: Operation, old: Item | None) -> None:
    condition = operation.condition
    if condition is not None and not condition.matches({} if old is None else old):
        raise condition_failed(old if operation.return_old_on_failure else None)


def condition_failed(item: Item | None) -> ApiError:
    """AWS's answer to a failed condition, with the item when asked for. Source: semantics §6.8."""
    extra = None if item is None else {"Item": item}
    return ApiError("ConditionalCheckFailedException", "The conditional request failed", extra=extra)
