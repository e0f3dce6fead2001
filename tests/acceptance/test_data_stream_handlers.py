"""Handlers and functions on plain data streams, in a test world. Source: semantics §2, §5."""

import json
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tailrace import App, Batch, Change, Record, Records, sinks
from tailrace.engine.state import state_of
from tailrace.errors import SettingsError, TailraceError
from tailrace.runtime.watermark import MappingName
from tailrace.sources.data_streams import published
from tailrace.sources.embedded_log import EmbeddedLog
from tailrace.testing import World
from tailrace.views.progress import known_mappings
from tailrace.views.reading import ViewSources
from tailrace.views.story import find_event

HALF = str(1 << 127)


def with_clicks(shards: int = 1) -> tuple[App, Any]:
    app = App("site")
    return app, app.data_stream("clicks", shards=shards)


def test_a_batch_handler_is_given_records_with_their_data_key_arrival_and_number() -> None:
    app, clicks = with_clicks()
    seen: list[Record] = []

    @app.batch(clicks)
    def keep(records: Records) -> None:
        assert records.shard_id == "shardId-000000000000"
        assert next(iter(records)) is records[0]
        seen.extend(records)

    with World(app, seed=1, start_ms=1_780_000_000_000) as world:
        number = world.put_record(clicks, {"page": "/"}, key="user-1")
        world.put_record("clicks", "text", key="user-2")
        world.put_record(clicks, b"\x00\xff", key="user-3", hash_key=7)
        world.settle()
    first, second, third = seen
    assert (first.json(), first.partition_key, first.key) == ({"page": "/"}, "user-1", "user-1")
    assert first.arrived_at == datetime.fromtimestamp(1_780_000_000, UTC)
    assert (first.sequence_number, first.event_id) == (number, f"shardId-000000000000:{number}")
    assert (second.text, third.data, third.stream) == ("text", b"\x00\xff", "clicks")
    assert repr(first) == f"<Record clicks/user-1 {number}>"
    with pytest.raises(ValueError, match="invalid literal"):
        second.json()


def test_a_failing_key_steps_aside_and_the_others_flow_also_over_a_split() -> None:
    app, clicks = with_clicks()
    seen: list[str] = []
    is_broken = True

    @app.on(clicks)
    def count(record: Record) -> None:
        if is_broken and record.partition_key == "bad":
            raise ValueError("not now")
        seen.append(f"{record.partition_key} {record.text}")

    with World(app, seed=2, allow_failures=True) as world:
        world.put_record(clicks, "1", key="bad")
        world.put_record(clicks, "1", key="good")
        world.settle()
        kinesis = world.client("kinesis")
        kinesis.split_shard(StreamName="clicks", ShardToSplit="shardId-000000000000", NewStartingHashKey=HALF)
        # Put where its key's own hash does not lead: only lineage says that its key is parked.
        for place, hash_key in enumerate((0, (1 << 128) - 1)):
            world.put_record(clicks, f"{2 + place}", key="bad", hash_key=hash_key)
        world.put_record(clicks, "2", key="good")
        world.settle()
        assert sorted(seen) == ["good 1", "good 2"]
        is_broken = False
        assert app.dlq(count).redrive() is not None
        world.settle()
    assert next(line for line in seen if line.startswith("bad")) == "bad 1"
    assert sorted(seen) == ["bad 1", "bad 2", "bad 3", "good 1", "good 2"]


def test_why_finds_a_record_by_the_event_id_of_lambda() -> None:
    app, clicks = with_clicks(shards=2)
    ids: list[str] = []

    @app.on(clicks)
    def count(record: Record) -> None:
        ids.append(record.event_id)

    with World(app, seed=10) as world:
        world.put_record(clicks, "0", key="a")
        number = world.put_record(clicks, "1", key="a")
        world.settle()
        reading = ViewSources(
            state_of(world.engine), EmbeddedLog(world.engine), world.clock, None, 86_400_000
        )
        change = world.loop.run_until_complete(find_event(reading, ids[1]))
        assert (change.table, change.record.sequence_number.wire) == ("kinesis:clicks", number)
        known = world.loop.run_until_complete(known_mappings(reading.state, reading.log))
        assert known == [MappingName("site", next(iter(app.mappings)).id, "kinesis:clicks")]
        with pytest.raises(TailraceError, match="No change has the event id"):
            world.loop.run_until_complete(find_event(reading, f"{ids[1]}0"))


