"""Several writes, or several reads, at once: every action is judged against the group, then all take effect,
or none.

Rules of this file: at most one action an item, so actions cannot see each other; nothing is added before
everything is decided. Large ones are decided in slices, and what others wrote meanwhile is judged again
before anything is added, so a transaction never meets another one: what AWS answers when two collide
(TransactionConflict) cannot happen here. Called by `engine.engine`, for the operations and for the recorded
writes of `change.transaction`. Source: semantics §6.9.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import orjson

from tailrace.engine.catalog import TableState
from tailrace.engine.namespaces import NOT_HERE
from tailrace.engine.slices import Effort, Slices
from tailrace.errors import SERVICE, ApiError, validation_error
from tailrace.tables.limits import TRANSACTION_ACTIONS, TRANSACTION_BYTES
from tailrace.tables.mutate import ConditionCheck, Mutation, Operation, Update
from tailrace.tables.schema import NOT_VALID
from tailrace.values.canonical import size_bytes
from tailrace.values.types import Item
from tailrace.values.wire import NESTING, depth_of
from tailrace.values.wordings import WrongValue

ONE_ACTION: Final = "Transaction request cannot include multiple operations on one item"
TOO_LARGE: Final = "Collection of items in the transaction exceeds the aggregated size limit of 4 MB"
CANCELED: Final = "TransactionCanceledException"
Decided = tuple[Mutation, TableState, bytes | None, bytes | None, int]
"""What an operation does, to which table, the old item's bytes and the new one's, and what the old one
weighs.
"""
Place = tuple[int, bytes]
"""The number of a table and the key bytes of an item in it."""
KeyOf = tuple[str, Item]
"""A table and a key."""
Reason = dict[str, Any]
ActionT = TypeVar("ActionT")
ResultT = TypeVar("ResultT")


class Writer(Protocol):
    """What a transaction needs of the engine: where a write goes, what it does, and to add its outcome."""

    def place(self, operation: Operation) -> Place:
        """The item that an operation is about."""

    def stored(self, operation: Operation) -> "Stored":
        """The table that it is about, and the item as it is stored."""

    def decide(self, operation: Operation) -> Decided:
        """What an operation would do."""

    def judged(self, operation: Operation) -> Slices[Operation]:
        """The operation with its condition judged in slices, if that takes long."""

    def apply(self, decided: Decided, *, is_in_transaction: bool) -> None:
        """Add a decided change to the pending group; of writes of a transaction also what changes nothing."""


Stored = tuple[TableState, bytes | None]


class _Outcome(NamedTuple):
    """What an action comes to, judged on what was stored then (None: there is no such place)."""

    operation: Operation
    stored: Stored | None
    came: Decided | ApiError

    @property
    def weight(self) -> int:
        """How much there was to read and to weigh. Units: bytes."""
        old = 0 if self.stored is None else len(self.stored[1] or b"")
        return old if isinstance(self.came, ApiError) else old + self.came[0].size


class Transactions:
    """All-or-nothing writes."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def slices(self, operations: Sequence[Operation]) -> Slices[list[Mutation]]:
        """Decide everything, in slices, then add everything at once. What others wrote meanwhile is judged
        again before.

        Raises:  ApiError: ValidationException for the request as a whole, ResourceNotFoundException, or
                 TransactionCanceledException with one reason an action.
        """
        check_places(operations, self._writer.place)
        effort, has_rested = Effort(), False
        outcomes: list[_Outcome] = []
        for operation in operations:
            judging = self._judged(operation)
            while True:
                try:
                    next(judging)
                except StopIteration as end:
                    outcomes.append(end.value)
                    break
                has_rested = True
                yield
            if effort.takes(outcomes[-1].weight):
                has_rested = True
                yield
        if has_rested:
            outcomes = [
                outcome if self._is_fresh(outcome) else self._outcome(outcome.operation)
                for outcome in outcomes
            ]
        decided = all_or_reasons(outcomes, _came)
        check_size(change[0].size for change in decided)
        for outcome, change in zip(outcomes, decided, strict=True):
            is_write = not isinstance(outcome.operation, ConditionCheck)
            self._writer.apply(change, is_in_transaction=is_write)
        return [change[0] for change in decided]

    def _judged(self, operation: Operation) -> Slices[_Outcome]:
        try:
            judged = yield from self._writer.judged(operation)
        except ApiError as error:
            return _Outcome(operation, self._stored(operation), error)
        return self._outcome(judged)._replace(operation=operation)

    def _outcome(self, operation: Operation) -> _Outcome:
        try:
            decided = self._writer.decide(operation)
            _require_depth(operation, decided[0].new)
            return _Outcome(operation, self._stored(operation), decided)
        except ApiError as error:
            return _Outcome(operation, self._stored(operation), error)

    def _stored(self, operation: Operation) -> Stored | None:
        try:
            return self._writer.stored(operation)
        except ApiError:
            return None

    def _is_fresh(self, outcome: _Outcome) -> bool:
        """Whether the table and the item are still those that the action was judged on."""
        now = self._stored(outcome.operation)
        if now is None or outcome.stored is None:
            return now is outcome.stored
        return now[0] is outcome.stored[0] and now[1] == outcome.stored[1]


