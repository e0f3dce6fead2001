"""Streams as clients read them: listing, describing, iterators, pages, the horizon."""

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.errors import ApiError
from tailrace.streams.iterators import IteratorStart, StartKind
from tailrace.streams.record import ChangeRecord, SequenceNumber
from tailrace.tables.mutate import Put
from tests.unit.engine.building import (
    DAY_MS,
    HOUR_MS,
    FailingStore,
    arn_of,
    defined,
    item,
    keep_house,
    log_of,
    names_of,
    opened,
    put,
    with_table,
)


def refusal(error: pytest.ExceptionInfo[ApiError]) -> tuple[str, str | None]:
    return error.value.code, error.value.message


def only_shard(engine: Engine) -> str:
    (shard,) = engine.shards_of(arn_of(engine))
    return shard.shard_id


def iterator(engine: Engine, kind: StartKind, number: int | None = None, shard_id: str | None = None) -> str:
    wire = None if number is None else SequenceNumber(number).wire
    return engine.get_shard_iterator(
        arn_of(engine), shard_id or only_shard(engine), IteratorStart(kind, wire)
    )


def numbers(records: list[ChangeRecord]) -> list[int]:
    return [int((record.new or b"").split(b'"N":"')[1].split(b'"')[0]) for record in records]


def written(count: int) -> tuple[Engine, ManualClock]:
    engine, clock = with_table()
    for number in range(count):
        put(engine, f"item {number}", number)
    return engine, clock


# ---- iterators ---------------------------------------------------------------------------------------------


def test_the_horizon_starts_at_the_oldest_and_latest_after_the_newest() -> None:
    engine, _ = written(3)
    oldest, latest = iterator(engine, "TRIM_HORIZON"), iterator(engine, "LATEST")
    put(engine, "later", 3)
    assert numbers(engine.get_records(oldest).records) == [0, 1, 2, 3]
    assert numbers(engine.get_records(latest).records) == [3]


def test_at_includes_the_record_and_after_does_not() -> None:
    engine, _ = written(4)
    second = log_of(engine)[1].sequence
    assert numbers(engine.get_records(iterator(engine, "AT_SEQUENCE_NUMBER", second)).records) == [1, 2, 3]
    assert numbers(engine.get_records(iterator(engine, "AFTER_SEQUENCE_NUMBER", second)).records) == [2, 3]


def test_pages_join_and_an_open_shard_always_goes_on() -> None:
    engine, _ = written(5)
    token: str | None = iterator(engine, "TRIM_HORIZON")
    seen: list[int] = []
    for _ in range(4):
        assert token is not None
        page = engine.get_records(token, 2)
        seen.extend(numbers(page.records))
        token = page.next_token
    assert seen == [0, 1, 2, 3, 4]
    assert token is not None


def test_an_iterator_is_a_position_and_may_be_used_again() -> None:
    engine, _ = written(2)
    token = iterator(engine, "TRIM_HORIZON")
    assert engine.get_records(token).records == engine.get_records(token).records


def test_a_drained_closed_shard_gives_no_next_iterator() -> None:
    engine, _ = written(3)
    token, arn = iterator(engine, "TRIM_HORIZON"), arn_of(engine)
    engine.update_stream("orders", False)
    engine.committer.flush()
    page = engine.get_records(token, 2)
    assert page.next_token is not None
    last = engine.get_records(page.next_token, 2)
    assert (numbers(last.records), last.next_token) == ([2], None)
    assert engine.describe_stream(arn)["StreamStatus"] == "DISABLED"


def test_a_shard_is_not_at_its_end_while_its_last_record_is_not_durable() -> None:
    engine, _ = written(1)
    token = iterator(engine, "TRIM_HORIZON")
    engine.put(Put("orders", item("late", 1)))
    engine.update_stream("orders", False)
    page = engine.get_records(token)
    assert numbers(page.records) == [0]
    assert page.next_token is not None
    engine.committer.flush()
    last = engine.get_records(page.next_token)
    assert (numbers(last.records), last.next_token) == ([1], None)


