"""PutItem: replace an item, or create it.

Behaviour:     the whole item is replaced; a condition is judged on the stored item; an equal item leaves no
               record.
Limits:        item 400 KB, nesting 32, key sizes; ReturnValues NONE or ALL_OLD.
Not emulated:  nothing.
Source:        AWS API Reference, PutItem; semantics §6.5, §6.8; aws-texts-2026 §1, §2.
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
from tailrace.tables.mutate import Mutation, Put, require_room
from tailrace.values.types import Item
from tailrace.values.wire import read_item


@operation(DYNAMODB, "PutItem")
def put_item(engine: Engine, payload: Payload) -> Result:
    """Put one item. Raises: ApiError."""
    try:
        placeholders = read_placeholders(payload, "ConditionExpression")
        item = read_item(payload["Item"])
        returns_old = old_or_nothing(payload)
    except ApiError as error:
        raise enveloped(error) from None

    def answer(mutation: Mutation) -> Answer:
        return written(engine, payload, mutation, mutation.old if returns_old else None)

    try:
        condition = read_condition(payload, placeholders)
        if placeholders is not NO_PLACEHOLDERS:
            placeholders.check_all_used()
    except ApiError as error:
        raise _too_large(item) or enveloped(error) from None
    try:
        operation = Put(payload["TableName"], item, condition, wants_old_on_failure(payload))
        if condition is not None and engine.takes_long(operation):
            require_room(item)
            return write_slowly(engine, operation, answer)
        mutation = engine.put(operation)
    except ApiError as error:
        raise _too_large(item) or error from None
    return answer(mutation)


def _too_large(item: Item) -> ApiError | None:
    """What is said before all that is wrong with the condition, the table or the key."""
    try:
        require_room(item)
    except ApiError as error:
        return enveloped(error)
    return None
