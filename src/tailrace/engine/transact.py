"""Several writes, or several reads, at once: every action is judged against the group, then all take effect, or none.

Rules of this file: at most one action an item, so actions cannot see each other; nothing is added before everything is
decided. One request is executed whole before the next one begins, so a transaction never meets another one: what AWS
answers when two collide (TransactionConflict, TransactionInProgressException) cannot happen here.
Called by `engine.engine`, for the operations and for the recorded writes of `change.transaction`. Source: semantics §6.9.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol, TypeVar

import orjson

from tailrace.engine.catalog import Table
from tailrace.errors import SERVICE, ApiError, validation_error
from tailrace.tables.limits import TRANSACTION_ACTIONS, TRANSACTION_BYTES
from tailrace.tables.mutate import Mutation, Operation
from tailrace.tables.schema import NOT_VALID
from tailrace.values.size import size_bytes
from tailrace.values.types import Item

ONE_ACTION: Final = "Transaction request cannot include multiple operations on one item"
TOO_LARGE: Final = "Collection of items in the transaction exceeds the aggregated size limit of 4 MB"
CANCELED: Final = "TransactionCanceledException"
Decided = tuple[Mutation, Table, bytes | None]
Place = tuple[int, bytes]
"""The number of a table and the key bytes of an item in it."""
KeyOf = tuple[str, Item]
"""A table and a key."""
Reason = dict[str, Any]
Given = TypeVar("Given")
Found = TypeVar("Found")


class Writer(Protocol):
    """What a transaction needs of the engine: where a write goes, what it does, and to add what is decided."""

    def place(self, operation: Operation) -> Place:
        """The item that an operation is about."""

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
        check_places(operations, self._writer.place)
        decided = all_or_reasons(operations, self._writer.decide)
        check_size(mutation.size for mutation, _, _ in decided)
        for mutation, table, old_data in decided:
            self._writer.apply(table, mutation, old_data)
        return [mutation for mutation, _, _ in decided]


def check_places(given: Sequence[Given], place: Callable[[Given], Place]) -> None:
    """Require at most a hundred actions, tables that exist and an item for each action.

    Raises:  ApiError. A key that does not fit its table is judged later, with the other reasons.
    """
    if len(given) > TRANSACTION_ACTIONS:
        raise validation_error(
            f"1 validation error detected: Value '[{len(given)} actions]' at 'transactItems' failed to satisfy "
            f"constraint: Member must have length less than or equal to {TRANSACTION_ACTIONS}"
        )
    if len(given) < 2:
        return
    seen: set[Place] = set()
    for each in given:
        try:
            found = place(each)
        except ApiError as error:
            if error.code != "ValidationException":
                raise
            continue
        if found in seen:
            raise validation_error(ONE_ACTION)
        seen.add(found)


def all_or_reasons(given: Sequence[Given], decide: Callable[[Given], Found]) -> list[Found]:
    """What every action comes to. Raises: ApiError TransactionCanceledException as soon as one is refused."""
    found: list[Found] = []
    reasons: list[Reason] = []
    for each in given:
        try:
            found.append(decide(each))
            reasons.append({"Code": "None"})
        except ApiError as error:
            reasons.append(_reason(error))
    if len(found) < len(given):
        raise cancelled(reasons)
    return found


def read_all(
    keys: Sequence[KeyOf], place: Callable[[KeyOf], Place], get: Callable[[Place], bytes | None]
) -> list[bytes | None]:
    """The stored bytes of every item, as of one moment. Raises: ApiError as `Transactions.transact` does."""
    check_places(keys, place)
    found = [get(each) for each in all_or_reasons(keys, place)]
    present = [data for data in found if data is not None]
    if sum(map(len, present)) > TRANSACTION_BYTES:  # JSON is never lighter than the item that it holds
        check_size(size_bytes(orjson.loads(data)) for data in present)
    return found


def check_size(sizes: Iterable[int]) -> None:
    """Require that the items fit into 4 MB. Units: bytes. Raises: ApiError."""
    if sum(sizes) > TRANSACTION_BYTES:
        raise validation_error(TOO_LARGE)


def _reason(error: ApiError) -> Reason:
    match error.code:
        case "ConditionalCheckFailedException":
            return {"Code": "ConditionalCheckFailed", **error.extra, "Message": error.message}
        case "ValidationException" if not (error.message or "").startswith(NOT_VALID):
            return {"Code": "ValidationError", "Message": error.message}
        case "ItemCollectionSizeLimitExceededException":
            return {"Code": "ItemCollectionSizeLimitExceeded", "Message": error.message}
        case _:
            raise error  # an unknown table fails the whole request, and so does an empty key


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
        CANCELED,
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
        prefix=SERVICE,
        extra={"CancellationReasons": told},
    )
