"""Several writes at once: every action is judged against the group, then all are added to it, or none.

Rules of this file: at most one action an item, so actions cannot see each other; nothing is added before everything is
decided. Called by `engine.engine` for `transact` and for the recorded writes of `change.transaction`.
Source: semantics §6.9.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from tailrace.engine.catalog import Table
from tailrace.errors import SERVICE, ApiError, InternalError, validation_error
from tailrace.expressions.condition import Condition, parse_condition
from tailrace.expressions.placeholders import Placeholders
from tailrace.expressions.update import parse_update
from tailrace.ports import ItemWrite
from tailrace.tables.limits import TRANSACTION_ACTIONS, TRANSACTION_BYTES
from tailrace.tables.mutate import Check, Delete, Mutation, Operation, Put, Update
from tailrace.values.types import Item
from tailrace.values.wire import read_item, read_value

ONE_ACTION: Final = "Transaction request cannot include multiple operations on one item"
TOO_LARGE: Final = "Collection of items in the transaction exceeds the aggregated size limit of 4 MB"
Decided = tuple[Mutation, Table, bytes | None]
Reason = dict[str, Any]


class Writer(Protocol):
    """What a transaction needs of the engine: decide a write, and add a decided one to the group."""

    def decide(self, operation: Operation) -> Decided:
        """What an operation would do."""

    def apply(
        self, table: Table, mutation: Mutation, old_data: bytes | None, *, by_ttl: bool = False
    ) -> None:
        """Add it to the group."""


class Transactions:
    """All-or-nothing writes."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def transact(self, operations: Sequence[Operation]) -> list[Mutation]:
        """Decide everything, then add everything.

        Raises:  ApiError: ValidationException for the request as a whole, ResourceNotFoundException, or
                 TransactionCanceledException with one reason an action.
        """
        if len(operations) > TRANSACTION_ACTIONS:
            raise validation_error(
                f"1 validation error detected: Value '[{len(operations)} actions]' at 'transactItems' failed to satisfy "
                f"constraint: Member must have length less than or equal to {TRANSACTION_ACTIONS}"
            )
        decided = self._decide(operations)
        if sum(mutation.size for mutation, _, _ in decided) > TRANSACTION_BYTES:
            raise validation_error(TOO_LARGE)
        for mutation, table, old_data in decided:
            self._writer.apply(table, mutation, old_data)
        return [mutation for mutation, _, _ in decided]

    def _decide(self, operations: Sequence[Operation]) -> list[Decided]:
        decided: list[Decided] = []
        reasons: list[Reason] = []
        items: set[tuple[int, bytes]] = set()
        for operation in operations:
            try:
                found = self._writer.decide(operation)
            except ApiError as error:
                reasons.append(_reason(error))
                continue
            identity = (found[1].schema.number, found[0].key_bytes)
            if identity in items:
                raise validation_error(ONE_ACTION)
            items.add(identity)
            decided.append(found)
            reasons.append({"Code": "None"})
        if len(decided) < len(operations):
            raise cancelled(reasons)
        return decided


def _reason(error: ApiError) -> Reason:
    match error.code:
        case "ConditionalCheckFailedException":
            return {"Code": "ConditionalCheckFailed", **error.extra, "Message": error.message}
        case "ValidationException":
            return {"Code": "ValidationError", "Message": error.message}
        case _:
            raise error  # an unknown table fails the whole request


def cancelled(reasons: Sequence[Reason]) -> ApiError:
    """AWS's answer to a transaction that cannot be. Of several validation errors only the first is told."""
    told: list[Reason] = []
    has_invalid = any(reason["Code"] == "ValidationError" for reason in reasons)
    is_told = False
    for reason in reasons:
        hide = has_invalid and (reason["Code"] != "ValidationError" or is_told)
        is_told = is_told or reason["Code"] == "ValidationError"
        told.append({"Code": "None"} if hide else reason)
    codes = ", ".join(reason["Code"] for reason in told)
    return ApiError(
        "TransactionCanceledException",
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
        prefix=SERVICE,
        extra={"CancellationReasons": told},
    )


def read_write(write: ItemWrite) -> Operation:
    """One action in the shape of TransactWriteItems. Raises: ApiError. Source: semantics §6.4, §6.9."""
    parameters = write.parameters
    placeholders = _placeholders(parameters)
    condition = _condition(parameters, placeholders)
    update = None
    if write.action == "Update" and parameters.get("UpdateExpression") is not None:
        update = parse_update(parameters["UpdateExpression"], placeholders)
    placeholders.check_all_used()
    table: str = parameters["TableName"]
    return_old = parameters.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD"
    item: Item = read_item(parameters["Item" if write.action == "Put" else "Key"])
    match write.action:
        case "Put":
            return Put(table, item, condition, return_old)
        case "Update":
            return Update(table, item, update, condition, return_old)
        case "Delete":
            return Delete(table, item, condition, return_old)
        case "ConditionCheck":
            if condition is None:
                raise validation_error("ConditionCheck needs a ConditionExpression")
            return Check(table, item, condition, return_old)
        case other:
            raise InternalError(f"no such action: {other!r}")


def _placeholders(parameters: Mapping[str, Any]) -> Placeholders:
    values = parameters.get("ExpressionAttributeValues")
    return Placeholders(
        parameters.get("ExpressionAttributeNames"),
        None if values is None else {name: read_value(value) for name, value in values.items()},
    )


def _condition(parameters: Mapping[str, Any], placeholders: Placeholders) -> Condition | None:
    text = parameters.get("ConditionExpression")
    return None if text is None else parse_condition(text, placeholders)
