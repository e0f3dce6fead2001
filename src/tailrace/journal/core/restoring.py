"""What restoring one item comes to: the write that makes it what it was, and the condition that guards it.

Theory of operation: the item is read first. Where it is what it was, nothing is written, so that a restore
can be repeated, and goes on where it was cut off. Where there is none, it is put under the condition that
there is still none. Another item in its place is left, and named, unless it may be overwritten: then under
the condition that it still is what was read. Whoever writes meanwhile wins: no condition says that an item
has no other attributes, so what a write has replaced is in its answer, and is put back where it is another.
Rules of this file: pure; items and members in DynamoDB JSON. Stands alone because the run and its tests share
it, and nothing else is needed of either.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from tailrace.values.types import Item

Action: TypeAlias = Literal["put", "replace", "delete", "same", "differs"]
MOST_CONDITIONS: Final = 100
"""Attributes that a condition can name, for an expression has 4 KB."""


class RestoreStep(Struct, frozen=True):
    """What is done with one item. Shape: `members` are those of `operation`; "" writes nothing."""

    action: Action
    operation: Literal["PutItem", "DeleteItem", ""] = ""
    members: Mapping[str, Any] = {}


def restore_step(
    table: str, key_names: Sequence[str], wanted: Item | None, current: Item | None, *, overwrite: bool
) -> RestoreStep:
    """The step from what is there to what was. Shape: one of `wanted` and `current` has the key.

    >>> restore_step("orders", ["id"], {"id": {"S": "a"}}, None, overwrite=False).action
    'put'
    """
    if wanted == current:
        return RestoreStep("same")
    if current is None:
        return RestoreStep("put", "PutItem", {"TableName": table, "Item": wanted, **_absent(key_names)})
    if not overwrite or len(current) > MOST_CONDITIONS:
        return RestoreStep("differs")
    guard = {**_still(current), "ReturnValues": "ALL_OLD"}
    if wanted is None:
        key = {name: current[name] for name in key_names}
        return RestoreStep("delete", "DeleteItem", {"TableName": table, "Key": key, **guard})
    return RestoreStep("replace", "PutItem", {"TableName": table, "Item": wanted, **guard})


def undoing_step(
    table: str, key_names: Sequence[str], wanted: Item | None, current: Item, replaced: Item | None
) -> RestoreStep:
    """The step that puts back what a write has replaced, where somebody had added attributes since the item
    was read; it fails where they have written again. Shape: `replaced` is what the write's answer has.

    >>> undoing_step("orders", ["id"], None, {"id": {"S": "a"}}, {"id": {"S": "a"}}).operation
    ''
    """
    if replaced is None or replaced == current:
        return RestoreStep("same")
    guard = _absent(key_names) if wanted is None else _still(wanted)
    return RestoreStep("put", "PutItem", {"TableName": table, "Item": replaced, **guard})


def _absent(key_names: Sequence[str]) -> dict[str, Any]:
    """The condition that there is no item."""
    return {
        "ConditionExpression": "attribute_not_exists(#key)",
        "ExpressionAttributeNames": {"#key": key_names[0]},
    }


def _still(item: Item) -> dict[str, Any]:
    """The condition that an item has these attributes still, as many as it can name."""
    names = {f"#a{number}": name for number, name in enumerate(islice(item, MOST_CONDITIONS))}
    return {
        "ConditionExpression": " AND ".join(f"{name} = :{name[1:]}" for name in names),
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": {f":{name[1:]}": item[attribute] for name, attribute in names.items()},
    }