@pytest.mark.parametrize("ends", ["kill", "restart"])
def test_a_position_outlives_the_process(ends: str) -> None:
    app, clicks = with_clicks(shards=2)
    seen: list[str] = []

    @app.batch(clicks)
    def keep(records: Records) -> None:
        seen.extend(record.text for record in records)

    with World(app, seed=3) as world:
        world.put_record(clicks, "1", key="a")
        world.settle()
        if ends == "kill":
            world.kill()
        world.restart()
        world.put_record(clicks, "2", key="a")
        world.settle()
    assert seen == ["1", "2"]


def test_a_function_is_given_the_event_of_aws_and_only_what_its_filter_lets_through() -> None:
    app, clicks = with_clicks()
    events: list[Any] = []

    def count(event: Any, context: Any) -> None:
        events.append(event)

    paid = {"Filters": [{"Pattern": json.dumps({"data": {"status": ["paid"]}})}]}
    app.function(count, clicks, id="count", FilterCriteria=paid)
    with World(app, seed=4) as world:
        world.put_record(clicks, {"status": "open"}, key="a")
        number = world.put_record(clicks, {"status": "paid"}, key="a")
        world.put_record(clicks, "no JSON", key="a")
        world.settle()
    (event,) = events
    (record,) = event["Records"]
    assert json.loads(b64decode(record["kinesis"]["data"])) == {"status": "paid"}
    assert (record["kinesis"]["sequenceNumber"], record["eventName"]) == (number, "aws:kinesis:record")
    assert record["eventSourceARN"] == "arn:aws:kinesis:us-east-1:000000000000:stream/clicks"


class Told:
    """A destination that keeps what it is told."""

    def __init__(self) -> None:
        self.documents: list[tuple[Any, Any]] = []

    async def deliver(self, failure: Any) -> None:
        self.documents.append((json.loads(failure.message), json.loads(failure.object)))


def test_bisect_and_reported_failures_end_with_a_document_of_the_one_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = Told()
    monkeypatch.setattr("tailrace.sinks.making.destination_of", lambda _arn: told)
    app, clicks = with_clicks()
    sizes: list[int] = []

    def refuse(event: Any, context: Any) -> Any:
        sizes.append(len(event["Records"]))
        return {
            "batchItemFailures": [
                {"itemIdentifier": record["kinesis"]["sequenceNumber"]}
                for record in event["Records"]
                if record["kinesis"]["partitionKey"] == "bad"
            ]
        }

    app.function(
        refuse, clicks, id="refuse", MaximumRetryAttempts=1, BisectBatchOnFunctionError=True,
        FunctionResponseTypes=["ReportBatchItemFailures"],
        DestinationConfig={"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:000000000000:failures"}},
    )  # fmt: skip
    with World(app, seed=5, allow_failures=True) as world:
        kinesis = world.client("kinesis")
        kinesis.put_records(
            StreamName="clicks",
            Records=[
                {"Data": b"%d" % place, "PartitionKey": key}
                for place, key in enumerate(("a", "bad", "c", "d"))
            ],
        )
        world.settle()
    # semantics §2.5: partial response and bisect
    assert sizes == [4, 3, 1, 1, 2]
    ((message, whole),) = told.documents
    info = message["KinesisBatchInfo"]
    (record,) = json.loads(whole["payload"])["Records"]
    number = record["kinesis"]["sequenceNumber"]
    assert (info["batchSize"], info["startSequenceNumber"], info["endSequenceNumber"]) == (1, number, number)
    assert info["streamArn"] == record["eventSourceARN"]
    assert message["requestContext"]["condition"] == "RetryAttemptsExhausted"


