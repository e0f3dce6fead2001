"""One append: which request it is, and what it means when it is refused.

Theory of operation: an event's item may only be put where none is, so of two that decide on the same version
one loses, and DynamoDB hands it the winner's event with the refusal: that is folded, and the command decided
again, without a read. One event without a command's id is a put; anything more is one transaction, in which
each aggregate has a marker of the command (put where none is), its events, or, when nothing was decided for
it, a check that its version still stands.
Clients repeat requests whose answers they have lost. So an append has a name, which its items carry: a
refusal that shows items of this very append says that it was applied.
Rules of this file: pure: requests out, refusals in. Decision 81.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from msgspec import Struct

from tailrace.aggregates.core.folding import EventData
from tailrace.aggregates.core.layout import (
    LAST_VERSION,
    Marker,
    Place,
    StoredEvent,
    command_sort,
    event_item,
    event_sort,
    marker_item,
    read_event,
    read_marker,
)
from tailrace.errors import ApiError, Conflict, SettingsError
from tailrace.values.canonical import size_bytes
from tailrace.values.types import Item

MOST_ACTIONS: Final = 100
MOST_BYTES: Final = 4_000_000
CONDITION: Final = "ConditionalCheckFailed"
CONTENTION: Final = "TransactionConflict"


class Append(Struct, frozen=True):
    """What was decided for one aggregate. Shape: `version` and `recorded_ms` are those of the state that it
    was decided on.
    """

    place: Place
    version: int
    recorded_ms: int
    events: tuple[EventData, ...]


class AppendTerms(Struct, frozen=True):
    """What the items of one append have in common. Units: now_ms since the epoch."""

    append: str
    now_ms: int
    command_id: str | None = None
    meta: Item = {}


class OwnAppend(Struct, frozen=True):
    """The append was applied, by a request whose answer was lost."""


class Repeated(Struct, frozen=True):
    """The command was handled before."""


class Behind(Struct, frozen=True):
    """Others have appended meanwhile. Shape: the next event of each aggregate that lost, by its place in the
    list; None: it was not shown.
    """

    events: Mapping[int, StoredEvent | None]


class UnderWay(Struct, frozen=True):
    """Another transaction was under way with one of the items; nothing is known to have changed."""


Refusal: TypeAlias = OwnAppend | Repeated | Behind | UnderWay


def stored_events(append: Append, naming: AppendTerms) -> list[StoredEvent]:
    """The events as their items have them. Raises: SettingsError beyond the last version."""
    through = append.version + len(append.events)
    if through > LAST_VERSION:
        raise SettingsError(f"{append.place}: an aggregate has at most {LAST_VERSION:,} events")
    return [
        StoredEvent(
            version=version,
            type=event.type,
            schema=event.schema,
            data=event.data,
            through=through,
            append=naming.append,
            recorded_ms=naming.now_ms,
            previous_ms=append.recorded_ms if version == append.version + 1 else naming.now_ms,
            command=naming.command_id,
            meta=naming.meta,
        )
        for version, event in enumerate(append.events, append.version + 1)
    ]


def request_of(appends: Sequence[Append], naming: AppendTerms) -> tuple[str, dict[str, Any]] | None:
    """The operation and its members; None: there is nothing to write. Raises: SettingsError above a bound."""
    actions = _actions(appends, naming)
    if naming.command_id is None and not any(append.events for append in appends):
        return None
    if len(actions) == 1:
        return "PutItem", actions[0]["Put"]
    if len(actions) > MOST_ACTIONS:
        raise SettingsError(
            f"{_names(appends)}: {len(actions)} actions in one transaction, and DynamoDB takes "
            f"{MOST_ACTIONS}: an "
            "event is one, and so are the command of an aggregate and one that is only looked at"
        )
    size = sum(size_bytes(action["Put"]["Item"]) for action in actions if "Put" in action)
    if size > MOST_BYTES:
        raise SettingsError(
            f"{_names(appends)}: {size:,} bytes in one transaction, and DynamoDB takes {MOST_BYTES:,}"
        )
    return "TransactWriteItems", {"TransactItems": actions}


def _actions(appends: Sequence[Append], naming: AppendTerms) -> list[dict[str, Any]]:
    actions: list[dict[str, Any]] = []
    for append in appends:
        place = append.place
        if naming.command_id is not None:
            last = append.version + len(append.events)
            marker = Marker(append.version + 1, last, naming.append, naming.now_ms)
            actions.append(_put(place, marker_item(place, naming.command_id, marker)))
        actions += [_put(place, event_item(place, event)) for event in stored_events(append, naming)]
        if not append.events:
            actions.append(
                {"ConditionCheck": _absent(place, {"Key": place.key(event_sort(append.version + 1))})}
            )
    return actions


def _put(place: Place, item: Item) -> dict[str, Any]:
    return {"Put": _absent(place, {"Item": item})}


def _absent(place: Place, members: dict[str, Any]) -> dict[str, Any]:
    return {
        "TableName": place.table,
        **members,
        "ConditionExpression": "attribute_not_exists(#pk)",
        "ExpressionAttributeNames": {"#pk": place.pk},
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }


# ---- what a refusal means ----------------------------------------------------------------------------------


def refusal_of(error: ApiError, appends: Sequence[Append], naming: AppendTerms) -> Refusal | None:
    """What a refused append means; None: nothing that is known here, so it is the caller's."""
    match error.code:
        case "ConditionalCheckFailedException":
            return _judged(appends, naming, [{"Code": CONDITION, "Item": error.extra.get("Item")}])
        case "TransactionConflictException":
            return UnderWay()
        case "TransactionCanceledException":
            reasons: Any = error.extra.get("CancellationReasons") or ()
            return _judged(appends, naming, reasons)
    return None


