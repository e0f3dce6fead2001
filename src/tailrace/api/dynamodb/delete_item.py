"""DeleteItem: remove an item.

Behaviour:     deleting an absent item succeeds and leaves no record; a condition is judged on the stored
               item.
Limits:        ReturnValues NONE or ALL_OLD.
Not emulated:  nothing.
Source:        AWS API Reference, DeleteItem; semantics §6.5, §6.8; aws-texts-2026 §1, §2.
"""

from tailrace.api.dynamodb.parameters import (
    old_or_nothing,
    read_condition,
    read_placeholders,
    wants_old_on_failure,
    write_slowly,
    written,
)
from tailrace.api.registry import DYNAMODB, Answer, Result, operation
from tailrace.api.wire import Payload
from tailrace.api.wordings import enveloped
from tailrace.engine.engine import Engine
from tailrace.errors import ApiError
from tailrace.expressions.placeholders import NO_PLACEHOLDERS
from tailrace.tables.mutate import Delete, Mutation
from tailrace.values.wire import read_item


@operation(DYNAMODB, "DeleteItem")
def delete_item(engine: Engine, payload: Payload) -> Result:
    """Delete one item. Raises: ApiError."""
    try:
        placeholders = read_placeholders(payload, "ConditionExpression")
        key = read_item(payload["Key"])
        returns_old = old_or_nothing(payload)
        condition = read_condition(payload, placeholders)
        if placeholders is not NO_PLACEHOLDERS:
            placeholders.check_all_used()
    except ApiError as error:
        raise enveloped(error) from None
    operation = Delete(payload["TableName"], key, condition, wants_old_on_failure(payload))

    def answer(mutation: Mutation) -> Answer:
        return written(engine, payload, mutation, mutation.old if returns_old else None)

    if condition is not None and engine.takes_long(operation):
        return write_slowly(engine, operation, answer)
    return answer(engine.delete(operation))
