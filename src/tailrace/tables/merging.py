"""Two writes of one item become one, where that is exact.

Rules of this file: pure. A transaction may name an item once (semantics §6.9), and a handler may write it
twice: the one write does what the two would do one after the other, and fails where one of them would fail,
or there is `NotExact`. What is judged of an item (its size, its index keys) is the outcome, not what it was
between the two. Called by app/transaction.py.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from tailrace.errors import ApiError
from tailrace.expressions.composing import NotExact, cannot_fail, composed
from tailrace.expressions.condition import Condition
from tailrace.expressions.nodes import Action, And, Node
from tailrace.expressions.rendering import Rendering, condition_with_values, with_values
from tailrace.tables.actions import read_parameters
from tailrace.tables.mutate import ConditionCheck, Delete, Operation, Put, Update, mutate
from tailrace.tables.schema import TableSchema
from tailrace.values.types import Item

ActionName: TypeAlias = Literal["Put", "Update", "Delete", "ConditionCheck"]


class TransactWrite(NamedTuple):
    """A write in the shape of TransactWriteItems: its action and its parameters, all values canonical."""

    action: ActionName
    parameters: Mapping[str, Any]


def merged(schema: TableSchema, first: TransactWrite, second: TransactWrite) -> TransactWrite:
    """The one write that does what the two do in turn. Raises: NotExact with the reason."""
    try:
        write = _merged(schema, first, second)
        read_parameters(*write)  # limits of expressions, and types that cannot fit
    except ApiError as error:
        raise NotExact(f"the two together are refused: {error.message}") from None
    return write


def _merged(schema: TableSchema, first: TransactWrite, second: TransactWrite) -> TransactWrite:
    before, after = read_parameters(*first), read_parameters(*second)
    match before:
        case Put(item=item):
            return _known(schema, first, item, after)
        case Delete():
            return _known(schema, first, None, after)
        case Update() | ConditionCheck():
            return _unknown(schema, before, after)


def _known(schema: TableSchema, first: TransactWrite, item: Item | None, after: Operation) -> TransactWrite:
    """After a put or a delete the item is known, so the second write is done here and now."""
    try:
        new = mutate(schema, item, after).new
    except ApiError as error:
        raise NotExact(f"the second would fail on what the first leaves: {error.message}") from None
    parameters = {name: value for name, value in first.parameters.items() if name not in ("Item", "Key")}
    if new is not None:
        return TransactWrite("Put", {**parameters, "Item": new})
    key = first.parameters["Key"] if item is None else schema.key_of(item)
    return TransactWrite("Delete", {**parameters, "Key": key})


def _unknown(schema: TableSchema, before: Update | ConditionCheck, after: Operation) -> TransactWrite:
    """After an update only what it wrote is known, after a check nothing but that the condition held."""
    values: Item = {}
    earlier, later = _renaming(values, ":a"), _renaming(values, ":b")
    earlier_actions = _actions(before, earlier)
    if isinstance(before, Update):
        _check_apart(schema, earlier_actions, after.condition)
    conditions = [_node(before.condition, earlier), _node(after.condition, later)]
    actions: list[Action] = []
    match after:
        case Update():
            actions = composed(earlier_actions, _actions(after, later), values)
        case ConditionCheck():
            actions = earlier_actions
        case Put() | Delete() if not cannot_fail(earlier_actions):
            raise NotExact("the first may fail, depending on the item, and the second would hide that")
    rendering = Rendering(values)
    parameters: dict[str, Any] = {"TableName": before.table}
    if isinstance(after, Put):
        parameters["Item"] = after.item
    else:
        parameters["Key"] = before.key
    if actions:
        parameters["UpdateExpression"] = rendering.update(actions)
    if nodes := [node for node in conditions if node is not None]:
        parameters["ConditionExpression"] = rendering.condition(_all_of(nodes))
    if rendering.names:
        parameters["ExpressionAttributeNames"] = rendering.names
    if rendering.values:
        parameters["ExpressionAttributeValues"] = rendering.values
    return TransactWrite(_name(before, after), parameters)


def _name(before: Update | ConditionCheck, after: Operation) -> ActionName:
    match after:
        case Put():
            return "Put"
        case Delete():
            return "Delete"
        case Update():
            return "Update"
        case ConditionCheck():
            return "Update" if isinstance(before, Update) else "ConditionCheck"


def _check_apart(schema: TableSchema, actions: list[Action], condition: Condition | None) -> None:
    """A condition after an update, asked before it, may not see what it does: a made item has its key."""
    if condition is None:
        return
    written = {str(action.path.parts[0]) for action in actions} | set(schema.key_names)
    if seen := sorted(written & condition.attribute_names()):
        raise NotExact(f"the condition of the second is about {seen[0]}, which the first may change")


def _renaming(values: Item, prefix: str) -> Callable[[Mapping[str, Any], str], str]:
    def rename(operands: Mapping[str, Any], name: str) -> str:
        renamed = f"{prefix}{name[1:]}"
        values[renamed] = operands[name]
        return renamed

    return rename


def _actions(operation: Operation, rename: Callable[[Mapping[str, Any], str], str]) -> list[Action]:
    update = operation.update if isinstance(operation, Update) else None
    if update is None:
        return []
    operands = update.values
    return [
        action
        if action.operand is None
        else Action(
            action.section, action.path, with_values(action.operand, lambda name: rename(operands, name))
        )
        for action in update.prepared.parsed.actions
    ]


def _node(condition: Condition | None, rename: Callable[[Mapping[str, Any], str], str]) -> Node | None:
    if condition is None:
        return None
    operands = condition.values
    return condition_with_values(condition.prepared.parsed.node, lambda name: rename(operands, name))


def _all_of(nodes: list[Node]) -> Node:
    flat = [inside for node in nodes for inside in (node.conditions if isinstance(node, And) else (node,))]
    return flat[0] if len(flat) == 1 else And(tuple(flat))
