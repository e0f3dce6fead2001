"""AWS's words for a request that is wrong, by operation: its layer of words, its envelope, its constraints.

Theory of operation: AWS rolls new words out operation by operation and member by member. What is told alike
everywhere stands where it is found; what is not stands here, as a table, and nothing reads it before a
request has been refused.
Rules of this file: words and their tables; who finds a mistake is elsewhere.
Source: AWS's answers as captured in October 2026 (ADR 0043); semantics §6.1.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import orjson

from tailrace.api.wire import Payload
from tailrace.errors import VALIDATION, ApiError, validation_error
from tailrace.values.wordings import WrongValue

ENVELOPE: Final = "1 validation error detected: "
ENVELOPED: Final = frozenset({"PutItem", "UpdateItem", "DeleteItem"})
"""What is wrong with a request of these, before its table is looked up, is told as one validation error."""
OLDER: Final = frozenset({"BatchWriteItem", "TransactWriteItems", "TransactGetItems", "Scan"})
"""They tell wrong values in the older words."""
MOST_ERRORS: Final = 10
DEEPEST_VALUE: Final = 128
"""A value in a message is cut at this depth, and nowhere else: AWS echoes megabytes."""
LONELY_VALUES: Final = "ExpressionAttributeValues can only be specified when using expressions"


class LonelyValues(ApiError):
    """Values where no expression takes them. Shape: `missing` names the expressions that might have."""

    def __init__(self, missing: str) -> None:
        super().__init__("ValidationException", f"{LONELY_VALUES}: {missing}", prefix=VALIDATION)


def in_words_of(operation: str, error: ApiError) -> ApiError:
    """The error as this operation tells it."""
    if operation in OLDER and isinstance(error, WrongValue):
        return validation_error(error.told("older"))
    return error


def enveloped(error: ApiError) -> ApiError:
    """An error of PutItem, UpdateItem or DeleteItem that was found without looking at the table."""
    if error.code != "ValidationException":
        return error
    text = LONELY_VALUES if isinstance(error, LonelyValues) else error.message
    return validation_error(f"{ENVELOPE}{text}")


def of_request(operation: str, error: ApiError) -> ApiError:
    """The same for an operation that is not known to be one of them."""
    return enveloped(error) if operation in ENVELOPED else error


# ---- violated constraints ----------------------------------------------------------------------------------


class MapStep(NamedTuple):
    """The name of an entry, where a number is a place in a list and a text a member."""

    name: str


Place: TypeAlias = tuple[str | int | MapStep, ...]
"""Where a value stands: members by name, elements of lists by number from 1, entries of maps."""
Constraint: TypeAlias = Literal[
    "missing", "choice", "pattern", "shortest", "longest", "least", "most", "keys"
]


class Violation(NamedTuple):
    """A constraint of the service model that a request violates. Shape: `text` is the sentence about it."""

    place: Place
    constraint: Constraint
    value: Any
    text: str


class Wording(NamedTuple):
    """How an operation tells a violation.

    Shape:   of all violations of a request only those of the lowest `stage` are told, and of those that are
             not `joined` the first alone. `when` says whether the wording holds for a request; else the usual
             one does.
    """

    words: Callable[[Violation, Payload], str]
    stage: int
    joined: bool = False
    enveloped: bool = True
    when: Callable[[Violation, Payload], bool] = lambda violation, payload: True


def pointed(place: Place, *, capital: bool = False) -> str:
    """The path to a value as messages have it.

    >>> pointed(("RequestItems", MapStep("t"), "Keys")), pointed(("Tags", 1, "Key"), capital=True)
    ('requestItems.t.member.keys', 'Tags.1.member.Key')
    """
    return ".".join(_step(step, capital) for step in place)


def _step(step: str | int | MapStep, capital: bool) -> str:
    match step:
        case MapStep(name):
            return f"{name}.member"
        case int():
            return f"{step}.member"
        case _:
            return step if capital else step[0].lower() + step[1:]


def _member(place: Place) -> str:
    """The path as the tables have it: `RequestItems.*.Keys`."""
    return ".".join(step if isinstance(step, str) else "*" for step in place)


def echoing(violation: Violation, payload: Payload) -> str:
    """The usual wording: the value is shown as Java prints it."""
    shown = "null" if violation.value is None else f"'{rendered(violation.value)}'"
    return f"Value {shown} at '{pointed(violation.place)}' failed to satisfy constraint: {violation.text}"


def nameless(violation: Violation, payload: Payload) -> str:
    """The wording of 2026: the value is not shown, and members have their names of the API."""
    return (
        f"Value at '{pointed(violation.place, capital=True)}' failed to satisfy constraint: {violation.text}"
    )


def echoing_json(violation: Violation, payload: Payload) -> str:
    """The value is shown as it was sent."""
    shown = orjson.dumps(violation.value).decode()
    return f"Value '{shown}' at '{pointed(violation.place)}' failed to satisfy constraint: {violation.text}"


def echoing_map(violation: Violation, payload: Payload) -> str:
    """The whole map is shown where a list in it is empty."""
    bounds = (
        "Member must have length less than or equal to 25, Member must have length greater than or equal to 1"
    )
    text = f"Map value must satisfy constraint: [{bounds}]"
    return echoing(
        violation._replace(place=("RequestItems",), value=payload["RequestItems"], text=text), payload
    )


def among(*choices: str) -> Callable[[Violation, Payload], str]:
    """The wording of 2026 for an unknown choice."""
    text = f"Failed to satisfy constraint: Member must satisfy enum value set: [{', '.join(choices)}]"
    return lambda violation, payload: text


def combining(member: str) -> Callable[[Violation, Payload], bool]:
    """Whether there are conditions to combine."""
    return lambda violation, payload: len(payload.get(member, ())) > 1


def is_empty(violation: Violation, payload: Payload) -> bool:
    """Whether nothing was given."""
    return not violation.value


LAST: Final = 9
USUAL: Final = Wording(echoing, LAST, joined=True)
EMPTY_NAME: Final = Wording(nameless, 0, when=is_empty)
COMBINED: Final = Wording(among("ALL", "OR"), 2, enveloped=False, when=combining("Expected"))
RETURNED: Final = Wording(
    among("ALL_OLD", "UPDATED_OLD", "ALL_NEW", "UPDATE_NEW", "NONE"), 1
)  # AWS's spelling
CHOICE_FIRST: Final = Wording(echoing, 0, joined=True)
SHORT: Final = Wording(nameless, 1)
WORDINGS: Final[Mapping[tuple[str, str, Constraint], Wording]] = {
    ("PutItem", "TableName", "shortest"): EMPTY_NAME,
    ("PutItem", "ConditionalOperator", "choice"): COMBINED,
    ("UpdateItem", "TableName", "shortest"): EMPTY_NAME,
    ("UpdateItem", "ReturnValues", "choice"): RETURNED,
    ("UpdateItem", "ConditionalOperator", "choice"): COMBINED,
    ("DeleteItem", "ConditionalOperator", "choice"): COMBINED,
    ("Query", "ConditionalOperator", "choice"): COMBINED._replace(stage=0, when=combining("QueryFilter")),
    ("Query", "Limit", "least"): SHORT,
    ("TransactWriteItems", "ClientRequestToken", "longest"): SHORT,
    ("BatchGetItem", "RequestItems", "shortest"): SHORT,
    ("BatchGetItem", "RequestItems", "keys"): Wording(echoing_json, LAST, joined=True),
    ("BatchGetItem", "RequestItems.*.Keys", "shortest"): SHORT,
    ("BatchGetItem", "RequestItems.*.Keys", "longest"): SHORT,
    ("BatchWriteItem", "ReturnConsumedCapacity", "choice"): CHOICE_FIRST,
    ("BatchWriteItem", "ReturnItemCollectionMetrics", "choice"): CHOICE_FIRST,
    ("BatchWriteItem", "RequestItems", "shortest"): SHORT,
    ("BatchWriteItem", "RequestItems.*", "longest"): SHORT,
    ("BatchWriteItem", "RequestItems.*", "shortest"): Wording(echoing_map, LAST),
}
"""What is not told in the usual wording, joined with all else."""
OLD_WITHOUT: Final = {"PutItem": "Item", "UpdateItem": "Key"}
"""Where this member is missing, all is told in the usual wording."""
ONE_CHARACTER: Final = "Member must have length greater than or equal to 1"


def refusal(operation: str, violations: Sequence[Violation], payload: Payload) -> ApiError:
    """What is told of violated constraints. Shape: at least one of them, in the order of the members."""
    violations = [
        counted for violation in violations if (counted := _as_counted(operation, violation)) is not None
    ]
    is_old = any(
        violation.constraint == "missing" and violation.place == (OLD_WITHOUT.get(operation),)
        for violation in violations
    )
    worded = [
        (USUAL if is_old else _wording(operation, violation, payload), violation) for violation in violations
    ]
    stage = min(wording.stage for wording, _ in worded)
    worded = [(wording, violation) for wording, violation in worded if wording.stage == stage]
    if not worded[0][0].joined:
        del worded[1:]
    texts = [wording.words(violation, payload) for wording, violation in worded[:MOST_ERRORS]]
    if not worded[0][0].enveloped:
        return validation_error(texts[0])
    plural = "s" if len(texts) > 1 else ""
    return validation_error(f"{len(texts)} validation error{plural} detected: {'; '.join(texts)}")


def _wording(operation: str, violation: Violation, payload: Payload) -> Wording:
    wording = WORDINGS.get((operation, _member(violation.place), violation.constraint))
    return USUAL if wording is None or not wording.when(violation, payload) else wording


def _as_counted(operation: str, violation: Violation) -> Violation | None:
    """To PutItem and UpdateItem an empty name of a table lacks one character, and is not of a wrong form."""
    if operation in OLD_WITHOUT and violation.place == ("TableName",) and violation.value == "":
        return violation._replace(text=ONE_CHARACTER) if violation.constraint == "shortest" else None
    return violation


def rendered(value: object, depth: int = 0) -> str:
    """A value as AWS's messages show it: lists and maps as Java prints them, not deeper than sense goes."""
    if depth > DEEPEST_VALUE:
        return "…"
    match value:
        case bool():
            return "true" if value else "false"
        case bytes():
            return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
        case list():
            return f"[{', '.join(rendered(element, depth + 1) for element in value)}]"
        case dict():
            return f"{{{', '.join(f'{name}={rendered(inner, depth + 1)}' for name, inner in value.items())}}}"
        case _:
            return str(value)
