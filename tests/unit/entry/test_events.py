"""The event of a stream, read as a source of one batch."""

import asyncio
from typing import Any

import pytest

from tailrace.app.app import App
from tailrace.entry.events import EventSource, read_event
from tailrace.errors import SettingsError, SourceError
from tailrace.ports import Shard
from tailrace.streams.arns import ACCOUNT
from tests.unit.entry.invoking import ARN, FIRST, event_of, event_record


def app() -> App:
    made = App("shop")
    made.table("orders", pk="id")
    return made


def test_records_are_read_as_they_are_on_the_wire() -> None:
    raw = event_record(1, "a", userIdentity={"type": "Service", "principalId": "dynamodb.amazonaws.com"})
    raw["dynamodb"]["OldImage"] = {"id": {"S": "a"}, "tags": {"SS": ["b", "a"]}, "data": {"B": "AAE="}}
    incoming = read_event(app(), {"Records": [raw, event_record(2, "a")]})
    assert incoming is not None
    first, second = incoming.records
    assert (first.sequence, first.created_ms, first.precision_us) == (FIRST + 1, 1_767_225_600_000, 1_000_000)
    assert (first.by_ttl, second.by_ttl) == (True, False)
    assert first.old == b'{"id":{"S":"a"},"tags":{"SS":["a","b"]},"data":{"B":"AAE="}}'
    assert second.old is None
    assert first.key == second.key
    assert (incoming.stream.region, incoming.stream.table, incoming.stream.label) == (
        "us-east-1",
        "orders",
        "2026-01-01T00:00:00.000",
    )
    assert incoming.identifiers == [str(FIRST + 1), str(FIRST + 2)]


def test_a_pipe_sends_a_bare_list_and_a_mapping_may_send_no_records() -> None:
    incoming = read_event(app(), [event_record(1, "a")])
    assert incoming is not None
    assert len(incoming.records) == 1
    assert read_event(app(), {"Records": []}) is None


def _changed(record: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {**record, "dynamodb": {**record["dynamodb"], **members}}


RECORD = event_record(1, "a")


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"rate": "10/s"}, "no Records"),
        ({"Records": [], "window": {}}, "TumblingWindowInSeconds"),
        ({"Records": [{"body": "x"}]}, "not those of a DynamoDB stream"),
        ({"Records": [RECORD, event_record(2, "a", ARN.replace("orders", "users"))]}, "records of 2 streams"),
        ({"Records": [event_record(1, "a", ARN.replace("orders", "users"))]}, "declares no table 'users'"),
        ({"Records": [event_record(1, "a", ARN.replace("us-east-1", "eu-west-1"))]}, "in eu-west-1"),
        ({"Records": [event_record(1, "a", "arn:aws:sqs:us-east-1:123456789012:q")]}, "no stream"),
        ({"Records": [_changed(RECORD, StreamViewType="NEW_IMAGE")]}, "NEW_AND_OLD_IMAGES"),
        ({"Records": [_changed(RECORD, Keys={"sku": {"S": "a"}})]}, "not that of table 'orders'"),
        ({"Records": [_changed(RECORD, Keys={"id": {"N": "1"}})]}, "not that of table 'orders'"),
        ({"Records": [_changed(RECORD, SequenceNumber="x")]}, "not readable"),
        ({"Records": [{**RECORD, "eventName": "UPSERT"}]}, "eventName"),
        ({"Records": [event_record(2, "a"), event_record(1, "b")]}, "not in the order"),
        ({"Records": [RECORD, RECORD]}, "not in the order"),
    ],
)
def test_what_is_no_batch_of_the_app_is_refused_in_words(event: Any, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        read_event(app(), event)


def test_a_table_elsewhere_is_found_by_its_region_and_account() -> None:
    made = app()
    there = made.table("orders", pk="id", region="eu-west-1", account="123456789012")
    arn = ARN.replace("us-east-1", "eu-west-1")
    incoming = read_event(made, {"Records": [event_record(1, "a", arn)]})
    assert incoming is not None
    assert incoming.table is there
    with pytest.raises(SettingsError, match="no table"):
        read_event(made, {"Records": [event_record(1, "a", arn.replace("123456789012", "210987654321"))]})


def test_the_account_is_compared_only_where_the_app_names_one() -> None:
    for account in ("123456789012", ACCOUNT):
        arn = ARN.replace("123456789012", account)
        assert read_event(app(), {"Records": [event_record(1, "a", arn)]}) is not None


def test_the_batch_is_a_shard_that_is_closed_behind_its_last_record() -> None:
    incoming = read_event(app(), event_of("a", "b", "c"))
    assert incoming is not None
    source, shard = EventSource(incoming), incoming.shard

    async def main() -> None:
        page = await source.read(shard, shard.first - 1, 2)
        assert ([record.sequence - FIRST for record in page.records], page.closed) == ([1, 2], False)
        page = await source.read(shard, page.next_after, 2)
        assert ([record.sequence - FIRST for record in page.records], page.closed) == ([3], True)
        page = await source.read(shard, page.next_after, 2)
        assert (page.records, page.closed) == ([], True)
        assert await source.shards() == [shard]
        assert await source.earlier() == []
        with pytest.raises(SourceError):
            await source.read(Shard("another", 1), 0, 1)

    asyncio.run(main())