def test_records_that_are_too_old_are_told_of_their_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    told = Told()
    monkeypatch.setattr("tailrace.sinks.making.destination_of", lambda _arn: told)
    app, clicks = with_clicks()

    def fail(event: Any, context: Any) -> None:
        raise ValueError("never")

    app.function(
        fail, clicks, id="fail", MaximumRecordAgeInSeconds=60,
        DestinationConfig={"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:000000000000:failures"}},
    )  # fmt: skip
    with World(app, seed=6, allow_failures=True) as world:
        world.put_record(clicks, "1", key="a")
        world.settle()
    ((message, _),) = told.documents
    assert message["requestContext"]["condition"] == "RecordAgeExceeded"
    assert message["KinesisBatchInfo"]["approximateArrivalOfFirstRecord"].endswith("Z")


def test_a_tumbling_window_of_a_shard_carries_its_state_and_names_its_stream() -> None:
    app, clicks = with_clicks()
    events: list[Any] = []

    def count(event: Any, context: Any) -> Any:
        events.append(event)
        return {"state": {"n": event["state"].get("n", 0) + len(event["Records"])}}

    app.function(count, clicks, id="count", TumblingWindowInSeconds=60)
    with World(app, seed=7) as world:
        world.put_record(clicks, "1", key="a")
        world.settle()
        world.put_record(clicks, "2", key="b")
        world.settle()
        world.advance("3m")
    *_, last = events
    assert (last["Records"], last["state"], last["isFinalInvokeForWindow"]) == ([], {"n": 2}, True)
    assert last["shardId"] == "shardId-000000000000"
    assert last["eventSourceARN"].endswith(":stream/clicks")


def test_transactions_of_a_record_are_committed_with_it() -> None:
    app, clicks = with_clicks()
    pages = app.table("pages", pk="id")

    @app.on(clicks)
    def count(record: Record) -> None:
        record.transaction.update(pages, {"id": record.text}, "ADD n :one", values={":one": 1})

    with World(app, seed=8) as world:
        world.put_record(clicks, "/", key="a")
        world.put_record(clicks, "/", key="b")
        world.settle()
        world.restart()
        world.settle()
        assert world.get(pages, {"id": "/"}) == {"id": "/", "n": 2}


def test_a_sink_that_appends_takes_records() -> None:
    app, clicks = with_clicks()
    kept: list[Any] = []
    app.sink(clicks, sinks.Function(kept.append), transform=lambda record: record.json())
    with World(app, seed=9, sinks="real") as world:
        world.put_record(clicks, {"n": 1}, key="a")
        world.settle()
    assert kept == [{"n": 1}]


@settings(max_examples=20, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("put"), st.sampled_from("abcdef")),
            st.tuples(st.sampled_from(["split", "merge", "kill"]), st.just("")),
        ),
        max_size=25,
    ),
    st.integers(0, 1_000),
)
def test_each_partition_key_stays_in_order_through_splits_merges_and_kills(
    steps: list[tuple[str, str]], seed: int
) -> None:
    put, seen = lived(steps, seed)
    assert first_deliveries(seen) == first_deliveries(put), "none is lost, and each key's are in order"


def test_a_lineage_that_is_not_told_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "tailrace.sources.data_streams.published",
        lambda shard, label: replace(published(shard, label), parents=()),
    )
    steps = [*[("put", "a")] * 8, ("split", ""), *[("put", "a")] * 4]
    lives = [lived(steps, seed) for seed in range(20)]
    assert any(first_deliveries(seen) != first_deliveries(put) for put, seen in lives)


def first_deliveries(seen: list[tuple[str, str]]) -> dict[str, list[tuple[str, str]]]:
    return {key: list(dict.fromkeys(one for one in seen if one[0] == key)) for key in "abcdef"}


