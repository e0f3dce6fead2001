"""The records in a function's event, as their producers wrote them."""

from base64 import b64encode
from typing import Any

import pytest

from tailrace import App, Record, Refused, user_records
from tailrace.streams.kinesis.aggregation import UserRecord, write_aggregate
from tailrace.testing import World

AGGREGATE = write_aggregate([UserRecord("a", b"1"), UserRecord("b", b"2", "7")])


def event_with(*texts: bytes) -> dict[str, Any]:
    return {
        "Records": [
            {
                "eventID": f"shardId-000000000000:{number}",
                "kinesis": {
                    "partitionKey": "of the record",
                    "sequenceNumber": str(number),
                    "data": b64encode(text).decode(),
                    "approximateArrivalTimestamp": 1.5,
                },
            }
            for number, text in enumerate(texts)
        ]
    }


def test_an_aggregate_is_taken_apart_where_it_stands() -> None:
    event = event_with(b"before", AGGREGATE, b"after")
    before, *users, after = user_records(event)
    assert [before, after] == [event["Records"][0], event["Records"][2]]
    common = {"sequenceNumber": "1", "approximateArrivalTimestamp": 1.5, "aggregated": True}
    assert [user["kinesis"] for user in users] == [
        {**common, "partitionKey": "a", "data": "MQ==", "subSequenceNumber": 0},
        {**common, "partitionKey": "b", "data": "Mg==", "subSequenceNumber": 1, "explicitHashKey": "7"},
    ]
    assert {user["eventID"] for user in users} == {"shardId-000000000000:1"}


def test_the_event_stays_as_it_is() -> None:
    event = event_with(AGGREGATE)
    user_records(event)
    assert event == event_with(AGGREGATE)


def test_a_damaged_aggregate_stays_as_it_came() -> None:
    event = event_with(AGGREGATE[:-1] + bytes([AGGREGATE[-1] ^ 1]))
    assert user_records(event) == event["Records"]


def test_an_event_without_records_has_none() -> None:
    assert user_records({"Records": []}) == []


@pytest.mark.parametrize(
    ("event", "has"),
    [
        ({"Records": [{"dynamodb": {}, "eventID": "1"}]}, "dynamodb, eventID$"),
        ({"records": []}, "this one has records$"),
        ({}, "this one has nothing$"),
    ],
)
def test_an_event_of_another_source_is_refused_in_words(event: dict[str, Any], has: str) -> None:
    with pytest.raises(Refused, match=has):
        user_records(event)


def test_a_handler_takes_a_record_apart_and_a_plain_one_is_itself() -> None:
    app = App("site")
    clicks = app.data_stream("clicks")
    seen: list[tuple[UserRecord, ...]] = []

    @app.on(clicks)
    def keep(record: Record) -> None:
        seen.append(record.user_records)

    with World(app, seed=1) as world:
        world.put_record(clicks, AGGREGATE, key="a")
        world.put_record(clicks, b"3", key="c")
        world.settle()
    assert sorted(seen, key=len) == [
        (UserRecord("c", b"3"),),
        (UserRecord("a", b"1"), UserRecord("b", b"2", "7")),
    ]


def test_an_aggregate_of_which_a_record_fails_comes_again_whole() -> None:
    app = App("site")
    clicks = app.data_stream("clicks")
    seen: list[bytes] = []

    @app.on(clicks)
    def keep(record: Record) -> None:
        for user in record.user_records:
            seen.append(user.data)
            if seen == [b"1", b"2"]:
                raise ValueError("not now")

    with World(app, seed=1) as world:
        world.put_record(clicks, AGGREGATE, key="a")
        world.settle()
    assert seen == [b"1", b"2", b"1", b"2"]
