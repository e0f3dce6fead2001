"""The parameters that expressions replaced: Expected, QueryFilter, ScanFilter, KeyConditions,
AttributeUpdates.

Rules of this file: each becomes the nodes that the same expression would be parsed to, so that both are
evaluated by the same code; what only they refuse is refused here, in AWS's words. Attribute names are taken
as they are: a dot is no path. Called by api.dynamodb.parameters. Source: AWS Developer Guide, "Legacy
conditional parameters"; semantics §6.4, §6.6.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tailrace.errors import ApiError, validation_error
from tailrace.expressions.condition import Condition, condition_of
from tailrace.expressions.keys import KeyCondition, match_keys
from tailrace.expressions.nodes import (
    Action,
    And,
    Between,
    Compare,
    FunctionCall,
    In,
    Node,
    Not,
    Or,
    Path,
    Value,
)
from tailrace.expressions.operands import kind_of
from tailrace.expressions.projection import ProjectionExpression
from tailrace.expressions.update import BoundUpdate, update_of
from tailrace.values.canonical import compare_values
from tailrace.values.types import AttributeValue, Item
from tailrace.values.wire import check_names, read_value
from tailrace.values.wordings import INVALID

SIGNS: Final = {"EQ": "=", "NE": "<>", "LE": "<=", "LT": "<", "GE": ">=", "GT": ">"}
FUNCTIONS: Final = {
    "NULL": "attribute_not_exists", "NOT_NULL": "attribute_exists", "CONTAINS": "contains",
    "NOT_CONTAINS": "contains", "BEGINS_WITH": "begins_with",
}  # fmt: skip
SCALARS: Final = frozenset({"S", "N", "B"})
TYPES: Final = {
    "LE": SCALARS, "LT": SCALARS, "GE": SCALARS, "GT": SCALARS, "BETWEEN": SCALARS, "IN": SCALARS,
    "CONTAINS": SCALARS, "NOT_CONTAINS": SCALARS, "BEGINS_WITH": frozenset({"S", "B"}),
}  # fmt: skip
"""What may be compared; EQ and NE take anything."""
INDEXABLE: Final = frozenset({"EQ", "LE", "LT", "GE", "GT", "BETWEEN", "BEGINS_WITH"})
SETS: Final = frozenset({"SS", "NS", "BS"})
ADDABLE: Final = SETS | {"N", "L"}
MISMATCH: Final = "Type mismatch for attribute to update"
EMPTY: Final = ":empty"
Members = Mapping[str, Mapping[str, Any]]
"""A legacy parameter: attribute name → what is said about it."""


class _Values:
    """The values of a parameter, each behind a placeholder of its own."""

    def __init__(self) -> None:
        self.by_name: dict[str, AttributeValue] = {}

    def add(self, value: AttributeValue) -> Value:
        """A placeholder for one more value."""
        name = f":{len(self.by_name)}"
        self.by_name[name] = value
        return Value(name)


# ---- conditions --------------------------------------------------------------------------------------------


def read_expected(expected: Members, operator: str | None) -> Condition | None:
    """The condition that `Expected` and `ConditionalOperator` state. Raises: ApiError.

    >>> condition = read_expected({"a": {"Exists": False}}, None)
    >>> condition.matches({}), condition.matches({"a": {"S": ""}})
    (True, False)
    """
    check_names(expected)
    values = _Values()
    nodes = [_expected(name, members, values) for name, members in expected.items()]
    return _combined(nodes, operator, values, "Expected")


def read_filter(conditions: Members, operator: str | None, member: str) -> Condition | None:
    """The filter that `QueryFilter` or `ScanFilter` states. Raises: ApiError."""
    check_names(conditions)
    values = _Values()
    nodes = [_condition(name, members, values) for name, members in conditions.items()]
    return _combined(nodes, operator, values, member)


def check_operator(operator: str | None, conditions: int) -> None:
    """Require that `ConditionalOperator` has something to combine. Raises: ApiError."""
    if operator is None or conditions > 1:
        return
    if not conditions:
        raise validation_error("ConditionalOperator cannot be used without Filter or Expected")
    raise validation_error(
        "ConditionalOperator can only be used when Filter or Expected has two or more elements"
    )


def _combined(nodes: Sequence[Node], operator: str | None, values: _Values, member: str) -> Condition | None:
    check_operator(operator, len(nodes))
    if not nodes:
        return None
    node = nodes[0] if len(nodes) == 1 else (Or if operator == "OR" else And)(tuple(nodes))
    return condition_of(node, values.by_name, member)


def _expected(name: str, members: Mapping[str, Any], values: _Values) -> Node:
    if "AttributeValueList" in members and "Value" in members:
        raise _invalid(f"Value and AttributeValueList cannot be used together for Attribute: {name}")
    if "ComparisonOperator" in members:
        return _compared(name, members, values)
    if "AttributeValueList" in members:
        raise _invalid(f"AttributeValueList can only be used with a ComparisonOperator for Attribute: {name}")
    exists = members.get("Exists")
    if exists is False:
        if "Value" in members:
            raise _invalid(f"Value cannot be used when Exists is false for Attribute: {name}")
        return FunctionCall("attribute_not_exists", (Path((name,)),))
    if "Value" not in members:
        shown = "null" if exists is None else "true"
        raise _invalid(f"Value must be provided when Exists is {shown} for Attribute: {name}")
    return Compare("=", Path((name,)), values.add(read_value(members["Value"])))


def _compared(name: str, members: Mapping[str, Any], values: _Values) -> Node:
    operator = members["ComparisonOperator"]
    if "Exists" in members:
        raise _invalid(f"Exists and ComparisonOperator cannot be used together for Attribute: {name}")
    if "Value" in members:
        members = {"ComparisonOperator": operator, "AttributeValueList": [members["Value"]]}
    elif "AttributeValueList" not in members and operator not in ("NULL", "NOT_NULL"):
        raise _invalid(
            f"Value or AttributeValueList must be used with ComparisonOperator: {operator} for "
            f"Attribute: {name}"
        )
    return _condition(name, members, values)


def _condition(name: str, members: Mapping[str, Any], values: _Values) -> Node:
    operator: str = members["ComparisonOperator"]
    operands = [read_value(value) for value in members.get("AttributeValueList", ())]
    _check_operands(operator, operands)
    return _node(operator, Path((name,)), [values.add(operand) for operand in operands])


def _check_operands(operator: str, operands: Sequence[AttributeValue]) -> None:
    if not _fits(operator, len(operands)):
        raise _invalid(f"Invalid number of argument(s) for the {operator} ComparisonOperator")
    kinds = [kind_of(operand) for operand in operands]
    if len(set(kinds)) > 1:
        raise _invalid("AttributeValues inside AttributeValueList must be of same type")
    allowed = TYPES.get(operator)
    if kinds and allowed is not None and kinds[0] not in allowed:
        raise _invalid(f"ComparisonOperator {operator} is not valid for {kinds[0]} AttributeValue type")
    if operator == "BETWEEN" and (compare_values(*operands) or 0) > 0:
        raise validation_error(
            "The BETWEEN condition was provided a range where the lower bound is greater than the upper bound"
        )


def _fits(operator: str, count: int) -> bool:
    match operator:
        case "NULL" | "NOT_NULL":
            return count == 0
        case "BETWEEN":
            return count == 2
        case "IN":
            return count > 0
        case _:
            return count == 1


def _node(operator: str, path: Path, operands: Sequence[Value]) -> Node:
    match operator:
        case "BETWEEN":
            return Between(path, operands[0], operands[1])
        case "IN":
            return In(path, tuple(operands))
        case "NOT_CONTAINS":  # what is absent contains nothing, and is not compared either
            exists = FunctionCall("attribute_exists", (path,))
            return And((exists, Not(FunctionCall("contains", (path, *operands)))))
        case _ if operator in SIGNS:
            return Compare(SIGNS[operator], path, operands[0])
        case _:
            return FunctionCall(FUNCTIONS[operator], (path, *operands))


def _invalid(reason: str) -> ApiError:
    return validation_error(f"{INVALID}{reason}")


# ---- keys --------------------------------------------------------------------------------------------------


def read_key_conditions(
    conditions: Members, hash_names: tuple[str, ...], range_names: tuple[str, ...]
) -> KeyCondition:
    """The key condition that `KeyConditions` states. Raises: ApiError."""
    nodes, values = read_key_nodes(conditions)
    if not 0 < len(nodes) <= max(2, len(hash_names) + len(range_names)):
        raise validation_error("Conditions can be of length 1 or 2 only")
    for members in conditions.values():
        if members["ComparisonOperator"] not in INDEXABLE:
            raise validation_error("Attempted conditional constraint is not an indexable operation")
    return match_keys(nodes, hash_names, range_names).bind(values)


def read_key_nodes(conditions: Members) -> tuple[list[Node], Item]:
    """What `KeyConditions` state, whatever the key: nodes, and the values behind them. Raises: ApiError."""
    check_names(conditions)
    values = _Values()
    return [_condition(name, members, values) for name, members in conditions.items()], values.by_name


# ---- updates -----------------------------------------------------------------------------------------------


def read_updates(updates: Members) -> BoundUpdate | None:
    """The update that `AttributeUpdates` states, None if it states nothing. Raises: ApiError.

    >>> read_updates({"n": {"Action": "ADD", "Value": {"N": "2"}}}).apply({"n": {"N": "1"}})
    {'n': {'N': '3'}}
    """
    if not updates:
        return None
    check_names(updates)
    values = _Values()
    actions = [_action(name, members, values) for name, members in updates.items()]
    values.by_name[EMPTY] = {"L": []}
    return update_of(actions, values.by_name, MISMATCH)


def _action(name: str, members: Mapping[str, Any], values: _Values) -> Action:
    action, path = members.get("Action", "PUT"), Path((name,))
    if "Value" not in members:
        if action != "DELETE":
            raise _invalid("Only DELETE action is allowed when no attribute value is specified")
        return Action("REMOVE", path)
    value = read_value(members["Value"])
    kind, operand = kind_of(value), values.add(value)
    if action == "PUT":
        return Action("SET", path, operand)
    if action == "DELETE":
        if kind not in SETS:
            raise _invalid(f"DELETE action with value is not supported for the type {kind}")
        return Action("DELETE", path, operand)
    if kind not in ADDABLE:
        raise _invalid(f"ADD action is not supported for the type {kind}")
    if kind == "L":
        before = FunctionCall("if_not_exists", (path, Value(EMPTY)))
        return Action("SET", path, FunctionCall("list_append", (before, operand)))
    return Action("ADD", path, operand)


# ---- projections -------------------------------------------------------------------------------------------


def read_attributes_to_get(names: Sequence[str]) -> ProjectionExpression:
    """The projection that `AttributesToGet` states. Raises: ApiError."""
    check_names(names)
    for name in _repeated(names):
        raise _invalid(f"Duplicate value in attribute name: {name}")
    return ProjectionExpression(tuple(Path((name,)) for name in names))


def _repeated(names: Sequence[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield name
        seen.add(name)
