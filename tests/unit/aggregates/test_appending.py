"""One append as a request, and what its refusal means."""

from typing import Any

import pytest

from tailrace.aggregates.core.appending import (
    Append,
    AppendTerms,
    Behind,
    OwnAppend,
    Repeated,
    UnderWay,
    check_expected,
    refusal_of,
    request_of,
)
from tailrace.aggregates.core.folding import EventData, crosses, hole
from tailrace.aggregates.core.layout import (
    LAST_VERSION,
    FoldedState,
    Marker,
    Place,
    StoredEvent,
    event_item,
    event_sort,
    marker_item,
    read_event,
    read_marker,
    read_snapshot,
    snapshot_item,
)
from tailrace.errors import ApiError, Conflict, SettingsError, StoreError

PLACE = Place("bank", "pk", "sk", "account", "a1")
OTHER = Place("bank", "pk", "sk", "account", "a2")
DATA = EventData("Deposited", 1, {"amount": {"N": "5"}})
NAMING = AppendTerms("mine", 1_000)
WITH_ID = AppendTerms("mine", 1_000, "c1")


def stored(version: int, append: str = "theirs", through: int = 0) -> StoredEvent:
    return StoredEvent(version, "Deposited", 1, {}, through=through or version, append=append)


def append(events: int, place: Place = PLACE, version: int = 3) -> Append:
    return Append(place, version, 900, (DATA,) * events)


def cancelled(*reasons: dict[str, Any]) -> ApiError:
    return ApiError("TransactionCanceledException", "no", extra={"CancellationReasons": list(reasons)})


def failed(item: dict[str, Any] | None) -> dict[str, Any]:
    return {"Code": "ConditionalCheckFailed", "Item": item} if item else {"Code": "ConditionalCheckFailed"}


NONE = {"Code": "None"}


# ---- layout ------------------------------------------------------------------------------------------------


def test_items_are_read_as_they_were_written() -> None:
    event = StoredEvent(7, "Deposited", 2, {"n": {"N": "1"}}, 8, "x", 5, 4, "c1", {"actor": {"S": "ann"}})
    bare = StoredEvent(1, "Opened", 1, {}, 1, "x")
    for one in (event, bare):
        assert read_event(PLACE, event_item(PLACE, one)) == one
    assert read_marker(PLACE, marker_item(PLACE, "c1", Marker(4, 3, "x", 9))) == Marker(4, 3, "x", 9)
    snapshot = FoldedState(7, "code", {"balance": {"N": "5"}}, 9)
    assert read_snapshot(PLACE, snapshot_item(PLACE, snapshot)) == snapshot


def test_versions_sort_as_texts_up_to_the_last() -> None:
    numbers = [1, 2, 9, 10, 99, 100, LAST_VERSION - 1, LAST_VERSION]
    assert sorted(map(event_sort, numbers)) == [*map(event_sort, numbers)]
    assert len({len(event_sort(number)) for number in numbers}) == 1
    assert event_sort(0) > "C#zzz"
    assert event_sort(LAST_VERSION) < "S"


def test_another_format_is_refused_and_a_snapshot_of_one_is_passed_over() -> None:
    event = event_item(PLACE, stored(1)) | {"v": {"N": "2"}}
    with pytest.raises(StoreError, match=r"account 'a1': E#000000000001 of table bank has format .*'2'"):
        read_event(PLACE, event)
    assert read_snapshot(PLACE, snapshot_item(PLACE, FoldedState(1, "", {})) | {"v": {"N": "2"}}) is None


# ---- requests ----------------------------------------------------------------------------------------------


def test_one_event_without_an_id_is_a_put_that_shows_who_won() -> None:
    request = request_of([append(1)], NAMING)
    assert request is not None
    operation, members = request
    assert operation == "PutItem"
    assert members["ConditionExpression"] == "attribute_not_exists(#pk)"
    assert members["ReturnValuesOnConditionCheckFailure"] == "ALL_OLD"
    event = read_event(PLACE, members["Item"])
    assert (event.version, event.through, event.previous_ms, event.recorded_ms) == (4, 4, 900, 1_000)


def test_several_events_are_one_transaction_and_know_its_end() -> None:
    request = request_of([append(3)], NAMING)
    assert request is not None
    operation, members = request
    events = [read_event(PLACE, action["Put"]["Item"]) for action in members["TransactItems"]]
    assert operation == "TransactWriteItems"
    assert [(event.version, event.through, event.previous_ms) for event in events] == [
        (4, 6, 900),
        (5, 6, 1_000),
        (6, 6, 1_000),
    ]


def test_a_command_has_its_marker_in_the_transaction_of_its_events() -> None:
    request = request_of([append(1)], WITH_ID)
    assert request is not None
    marker, event = (action["Put"]["Item"] for action in request[1]["TransactItems"])
    assert read_marker(PLACE, marker) == Marker(4, 4, "mine", 1_000)
    assert event["command"] == {"S": "c1"}


def test_nothing_decided_is_no_request_unless_the_command_has_an_id() -> None:
    assert request_of([append(0)], NAMING) is None
    request = request_of([append(0)], WITH_ID)
    assert request is not None
    marker, check = request[1]["TransactItems"]
    assert read_marker(PLACE, marker["Put"]["Item"]) == Marker(4, 3, "mine", 1_000)
    assert check["ConditionCheck"]["Key"]["sk"] == {"S": event_sort(4)}


def test_an_aggregate_that_is_only_looked_at_must_stand_where_it_stood() -> None:
    request = request_of([append(1), append(0, OTHER, 7)], NAMING)
    assert request is not None
    put, check = request[1]["TransactItems"]
    assert "Put" in put
    assert check["ConditionCheck"]["Key"] == OTHER.key(event_sort(8))


