"""TransactWriteItems: up to a hundred conditional writes and checks, all of them or none.

Behaviour:     all conditions are judged on the items before the transaction, and all that fail are told;
               every changed item leaves its own record. A ClientRequestToken stands for its request for ten
               minutes, also over a restart: the same request again, compared by meaning, answers what reading
               the items would cost and writes nothing; another one is IdempotentParameterMismatchException. A
               cancelled request may be tried again.
Limits:        100 actions, 4 MB of items, one action an item; token 1–36 characters; expression 4 KB.
Not emulated:  TransactionConflict and TransactionConflictException of other writes: what they changed while a
               large one was decided is judged again. TransactionInProgressException: the second request of a
               token waits for the first.
Source:        AWS API Reference, TransactWriteItems; semantics §1.8, §6.7, §6.9.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

import orjson

from tailrace.api.dynamodb.capacity import (
    TRANSACTION,
    Cost,
    consumed_by_transaction,
    is_wanted,
    read_units,
)
from tailrace.api.dynamodb.collections import metrics_by_table, wants_metrics
from tailrace.api.dynamodb.parameters import read_placeholders
from tailrace.api.registry import DYNAMODB, Answer, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.engine.slices import LARGE_BYTES, Slices, given_back
from tailrace.engine.transact import CANCELED
from tailrace.errors import ApiError, validation_error
from tailrace.tables.actions import read_action
from tailrace.tables.mutate import Mutation, Operation, Put, require_room
from tailrace.values.canonical import size_bytes
from tailrace.values.wire import Checked

ONE_OF: Final = "TransactItems can only contain one of Check, Put, Update or Delete"
ACTIONS: Final = ("ConditionCheck", "Put", "Delete", "Update")
DIGEST_BYTES: Final = 32


@operation(DYNAMODB, "TransactWriteItems")
def transact_write_items(engine: Engine, payload: Payload) -> Slices[Answer]:
    """Write several items, all or none, and once for a token. Raises: ApiError."""
    operations = [_read_one(transact_item) for transact_item in payload["TransactItems"]]
    token = payload.get("ClientRequestToken")
    if token is None:
        mutations = yield from engine.transact_slices(operations)
        return (yield from _answered(engine, payload, operations, mutations))
    while token in engine.requests.under_way:  # the same request again, while this one rests
        yield
    engine.requests.under_way.add(token)
    try:
        return (yield from _done_once(engine, payload, operations, token))
    finally:
        engine.requests.under_way.discard(token)


def _answered(
    engine: Engine, payload: Payload, operations: list[Operation], mutations: list[Mutation]
) -> Slices[Answer]:
    """The answer, once nothing large is left of the request."""
    answer = _answer(engine, payload, operations, mutations)
    if sum(mutation.size for mutation in mutations) > LARGE_BYTES:
        yield from given_back(payload["TransactItems"], operations, mutations)
    return answer


def _done_once(engine: Engine, payload: Payload, operations: list[Operation], token: str) -> Slices[Answer]:
    digest = request_digest(payload)
    done = engine.requests.done(token, digest)
    if done is not None:
        costs = {table: Cost(units) for table, units in done.items()}
        consumed = (
            consumed_by_transaction(payload, costs, "ReadCapacityUnits") if is_wanted(payload) else None
        )
        return {} if consumed is None else {"ConsumedCapacity": consumed}
    try:
        mutations = yield from engine.transact_slices(operations)
    except ApiError as error:
        if error.code == CANCELED:
            engine.requests.keep(token, digest, None)
        raise
    engine.requests.keep(token, digest, _read_units(operations, mutations))
    return (yield from _answered(engine, payload, operations, mutations))


def _read_one(transact_item: Payload) -> Operation:
    names = [name for name in ACTIONS if name in transact_item]
    if len(names) != 1:
        raise validation_error(ONE_OF)
    name = names[0]
    action = transact_item[name]
    expressions = (*(("UpdateExpression",) if name == "Update" else ()), "ConditionExpression")
    placeholders = read_placeholders(action, *expressions, any_depth=True)
    if placeholders.values:
        action["ExpressionAttributeValues"] = placeholders.values  # canonical, for the digest
    operation = read_action(name, action, placeholders)
    # Of the request itself: an update that makes too large an item cancels. A checked one was weighed before.
    if isinstance(operation, Put) and type(operation.item) is not Checked:
        require_room(operation.item)
    return operation


def request_digest(payload: Payload) -> str:
    """What a request says, in canonical form: equal for requests that differ in the order of a map's members,
    in how a number is written, or in a NONE that may as well be left out. The order of the actions counts.

    >>> one = {"TransactItems": [{"Put": {"Item": {"a": {"S": ""}, "b": {"S": ""}}}}]}
    >>> other = {"TransactItems": [{"Put": {"Item": {"b": {"S": ""}, "a": {"S": ""}}}}]}
    >>> request_digest(one) == request_digest({**other, "ReturnConsumedCapacity": "NONE"})
    True
    """
    canonical = {
        name: value for name, value in payload.items() if value != "NONE" and name != "ClientRequestToken"
    }
    canonical["TransactItems"] = [
        {name: {member: value for member, value in action.items() if value != "NONE"}}
        for transact_item in payload["TransactItems"]
        for name, action in transact_item.items()
    ]
    return blake2b(orjson.dumps(canonical, option=orjson.OPT_SORT_KEYS), digest_size=DIGEST_BYTES).hexdigest()


def _answer(
    engine: Engine, payload: Payload, operations: Sequence[Operation], mutations: Sequence[Mutation]
) -> Answer:
    answer: dict[str, Any] = {}
    done = [(write.table, mutation) for write, mutation in zip(operations, mutations, strict=True)]
    if is_wanted(payload):
        costs: dict[str, Cost] = {}
        for table, mutation in done:
            costs.setdefault(table, Cost()).add_write(engine.indexes(table), mutation, TRANSACTION)
        answer["ConsumedCapacity"] = consumed_by_transaction(payload, costs, "WriteCapacityUnits")
    if wants_metrics(payload):
        written = ((table, mutation.keys) for table, mutation in done)
        answer["ItemCollectionMetrics"] = metrics_by_table(engine, payload, written)
    return answer


def _read_units(operations: Sequence[Operation], mutations: Sequence[Mutation]) -> Mapping[str, float]:
    """What the same request costs when it is repeated: reading the larger of each item before and after."""
    consistent: Any = {"ConsistentRead": True}
    units: dict[str, float] = {}
    for write, mutation in zip(operations, mutations, strict=True):
        size = max(0 if item is None else size_bytes(item) for item in (mutation.old, mutation.new))
        units[write.table] = units.get(write.table, 0.0) + TRANSACTION * read_units(size, consistent)
    return units