def test_a_page_holds_a_megabyte() -> None:
    engine, _ = with_table()
    for name in "abcdef":
        engine.put(Put("orders", item(name, 0, large="x" * 300_000)))
    engine.committer.flush()
    page = engine.get_records(iterator(engine, "TRIM_HORIZON"))
    assert len(page.records) == 3
    assert page.next_token is not None
    assert len(engine.get_records(page.next_token).records) == 3


def test_an_item_larger_than_a_page_of_records_still_passes() -> None:
    engine, _ = with_table()
    for number in range(2):
        engine.put(Put("orders", item("a", number, large="é" * 200_000)))
    engine.committer.flush()
    records = engine.get_records(iterator(engine, "TRIM_HORIZON")).records
    assert names_of(records) == ["INSERT"]


def test_unknown_streams_and_shards_are_not_found() -> None:
    engine, _ = written(1)
    unknown = arn_of(engine).replace("orders", "others")
    with pytest.raises(ApiError) as refused:
        engine.describe_stream(unknown)
    assert refusal(refused) == (
        "ResourceNotFoundException",
        f"Requested resource not found: Stream: {unknown} not found",
    )
    with pytest.raises(ApiError) as refused:
        iterator(engine, "LATEST", shard_id="shardId-00000000000000000000-00000000")
    assert refused.value.code == "ResourceNotFoundException"
    with pytest.raises(ApiError) as refused:
        engine.describe_stream("garbage")
    assert refused.value.code == "ValidationException"


def test_garbage_is_no_iterator_and_an_old_one_has_expired() -> None:
    engine, clock = written(1)
    token = iterator(engine, "TRIM_HORIZON")
    with pytest.raises(ApiError, match=r"^Invalid ShardIterator"):
        engine.get_records(token[:-2])
    clock.advance(900_000)
    engine.get_records(token)
    clock.advance(1)
    with pytest.raises(ApiError) as refused:
        engine.get_records(token)
    assert refused.value.code == "ExpiredIteratorException"


@pytest.mark.parametrize("limit", [0, 1_001])
def test_the_limit_of_records_is_checked(limit: int) -> None:
    engine, _ = written(1)
    with pytest.raises(ApiError) as refused:
        engine.get_records(iterator(engine, "LATEST"), limit)
    assert refused.value.code == "ValidationException"


# ---- lists -------------------------------------------------------------------------------------------------


def test_streams_are_listed_in_pages_that_outlive_a_stream() -> None:
    engine = opened()
    for name in ("one", "two", "three"):
        engine.create_table(defined(name))
    first = engine.list_streams(limit=2)
    assert len(first["Streams"]) == 2
    last = first["LastEvaluatedStreamArn"]
    assert last == first["Streams"][-1]["StreamArn"]
    rest = engine.list_streams(limit=2, start_arn=last)
    assert len(rest["Streams"]) == 1
    assert "LastEvaluatedStreamArn" not in rest
    gone = last.replace("00.", "01.")
    assert engine.list_streams(start_arn=gone) == rest
    assert [one["TableName"] for one in engine.list_streams("two")["Streams"]] == ["two"]


@pytest.mark.parametrize("limit", [0, 101])
def test_the_limits_of_lists_are_checked(limit: int) -> None:
    engine, _ = with_table()
    for call in (
        lambda: engine.list_streams(limit=limit),
        lambda: engine.describe_stream(arn_of(engine), limit=limit),
    ):
        with pytest.raises(ApiError, match="at 'limit' failed to satisfy constraint: Member must have value"):
            call()


def test_a_stream_describes_its_shards_in_pages() -> None:
    engine, _ = with_table(settings=EngineSettings(shards=3))
    arn = arn_of(engine)
    first = engine.describe_stream(arn, limit=2)
    assert first["StreamStatus"] == "ENABLED"
    assert first["KeySchema"] == [{"AttributeName": "pk", "KeyType": "HASH"}]
    assert len(first["Shards"]) == 2
    rest = engine.describe_stream(arn, 2, first["LastEvaluatedShardId"])
    assert len(rest["Shards"]) == 1
    assert "LastEvaluatedShardId" not in rest
    assert engine.describe_stream(arn, start_shard_id="shardId-unknown")["Shards"] == []


