"""Loading aggregates and handling commands, as steps that yield requests and are given their answers.

Theory of operation: load, decide, append; when the append was refused because others were faster, fold what
the refusal shows and decide again, a bounded number of times. A command with an id looks for its marker
*after* the state was read: where there is none, the state does not contain the command, and the marker in the
transaction sees to what happens from then on.
Rules of this file: a refused request is raised at the `yield` as ApiError; an outage goes to the caller.
What is decided is in core. Carried out by app/client.py.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeAlias, TypeVar

from msgspec import Struct

from tailrace.aggregates.core.appending import (
    Append,
    AppendTerms,
    Behind,
    OwnAppend,
    Repeated,
    UnderWay,
    check_expected,
    lost_words,
    marker_of,
    refusal_of,
    request_of,
)
from tailrace.aggregates.core.folding import Loaded, Model, begun, crosses, folded, hole, missing_words
from tailrace.aggregates.core.layout import (
    LAST_VERSION,
    SNAPSHOT_SORT,
    FoldedState,
    Place,
    StoredEvent,
    command_sort,
    event_sort,
    is_event,
    read_event,
    read_snapshot,
    snapshot_item,
)
from tailrace.errors import ApiError, Conflict, MissingEvents, SinkOutage
from tailrace.values.types import Item

S = TypeVar("S")
T = TypeVar("T")
Members: TypeAlias = Mapping[str, Any]
Steps: TypeAlias = Generator[tuple[str, Members], Members, T]
READS: Final = 4
"""How often a partition is read that shows a hole: an append that is under way is whole the next time."""
ATTEMPTS: Final = 16
"""How often a command is decided before it gives up."""
NOT_NEWER: Final = "attribute_not_exists(#pk) OR #version < :version OR #code <> :code"


@dataclass(frozen=True, slots=True)
class Decided(Generic[S]):
    """What a command came to. Shape: `version` is that of `state`, the last of `events` if there are any;
    `repeated` says that it was decided the first time that this command came.
    """

    id: str
    state: S
    version: int
    events: tuple[Any, ...]
    repeated: bool = False


class Asked(Struct, frozen=True):
    """A command for one aggregate. Shape: `decide` is told the state; `expected` is the version that the
    aggregate must have; None: any, 0: no event yet.
    """

    model: Model[Any]
    place: Place
    decide: Callable[[Any], Sequence[Any]]
    expected: int | None = None


class Terms(Struct, frozen=True):
    """How commands are handled. Shape: `new_append` names each append anew. Units: now_ms since the epoch."""

    now_ms: Callable[[], int]
    new_append: Callable[[], str]
    command_id: str | None = None
    meta: Item = {}
    attempts: int = ATTEMPTS


# ---- loading -----------------------------------------------------------------------------------------------


def load(model: Model[S], place: Place) -> Steps[Loaded[S]]:
    """The state as it is now. Raises: MissingEvents."""
    missing: int | None = 0
    for _ in range(READS):
        snapshot, events = yield from _newest(model, place)
        loaded = begun(model, snapshot)
        missing = hole(loaded.version, events)
        if missing is None:
            return folded(model, loaded, events)
    raise MissingEvents(missing_words(place, missing))


def _newest(model: Model[Any], place: Place) -> Steps[tuple[FoldedState | None, list[StoredEvent]]]:
    """The snapshot that may be used and every event behind it, in order."""
    if not model.snapshot_every:
        return None, (yield from events_between(place, 1, LAST_VERSION))
    members = _query(place, event_sort(0), SNAPSHOT_SORT) | {"ScanIndexForward": False}
    snapshot: FoldedState | None = None
    newest: list[StoredEvent] = []
    start: Members = {"Limit": model.snapshot_every + 1}
    while True:
        page = yield "Query", {**members, **start}
        for item in page.get("Items", ()):
            if is_event(place, item):
                newest.append(read_event(place, item))
            elif (kept := read_snapshot(place, item)) is not None and kept.code == model.code:
                snapshot = kept
        if snapshot is not None and newest and newest[-1].version <= snapshot.version + 1:
            break
        if "LastEvaluatedKey" not in page:
            break
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    after = 0 if snapshot is None else snapshot.version
    return snapshot, [event for event in reversed(newest) if event.version > after]


def events_between(place: Place, first: int, last: int) -> Steps[list[StoredEvent]]:
    """The events of these versions that are there, in order."""
    if last < first:
        return []  # DynamoDB refuses a range that ends before it begins
    members = _query(place, event_sort(first), event_sort(last))
    events: list[StoredEvent] = []
    start: Members = {}
    while True:
        page = yield "Query", {**members, **start}
        events += [read_event(place, item) for item in page.get("Items", ())]
        if "LastEvaluatedKey" not in page:
            return events
        start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def whole_events(place: Place, last: int = LAST_VERSION) -> Steps[list[StoredEvent]]:
    """Every event up to a version, without a hole. Raises: MissingEvents."""
    missing: int | None = 0
    for _ in range(READS):
        events = yield from events_between(place, 1, last)
        missing = hole(0, events)
        if missing is None or missing > last:
            return events
    raise MissingEvents(missing_words(place, missing))


def _query(place: Place, first: str, last: str) -> dict[str, Any]:
    key = place.key(first)
    return {
        "TableName": place.table,
        "ConsistentRead": True,
        "KeyConditionExpression": "#pk = :pk AND #sk BETWEEN :first AND :last",
        "ExpressionAttributeNames": {"#pk": place.pk, "#sk": place.sk},
        "ExpressionAttributeValues": {":pk": key[place.pk], ":first": key[place.sk], ":last": {"S": last}},
    }


# ---- handling ----------------------------------------------------------------------------------------------


def handle(asked: Sequence[Asked], terms: Terms) -> Steps[list[Decided[Any]]]:
    """Decide commands of several aggregates and append what they come to, all or nothing.

    Raises:  Conflict, MissingEvents; what the user's functions raise; ApiError for what is refused otherwise.
    """
    states: list[Loaded[Any]] = []
    for one in asked:
        states.append((yield from load(one.model, one.place)))
    if terms.command_id is not None and (yield from _is_known(asked[0].place, terms.command_id)):
        return (yield from _repeated(asked, terms.command_id))
    lost: dict[int, tuple[int, int]] = {}
    for _ in range(terms.attempts):
        for one, loaded in zip(asked, states, strict=True):
            check_expected(one.place, one.expected, loaded.version)
        decided = [tuple(one.decide(loaded.state)) for one, loaded in zip(asked, states, strict=True)]
        appends = [
            Append(one.place, loaded.version, loaded.recorded_ms, tuple(map(one.model.write, events)))
            for one, loaded, events in zip(asked, states, decided, strict=True)
        ]
        naming = AppendTerms(terms.new_append(), terms.now_ms(), terms.command_id, terms.meta)
        refusal = yield from _append(appends, naming)
        match refusal:
            case None | OwnAppend():
                return (yield from _told(asked, states, decided, naming))
            case Repeated():
                assert terms.command_id is not None
                return (yield from _repeated(asked, terms.command_id))
            case Behind(events):
                before = [loaded.version for loaded in states]
                for index, event in events.items():
                    states[index] = yield from _caught_up(asked[index], states[index], event)
                lost = {index: (before[index], states[index].version) for index in events}
            case UnderWay():
                pass
    raise _conflict(asked, states, lost, terms.attempts)


def _is_known(place: Place, command_id: str) -> Steps[bool]:
    answer = yield "GetItem", {
        "TableName": place.table, "Key": place.key(command_sort(command_id)), "ConsistentRead": True,
    }  # fmt: skip
    return answer.get("Item") is not None


def _append(appends: Sequence[Append], naming: AppendTerms) -> Steps[Any]:
    """Append. Returns: what the refusal means; None: it is applied, or there was nothing to do."""
    request = request_of(appends, naming)
    if request is None:
        return None
    try:
        yield request
    except ApiError as error:
        refusal = refusal_of(error, appends, naming)
        if refusal is None:
            raise
        return refusal
    return None


def _caught_up(one: Asked, loaded: Loaded[Any], event: StoredEvent | None) -> Steps[Loaded[Any]]:
    """The state with what others have appended: without a read, when the event that was shown is all of
    it.
    """
    if event is not None and event.through == event.version:
        return folded(one.model, loaded, [event])
    return (yield from load(one.model, one.place))


def _told(
    asked: Sequence[Asked],
    states: Sequence[Loaded[Any]],
    decided: Sequence[tuple[Any, ...]],
    naming: AppendTerms,
) -> Steps[list[Decided[Any]]]:
    answers: list[Decided[Any]] = []
    for one, loaded, events in zip(asked, states, decided, strict=True):
        state, model, version = loaded.state, one.model, loaded.version + len(events)
        for event in events:
            state = model.evolve(state, event)
        answers.append(Decided(one.place.id, state, version, events))
        if crosses(model.snapshot_every, loaded.version, version):
            kept = FoldedState(version, model.code, model.write_state(state), naming.now_ms)
            yield from _keep(one.place, kept)
    return answers


def _keep(place: Place, snapshot: FoldedState) -> Steps[None]:
    """Put a snapshot, unless there is a newer one of this code. It is only a shortcut, so failing is no
    error.
    """
    members = {
        "TableName": place.table,
        "Item": snapshot_item(place, snapshot),
        "ConditionExpression": NOT_NEWER,
        "ExpressionAttributeNames": {"#pk": place.pk, "#version": "version", "#code": "code"},
        "ExpressionAttributeValues": {
            ":version": {"N": str(snapshot.version)},
            ":code": {"S": snapshot.code},
        },
    }
    try:
        yield "PutItem", members
    except (ApiError, SinkOutage):
        return


def _repeated(asked: Sequence[Asked], command_id: str) -> Steps[list[Decided[Any]]]:
    """What was decided the first time: the state as of then, and the events."""
    answers: list[Decided[Any]] = []
    for one in asked:
        key = one.place.key(command_sort(command_id))
        answer = yield "GetItem", {"TableName": one.place.table, "Key": key, "ConsistentRead": True}
        marker = marker_of(one.place, answer.get("Item"))
        if marker is None:
            raise MissingEvents(
                f"{one.place}: command {command_id!r} was handled before, and not for this aggregate",
                hint="a command's id names one command for the same aggregates; give this one another id",
            )
        stored = yield from whole_events(one.place, marker.last)
        loaded = folded(one.model, Loaded(one.model.initial()), stored)
        events = tuple(one.model.read(event) for event in stored[marker.first - 1 :])
        answers.append(Decided(one.place.id, loaded.state, loaded.version, events, repeated=True))
    return answers


def _conflict(
    asked: Sequence[Asked],
    states: Sequence[Loaded[Any]],
    lost: Mapping[int, tuple[int, int]],
    attempts: int,
) -> Conflict:
    lost = lost or {index: (loaded.version, loaded.version) for index, loaded in enumerate(states)}
    index, (before, after) = next(iter(lost.items()))
    words = lost_words([one.place for one in asked], lost)
    return Conflict(str(asked[index].place), expected=before, actual=after, lost=words, attempts=attempts)
