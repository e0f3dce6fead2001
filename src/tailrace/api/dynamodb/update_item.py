"""UpdateItem: change attributes of an item, or create it.

Behaviour:     all right-hand sides see the item before the update; without an expression the item is created
               if absent; an update that changes nothing leaves no record. Returned attributes are whole, old
               or new, or only the parts that the expression touches.
Limits:        item 400 KB; expression 4 KB.
Not emulated:  nothing.
Source:        AWS API Reference, UpdateItem; semantics §6.4, §6.8; aws-texts-2026 §1, §2.
"""

from tailrace.api.dynamodb.parameters import (
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
from tailrace.expressions.legacy import read_updates
from tailrace.expressions.update import BoundUpdate as UpdateExpression
from tailrace.expressions.update import parse_update
from tailrace.tables.mutate import Mutation, Update
from tailrace.values.types import Item
from tailrace.values.wire import read_item


@operation(DYNAMODB, "UpdateItem")
def update_item(engine: Engine, payload: Payload) -> Result:
    """Update one item. Raises: ApiError."""
    try:
        placeholders = read_placeholders(payload, "UpdateExpression", "ConditionExpression")
        key = read_item(payload["Key"])
        text = payload.get("UpdateExpression")
        update = read_update(payload) if text is None else parse_update(text, placeholders)
        condition = read_condition(payload, placeholders)
        placeholders.check_all_used()
    except ApiError as error:
        raise enveloped(error) from None
    operation = Update(payload["TableName"], key, update, condition, wants_old_on_failure(payload))
    returns = payload.get("ReturnValues", "NONE")

    def answer(mutation: Mutation) -> Answer:
        attributes = None if returns == "NONE" else returned_attributes(returns, mutation, update)
        return written(engine, payload, mutation, attributes)

    if condition is not None and engine.takes_long(operation):
        return write_slowly(engine, operation, answer)
    return answer(engine.update(operation))


def read_update(payload: Payload) -> UpdateExpression | None:
    """The update that AttributeUpdates states, if there is one. Raises: ApiError."""
    updates = payload.get("AttributeUpdates")
    return None if updates is None else read_updates(updates)


def returned_attributes(returns: str, mutation: Mutation, update: UpdateExpression | None) -> Item | None:
    """What `ReturnValues` asks for; nothing where nothing is there."""
    match returns:
        case "ALL_OLD":
            return mutation.old
        case "ALL_NEW":
            return mutation.new
        case _ if update is None:
            return None
        case "UPDATED_OLD":
            return update.touched(mutation.old or {}, mutation.new or {}, "OLD")
        case _:
            return update.touched(mutation.old or {}, mutation.new or {}, "NEW")
