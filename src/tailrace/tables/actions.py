"""One action in the shape of TransactWriteItems becomes an operation.

Rules of this file: it reads members, it decides nothing; every name and value placeholder of an action must
be used by it. The order of the reads is that of AWS's errors: the first problem is told, whatever it is.
Called by the operation TransactWriteItems, by `engine.state` for the recorded writes of
`change.transaction`, and by tables/merging.py. Source: semantics §6.4, §6.9.
"""

from collections.abc import Mapping
from typing import Any

from tailrace.errors import InternalError, validation_error
from tailrace.expressions.condition import Condition, parse_condition
from tailrace.expressions.placeholders import Placeholders
from tailrace.expressions.update import parse_update
from tailrace.tables.mutate import ConditionCheck, Delete, Operation, Put, Update
from tailrace.values.wire import check_names, read_item, read_value


def read_parameters(action: str, parameters: Mapping[str, Any]) -> Operation:
    """One action with its own placeholders, as they were written. Raises: ApiError."""
    values = parameters.get("ExpressionAttributeValues")
    placeholders = Placeholders(
        parameters.get("ExpressionAttributeNames"),
        None if values is None else {name: read_value(value) for name, value in values.items()},
    )
    return read_action(action, parameters, placeholders)


def read_action(action: str, parameters: Mapping[str, Any], placeholders: Placeholders) -> Operation:
    """One action; `parameters` hold canonical values afterwards. Raises: ApiError."""
    update = None
    if action == "Put":
        check_names(parameters["Item"])  # an empty name is told before what is too deep
        item = read_item(parameters["Item"])
        condition = _condition(parameters, placeholders)
    else:  # what is wrong with an expression is told before what is wrong with the key
        if action == "Update" and parameters.get("UpdateExpression") is not None:
            update = parse_update(parameters["UpdateExpression"], placeholders)
        condition = _condition(parameters, placeholders)
        item = read_item(parameters["Key"])
    placeholders.check_all_used()
    table: str = parameters["TableName"]
    return_old = parameters.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
    match action:
        case "Put":
            return Put(table, item, condition, return_old)
        case "Update":
            return Update(table, item, update, condition, return_old)
        case "Delete":
            return Delete(table, item, condition, return_old)
        case "ConditionCheck":
            if condition is None:
                raise validation_error("ConditionCheck needs a ConditionExpression")
            return ConditionCheck(table, item, condition, return_old)
        case other:
            raise InternalError(f"no such action: {other!r}")


def _condition(parameters: Mapping[str, Any], placeholders: Placeholders) -> Condition | None:
    text = parameters.get("ConditionExpression")
    return None if text is None else parse_condition(text, placeholders)