def test_items_keep_their_shard_and_every_shard_gets_some() -> None:
    engine, _ = with_table(settings=EngineSettings(shards=3))
    for turn in range(2):
        for number in range(60):
            put(engine, f"item {number}", turn)
    shards: dict[bytes, set[int]] = {}
    for record in log_of(engine):
        shards.setdefault(record.key, set()).add(record.shard)
    assert all(len(seen) == 1 for seen in shards.values())
    assert len({shard for seen in shards.values() for shard in seen}) == 3


# ---- rollover ----------------------------------------------------------------------------------------------


def test_after_four_hours_a_shard_closes_and_one_child_goes_on() -> None:
    engine, clock = written(2)
    clock.advance(4 * HOUR_MS)
    put(engine, "later", 2)
    parent, child = engine.describe_stream(arn_of(engine))["Shards"]
    assert "EndingSequenceNumber" in parent["SequenceNumberRange"]
    assert "EndingSequenceNumber" not in child["SequenceNumberRange"]
    assert child["ParentShardId"] == parent["ShardId"]
    ending = int(parent["SequenceNumberRange"]["EndingSequenceNumber"])
    assert ending < int(child["SequenceNumberRange"]["StartingSequenceNumber"])
    pages = [
        engine.get_records(iterator(engine, "TRIM_HORIZON", shard_id=shard["ShardId"]))
        for shard in (parent, child)
    ]
    assert [numbers(page.records) for page in pages] == [[0, 1], [2]]
    assert pages[0].next_token is None
    assert pages[1].next_token is not None


def test_children_are_found_by_the_shard_filter() -> None:
    engine, clock = with_table(settings=EngineSettings(shards=2))
    clock.advance(4 * HOUR_MS)
    arn = arn_of(engine)
    shards = engine.describe_stream(arn)["Shards"]
    assert len(shards) == 4
    (child,) = engine.describe_stream(arn, filter={"Type": "CHILD_SHARDS", "ShardId": shards[0]["ShardId"]})[
        "Shards"
    ]
    assert child["ParentShardId"] == shards[0]["ShardId"]
    for wrong in ({"Type": "CHILD_SHARDS"}, {"ShardId": "x"}, {"Type": "ALL", "ShardId": "x"}):
        with pytest.raises(ApiError) as refused:
            engine.describe_stream(arn, filter=wrong)
        assert refused.value.code == "ValidationException"


def test_listeners_hear_of_a_closing() -> None:
    engine, clock = written(1)
    (parent,) = engine.shards_of(arn_of(engine))
    heard: list[frozenset[int]] = []
    engine.committer.on_commit(heard.append)
    clock.advance(4 * HOUR_MS)
    put(engine, "later")
    (_, child) = engine.shards_of(arn_of(engine))
    assert heard == [frozenset({engine.log.number_of(parent), engine.log.number_of(child)})]


# ---- the horizon -------------------------------------------------------------------------------------------


def aged() -> tuple[Engine, ManualClock, list[ChangeRecord]]:
    """Ten records, one an hour, in one shard that never rolls over."""
    engine, clock = with_table(settings=EngineSettings(rollover_ms=100 * DAY_MS))
    for number in range(10):
        put(engine, f"item {number}", number)
        clock.advance(HOUR_MS)
    return engine, clock, log_of(engine)


def test_records_older_than_a_day_are_gone_at_once() -> None:
    engine, clock, _ = aged()
    clock.advance(
        17 * HOUR_MS
    )  # 27 hours after the first: records 0, 1 and 2 are too old, 3 is exactly a day
    assert numbers(log_of(engine)) == [3, 4, 5, 6, 7, 8, 9]
    assert numbers(engine.get_records(iterator(engine, "TRIM_HORIZON")).records)[0] == 3