def _require_depth(operation: Operation, new: Item | None) -> None:
    """Refuse to store a value that nests too deep: a transaction has not looked at how deep those of its
    expressions are. Raises: ApiError.
    """
    if new is None or not isinstance(operation, Update) or operation.update is None:
        return
    if any(depth_of(value) > NESTING for value in operation.update.values.values()) and any(
        depth_of(value) > NESTING for value in new.values()
    ):
        raise WrongValue("depth")


def _came(outcome: _Outcome) -> Decided:
    if isinstance(outcome.came, ApiError):
        raise outcome.came
    return outcome.came


def check_places(actions: Sequence[ActionT], place: Callable[[ActionT], Place]) -> None:
    """Require at most a hundred actions, tables that exist and an item for each action.

    Raises:  ApiError. A key that does not fit its table is judged later, with the other reasons.
    """
    if len(actions) > TRANSACTION_ACTIONS:
        raise validation_error(
            f"1 validation error detected: Value '[{len(actions)} actions]' at 'transactItems' failed "
            "to satisfy "
            f"constraint: Member must have length less than or equal to {TRANSACTION_ACTIONS}"
        )
    if len(actions) < 2:
        return
    seen: set[Place] = set()
    for action in actions:
        try:
            target = place(action)
        except ApiError as error:
            if error.code != "ValidationException":
                raise
            continue
        if target in seen:
            raise validation_error(ONE_ACTION)
        seen.add(target)


def all_or_reasons(actions: Sequence[ActionT], decide: Callable[[ActionT], ResultT]) -> list[ResultT]:
    """What every action comes to. Raises: ApiError TransactionCanceledException as soon as one is refused."""
    results: list[ResultT] = []
    reasons: list[Reason] = []
    for action in actions:
        try:
            results.append(decide(action))
            reasons.append({"Code": "None"})
        except ApiError as error:
            reasons.append(_reason(error))
    if len(results) < len(actions):
        raise cancelled(reasons)
    return results


def read_all(
    keys: Sequence[KeyOf], place: Callable[[KeyOf], Place], get: Callable[[Place], bytes | None]
) -> list[bytes | None]:
    """The stored bytes of every item, as of one moment. Raises: ApiError as `Transactions.transact` does."""
    check_places(keys, place)
    return [get(target) for target in all_or_reasons(keys, place)]


def weighed(items: Iterable[bytes | None]) -> Slices[None]:
    """Require, in slices, that the items fit into 4 MB. Raises: ApiError."""
    present = [data for data in items if data is not None]
    if sum(map(len, present)) <= TRANSACTION_BYTES:  # JSON is never lighter than the item that it holds
        return
    effort, total = Effort(), 0
    for data in present:
        total += size_bytes(orjson.loads(data))
        check_size((total,))
        if effort.takes(len(data)):
            yield


def check_size(sizes: Iterable[int]) -> None:
    """Require that the items fit into 4 MB. Units: bytes. Raises: ApiError."""
    if sum(sizes) > TRANSACTION_BYTES:
        raise validation_error(TOO_LARGE)


def _reason(error: ApiError) -> Reason:
    match error.code:
        case "ConditionalCheckFailedException":
            return {"Code": "ConditionalCheckFailed", **error.extra, "Message": error.message}
        case "ValidationException" if not (error.message or "").startswith((NOT_VALID, NOT_HERE)):
            return {"Code": "ValidationError", "Message": error.message}
        case "ItemCollectionSizeLimitExceededException":
            return {"Code": "ItemCollectionSizeLimitExceeded", "Message": error.message}
        case _:
            raise error  # an unknown table fails the whole request, and so do one elsewhere and an empty key


def cancelled(reasons: Sequence[Reason]) -> ApiError:
    """AWS's answer to a transaction that cannot be. Of several validation errors only the first is shown."""
    shown: list[Reason] = []
    has_invalid = any(reason["Code"] == "ValidationError" for reason in reasons)
    is_shown = False
    for reason in reasons:
        hide = has_invalid and (reason["Code"] != "ValidationError" or is_shown)
        is_shown = is_shown or reason["Code"] == "ValidationError"
        shown.append({"Code": "None"} if hide else reason)
    codes = ", ".join(reason["Code"] for reason in shown)
    return ApiError(
        CANCELED,
        f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]",
        prefix=SERVICE,
        extra={"CancellationReasons": shown},
    )