def lived(steps: list[tuple[str, str]], seed: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """What was put and what was seen, by keys and in order."""
    app, clicks = with_clicks()
    seen: list[tuple[str, str]] = []

    @app.batch(clicks, batch_size=3)
    def keep(records: Records) -> None:
        seen.extend((record.partition_key, record.text) for record in records)

    put: list[tuple[str, str]] = []
    with World(app, seed=seed) as world:
        for place, (step, key) in enumerate(steps):
            if step == "put":
                world.put_record(clicks, str(place), key=key)
                put.append((key, str(place)))
            elif step == "kill":
                world.restart()
            else:
                reshard(world.client("kinesis"), step)
        world.settle()
    return put, seen


def reshard(kinesis: Any, step: str) -> None:
    """Split the first open shard in its middle, or merge the first two."""
    shards = [
        shard
        for shard in kinesis.list_shards(StreamName="clicks")["Shards"]
        if "EndingSequenceNumber" not in shard["SequenceNumberRange"]
    ]
    shards.sort(key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))
    if step == "split":
        hashes = shards[0]["HashKeyRange"]
        middle = (int(hashes["StartingHashKey"]) + int(hashes["EndingHashKey"])) // 2
        kinesis.split_shard(
            StreamName="clicks", ShardToSplit=shards[0]["ShardId"], NewStartingHashKey=str(middle)
        )
    elif len(shards) > 1:
        kinesis.merge_shards(
            StreamName="clicks",
            ShardToMerge=shards[0]["ShardId"],
            AdjacentShardToMerge=shards[1]["ShardId"],
        )


# ---- what is refused ---------------------------------------------------------------------------------------


def test_what_takes_items_takes_no_data_stream() -> None:
    app, clicks = with_clicks()

    def sales(total: int, item: Any, sign: int) -> int:
        return total + sign

    for declare in (
        lambda: app.projection(clicks, by="page")(sales),
        lambda: app.window(clicks, by="page", every="1m")(lambda closing: None),
        lambda: app.merged(clicks)(lambda change: None),
    ):
        with pytest.raises(SettingsError, match="data stream 'clicks' has records"):
            declare()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "a b"}, "a name has 1 to 128"),
        ({"name": ""}, "a name has 1 to 128"),
        ({"name": "x" * 129}, "a name has 1 to 128"),
        ({"name": "clicks", "shards": 0}, "shards=0 is not allowed; it is 1 to 10,000"),
        ({"name": "clicks", "shards": 10_001}, "shards=10001 is not allowed"),
        ({"name": "clicks", "shards": True}, "shards=True is no whole number"),
    ],
)
def test_a_declaration_is_refused_in_words(given: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        App("site").data_stream(**given)


def test_a_stream_is_declared_once_and_a_handler_is_given_what_its_form_says() -> None:
    app, clicks = with_clicks()
    with pytest.raises(SettingsError, match="declared twice"):
        app.data_stream("clicks")

    def one(record: Record) -> None: ...
    def several(records: Records) -> None: ...
    def change(change: Change) -> None: ...
    def batch(batch: Batch) -> None: ...

    app.on(clicks, id="record")(one)
    app.on(clicks, id="change")(change)
    app.batch(clicks, id="records")(several)
    app.batch(clicks, id="batch")(batch)
    for declare, words in (
        (lambda: app.on(clicks)(several), "gives it a Record: write Record"),
        (lambda: app.batch(clicks)(one), "gives it a Records: write Records"),
        (lambda: app.on(app.table("orders", pk="id"))(one), "gives it a Change: write Change"),
    ):
        with pytest.raises(SettingsError, match=words):
            declare()


def test_a_filter_of_data_that_is_a_text_is_refused() -> None:
    app, clicks = with_clicks()
    with pytest.raises(SettingsError, match="the pattern of data is JSON"):
        app.function(
            lambda event, context: None, clicks, id="f",
            FilterCriteria={"Filters": [{"Pattern": '{"data": ["text"]}'}]},
        )  # fmt: skip