def test_an_iterator_into_the_past_is_refused_and_one_at_its_edge_is_not() -> None:
    engine, clock, records = aged()
    clock.advance(17 * HOUR_MS)
    for kind, index in (("AT_SEQUENCE_NUMBER", 2), ("AFTER_SEQUENCE_NUMBER", 1)):
        with pytest.raises(ApiError) as refused:
            iterator(engine, kind, records[index].sequence)
        assert refused.value.code == "TrimmedDataAccessException"
    for kind, index in (("AT_SEQUENCE_NUMBER", 3), ("AFTER_SEQUENCE_NUMBER", 2)):
        page = engine.get_records(iterator(engine, kind, records[index].sequence))
        assert numbers(page.records)[0] == 3


def test_an_iterator_that_the_trim_overtook_is_refused() -> None:
    engine, clock, records = aged()
    clock.advance(14 * HOUR_MS)  # exactly 24 hours after the first
    token = iterator(engine, "AFTER_SEQUENCE_NUMBER", records[0].sequence - 1)
    assert numbers(engine.get_records(token).records)[0] == 0
    clock.advance(60_000)
    with pytest.raises(ApiError) as refused:
        engine.get_records(token)
    assert refusal(refused) == (
        "TrimmedDataAccessException",
        "The operation attempted to read past the oldest stream record in a shard.",
    )


def test_a_reader_behind_the_horizon_is_told_what_it_lost() -> None:
    engine, clock, records = aged()
    (shard,) = engine.shards_of(arn_of(engine))
    clock.advance(17 * HOUR_MS)
    late = engine.log.read(shard, records[0].sequence, 3)
    assert (numbers(list(late.records)), late.trimmed) == ([3, 4, 5], True)
    exact = engine.log.read(shard, records[2].sequence, 3)
    assert (numbers(list(exact.records)), exact.trimmed) == ([3, 4, 5], False)
    assert engine.log.read(shard, 0, 3).trimmed is False
    assert engine.log.read(shard, shard.first - 1, 3).trimmed is True
    clock.advance(DAY_MS)
    nothing = engine.log.read(shard, late.next_after, 3)
    assert (nothing.records, nothing.trimmed, nothing.next_after) == ([], True, records[-1].sequence)


def test_a_shard_that_has_vanished_ends_with_a_loss() -> None:
    engine, clock = written(1)
    (shard,) = engine.shards_of(arn_of(engine))
    clock.advance(4 * HOUR_MS)
    put(engine, "later", 1)
    clock.advance(DAY_MS)
    for _ in engine.housekeeping():
        engine.committer.flush()
    page = engine.log.read(shard, 0, 10)
    assert (page.records, page.closed, page.trimmed) == ([], True, True)


def test_what_is_lost_before_a_shard_without_records_is_told_also_when_that_has_vanished() -> None:
    engine, clock = written(1)
    (first,) = engine.shards_of(arn_of(engine))
    for _ in range(2):
        clock.advance(4 * HOUR_MS)
        keep_house(engine)
    shard = next(one for one in engine.shards_of(arn_of(engine)) if one.parents == (first.shard_id,))
    clock.advance(DAY_MS - 4 * HOUR_MS)
    keep_house(engine)
    told = engine.log.read(shard, first.first - 1, 10)
    assert (told.records, told.trimmed, told.next_after >= first.first) == ([], True, True)
    assert engine.log.read(shard, told.next_after, 10).trimmed is False
    clock.advance(4 * HOUR_MS)
    keep_house(engine)
    assert shard.shard_id not in {one.shard_id for one in engine.shards_of(arn_of(engine))}
    page = engine.log.read(shard, first.first - 1, 10)
    assert (page.records, page.closed, page.trimmed, page.next_after) == ([], True, True, told.next_after)
    again = engine.log.read(shard, told.next_after, 10)
    assert (again.closed, again.trimmed) == (True, False)


def test_only_durable_records_are_read_by_the_runtime() -> None:
    store = FailingStore()
    engine, _ = with_table(store=store)
    (shard,) = engine.shards_of(arn_of(engine))
    engine.put(Put("orders", item("a", 1)))
    assert engine.log.read(shard, 0, 10).records == []
    engine.committer.flush()
    assert numbers(list(engine.log.read(shard, 0, 10).records)) == [1]