def _judged(
    appends: Sequence[Append], naming: AppendTerms, reasons: Sequence[Mapping[str, Any]]
) -> Refusal | None:
    codes = {str(reason.get("Code", "None")) for reason in reasons} - {"None"}
    if not codes or not codes <= {CONDITION, CONTENTION}:
        return None
    behind: dict[int, StoredEvent | None] = {}
    is_repeated = False
    for (index, sort), reason in zip(_targets(appends, naming), reasons, strict=False):
        if reason.get("Code") != CONDITION:
            continue
        place, item = appends[index].place, reason.get("Item")
        if item and item.get("append") == {"S": naming.append}:
            return OwnAppend()
        if sort.startswith("C#"):
            is_repeated = True
        elif index not in behind:
            event = read_event(place, item) if item else None
            behind[index] = (
                event if event is not None and event.version == appends[index].version + 1 else None
            )
    if is_repeated:
        return Repeated()
    return Behind(behind) if behind else UnderWay()


def _targets(appends: Sequence[Append], naming: AppendTerms) -> list[tuple[int, str]]:
    """Whose each action is, and at which sort key: in the order of the actions."""
    targets: list[tuple[int, str]] = []
    for index, append in enumerate(appends):
        if naming.command_id is not None:
            targets.append((index, command_sort(naming.command_id)))
        versions = range(append.version + 1, append.version + 1 + max(1, len(append.events)))
        targets += [(index, event_sort(version)) for version in versions]
    return targets


# ---- expected versions -------------------------------------------------------------------------------------


def check_expected(place: Place, expected: int | None, actual: int) -> None:
    """Require a version. Shape: None: any; 0: no event yet. Raises: Conflict."""
    if expected is not None and expected != actual:
        raise Conflict(str(place), expected=expected, actual=actual)


def lost_words(places: Sequence[Place], versions: Mapping[int, tuple[int, int]]) -> str:
    """Which aggregates lost, each from and to which version, for people."""
    return ", ".join(
        f"{places[index]} (decided on version {before}, now {after})"
        for index, (before, after) in versions.items()
    )


def marker_of(place: Place, item: Item | None) -> Marker | None:
    """The marker that a read has shown."""
    return None if item is None else read_marker(place, item)


def _names(appends: Sequence[Append]) -> str:
    return ", ".join(str(append.place) for append in appends)