def test_a_transaction_has_at_most_a_hundred_actions() -> None:
    assert request_of([append(100)], NAMING) is not None
    assert request_of([append(99)], WITH_ID) is not None
    with pytest.raises(SettingsError, match="account 'a1': 101 actions in one transaction"):
        request_of([append(101)], NAMING)
    with pytest.raises(SettingsError, match="101 actions"):
        request_of([append(100)], WITH_ID)


def test_a_transaction_has_at_most_four_megabytes() -> None:
    large = EventData("Deposited", 1, {"text": {"S": "x" * 390_000}})
    assert request_of([Append(PLACE, 0, 0, (large,) * 10)], NAMING) is not None
    with pytest.raises(SettingsError, match=r"4,\d+,\d+ bytes in one transaction"):
        request_of([Append(PLACE, 0, 0, (large,) * 11)], NAMING)


def test_the_last_version_is_the_last() -> None:
    assert request_of([append(1, version=LAST_VERSION - 1)], NAMING) is not None
    with pytest.raises(SettingsError, match="at most 999,999,999,999 events"):
        request_of([append(1, version=LAST_VERSION)], NAMING)


# ---- refusals ----------------------------------------------------------------------------------------------


def test_a_refused_put_shows_the_event_that_won() -> None:
    item = event_item(PLACE, stored(4))
    error = ApiError("ConditionalCheckFailedException", "no", extra={"Item": item})
    assert refusal_of(error, [append(1)], NAMING) == Behind({0: stored(4)})


def test_an_event_of_this_very_append_says_that_it_was_applied() -> None:
    item = event_item(PLACE, stored(4, append="mine"))
    error = ApiError("ConditionalCheckFailedException", "no", extra={"Item": item})
    assert refusal_of(error, [append(1)], NAMING) == OwnAppend()
    marker = marker_item(PLACE, "c1", Marker(4, 4, "mine"))
    assert refusal_of(cancelled(failed(marker), failed(item)), [append(1)], WITH_ID) == OwnAppend()


def test_a_marker_of_another_append_says_that_the_command_was_handled() -> None:
    marker = marker_item(PLACE, "c1", Marker(4, 4, "theirs"))
    item = event_item(PLACE, stored(4))
    assert refusal_of(cancelled(failed(marker), failed(item)), [append(1)], WITH_ID) == Repeated()
    assert refusal_of(cancelled(failed(marker), NONE), [append(1)], WITH_ID) == Repeated()


def test_each_aggregate_that_lost_is_known_with_its_next_event() -> None:
    appends = [append(2), append(1, OTHER, 7)]
    item = event_item(OTHER, stored(8))
    assert refusal_of(cancelled(NONE, NONE, failed(item)), appends, NAMING) == Behind({1: stored(8)})
    assert refusal_of(cancelled(NONE, failed(None), failed(item)), appends, NAMING) == Behind(
        {0: None, 1: stored(8)}
    )


def test_a_later_event_alone_is_not_taken_for_the_next() -> None:
    reasons = cancelled(NONE, failed(event_item(PLACE, stored(5))))
    assert refusal_of(reasons, [append(2)], NAMING) == Behind({0: None})


@pytest.mark.parametrize(
    "error",
    [ApiError("TransactionConflictException", "no"), cancelled({"Code": "TransactionConflict"}, NONE)],
)
def test_a_transaction_under_way_is_contention(error: ApiError) -> None:
    assert refusal_of(error, [append(2)], NAMING) == UnderWay()


@pytest.mark.parametrize(
    "error",
    [
        ApiError("ValidationException", "no"),
        cancelled({"Code": "ValidationError"}, NONE),
        cancelled({"Code": "ThrottlingError"}, failed(None)),
        cancelled(),
    ],
)
def test_what_is_refused_otherwise_is_the_callers(error: ApiError) -> None:
    assert refusal_of(error, [append(2)], NAMING) is None


# ---- versions ----------------------------------------------------------------------------------------------


def test_an_expected_version_is_any_none_yet_or_exact() -> None:
    check_expected(PLACE, None, 3)
    check_expected(PLACE, 0, 0)
    check_expected(PLACE, 3, 3)
    with pytest.raises(Conflict, match="account 'a1': no event yet was expected, and it has version 1"):
        check_expected(PLACE, 0, 1)
    with pytest.raises(Conflict, match="version 3 was expected, and it has version 4") as refused:
        check_expected(PLACE, 3, 4)
    assert (refused.value.aggregate, refused.value.expected, refused.value.actual) == ("account 'a1'", 3, 4)


@pytest.mark.parametrize(
    ("after", "versions", "through", "missing"),
    [
        (0, [], 0, None),
        (0, [1, 2], 2, None),
        (0, [2], 2, 1),
        (0, [1, 3], 3, 2),
        (5, [6], 6, None),
        (5, [7], 7, 6),
        (0, [1, 2], 3, 3),  # the append is whole with the third
    ],
)
def test_a_hole_is_the_first_version_that_is_missing(
    after: int, versions: list[int], through: int, missing: int | None
) -> None:
    events = [stored(version, through=through if version == versions[-1] else 0) for version in versions]
    assert hole(after, events) == missing


def test_a_snapshot_is_due_at_each_multiple() -> None:
    assert [crosses(3, before, after) for before, after in ((0, 2), (2, 3), (3, 4), (2, 7))] == [
        False,
        True,
        False,
        True,
    ]
