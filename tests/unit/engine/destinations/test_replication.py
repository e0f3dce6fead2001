"""From a table's writes into its data stream: what waits, what is tried again, what is given up and told."""

import logging

import pytest
from msgspec.structs import replace

from tailrace.clocks.manual import ManualClock
from tailrace.engine.destinations.destinations import DestinationStanding
from tailrace.engine.destinations.replication import AWAY_MS, KEPT_MS, RETRY_MS
from tailrace.engine.engine import Engine
from tailrace.errors import StoreError
from tailrace.stores.memory import MemoryStore
from tailrace.streams.kinesis.destination import partition_key
from tailrace.streams.kinesis.hash_ranges import hash_of
from tailrace.streams.kinesis.throughput import RECORDS_PER_SECOND
from tailrace.tables.mutate import Put
from tests.unit.engine.building import START_MS, FailingStore, defined, item, keep_house, put
from tests.unit.engine.destinations.replicating import (
    ARN,
    copied,
    deliver,
    drop_stream,
    make_stream,
    numbers,
    put_records,
    replicated,
    state_of,
)


def names(engine: Engine) -> list[str]:
    return [one.name for one in copied(engine)]


def waiting(engine: Engine) -> int:
    return len(engine.committer.read_durable_log(state_of(engine).document.log, 0, 100_000))


def advance_to_work(engine: Engine, clock: ManualClock) -> None:
    due_ms = engine.destinations.deliveries.next_ms
    assert due_ms is not None
    clock.advance(due_ms - clock.now().monotonic_ms)


# ---- as it is most of the time -----------------------------------------------------------------------------


def test_a_write_adds_to_the_log_of_the_destination_in_the_commit_of_its_item() -> None:
    store = FailingStore()
    engine = replicated(store)
    put(engine, "a", 1)
    commit = store.commits[-1]
    log = state_of(engine).document.log
    assert [row.shard for row in commit.log] == [log]
    assert any(row.table >= 16 and row.value is not None for row in commit.rows)


def test_a_round_puts_what_waits_and_trims_it_in_the_same_commit() -> None:
    store = FailingStore()
    engine = replicated(store)
    put(engine, "a", 1)
    put(engine, "a", 2)
    deliver(engine)
    assert numbers(engine, "a") == [1, 2]
    last = next(commit for commit in reversed(store.commits) if commit.trims)
    assert len(last.log) == 2
    assert last.trims[0].shard == state_of(engine).document.log
    assert waiting(engine) == 0


def test_nothing_is_delivered_before_it_is_durable() -> None:
    engine = replicated()
    engine.put(Put("orders", item("a")))
    for _ in engine.destinations.deliveries.slices():
        pass
    assert engine.committer.is_pending(state_of(engine).document.log)
    engine.committer.flush()
    assert copied(engine) == []
    deliver(engine)
    assert names(engine) == ["a"]


def test_a_commit_with_something_to_deliver_calls_for_work_and_others_do_not() -> None:
    engine, calls = replicated(), []
    engine.create_table(defined("others", stream="KEYS_ONLY"))
    engine.committer.flush()
    engine.destinations.deliveries.on_work = lambda: calls.append(1)
    put(engine, "a", table="others")
    assert calls == []
    put(engine, "a")
    assert calls == [1]


def test_housekeeping_delivers_too() -> None:
    engine = replicated()
    put(engine, "a")
    keep_house(engine)
    assert names(engine) == ["a"]


def test_without_work_a_round_takes_no_slice() -> None:
    engine = replicated()
    put(engine, "a")
    deliver(engine)
    assert deliver(engine) == 0
    assert engine.destinations.deliveries.next_ms is None


def test_a_round_goes_in_slices_of_the_engines_size() -> None:
    engine = replicated(slice_rows=10)
    for number in range(35):
        put(engine, f"item {number}")
    assert deliver(engine) == 4
    assert len(copied(engine)) == 35


def test_a_round_that_begins_while_another_is_under_way_takes_its_place() -> None:
    engine = replicated(slice_rows=1)
    for number in range(4):
        put(engine, "a", number)
    first = engine.destinations.deliveries.slices()
    next(first)
    second = engine.destinations.deliveries.slices()
    next(second)
    assert list(first) == []
    list(second)
    engine.committer.flush()
    assert numbers(engine, "a") == [0, 1, 2, 3]


def test_a_round_that_was_cut_off_is_gone_on_with() -> None:
    engine = replicated(slice_rows=2)
    for number in range(5):
        put(engine, "a", number)
    deliver(engine, most=1)
    deliver(engine)
    assert numbers(engine, "a") == [0, 1, 2, 3, 4]


# ---- ends --------------------------------------------------------------------------------------------------


def test_what_was_durable_is_delivered_once_after_a_restart() -> None:
    store = MemoryStore()
    engine = replicated(store, slice_rows=2)
    for number in range(5):
        put(engine, "a", number)
    deliver(engine, most=1)
    again = Engine(store, ManualClock(START_MS))
    deliver(again)
    assert numbers(again, "a") == [0, 1, 2, 3, 4]


def test_a_commit_that_fails_takes_back_the_delivery_and_its_trim() -> None:
    store = FailingStore()
    engine = replicated(store)
    put(engine, "a", 1)
    rounds = engine.destinations.deliveries.slices()
    next(rounds)
    store.is_broken = True
    with pytest.raises(StoreError):
        engine.committer.flush()
    store.is_broken = False
    list(rounds)
    assert copied(engine) == []
    deliver(engine)
    assert numbers(engine, "a") == [1]


def test_times_do_not_go_back_over_a_restart_when_only_the_log_knows_them() -> None:
    store, clock = MemoryStore(), ManualClock(START_MS)
    engine = replicated(store, clock)
    clock.advance(5_000)
    put(engine, "a", 1)
    again = Engine(store, ManualClock(START_MS))
    put(again, "a", 2)
    rows = again.committer.read_durable_log(state_of(again).document.log, 0, 10)
    assert [int.from_bytes(row.header[4:12]) for row in rows] == [START_MS + 5_000, START_MS + 5_000]


# ---- shards that are too busy ------------------------------------------------------------------------------


def test_what_a_shard_is_too_busy_for_is_tried_again_in_order_and_counted() -> None:
    clock = ManualClock(START_MS)
    engine = replicated(clock=clock, shard_limits=True)
    for number in range(RECORDS_PER_SECOND + 2):
        engine.put(Put("orders", item("a", number)))
    deliver(engine)
    assert len(copied(engine)) == RECORDS_PER_SECOND
    assert state_of(engine).throttled == 1, "the second one follows the first of its item"
    assert engine.destinations.deliveries.next_ms == clock.now().monotonic_ms + RETRY_MS
    advance_to_work(engine, clock)
    deliver(engine)
    assert numbers(engine, "a") == list(range(RECORDS_PER_SECOND + 2))
    assert waiting(engine) == 0


def far_from(engine: Engine, name: str) -> str:
    """The name of an item whose records go into another shard."""
    stream, schema = engine.kinesis.streams.named("orders"), engine.schema("orders")

    def index(of: str) -> int:
        key = schema.locate_key({"pk": {"S": of}}).key_bytes
        return stream.shard_for(hash_of(partition_key(key))).index

    return next(other for other in "bcdefghijk" if index(other) != index(name))


def test_a_busy_shard_holds_up_no_other() -> None:
    clock = ManualClock(START_MS)
    engine = replicated(clock=clock, shards=2, shard_limits=True)
    far = far_from(engine, "a")
    for number in range(RECORDS_PER_SECOND + 1):
        engine.put(Put("orders", item("a", number)))
    engine.put(Put("orders", item(far, 7)))
    deliver(engine)
    assert len(numbers(engine, "a")) == RECORDS_PER_SECOND
    assert numbers(engine, far) == [7]
    assert waiting(engine) == 2, "what went ahead of what waits is kept until that is done"
    advance_to_work(engine, clock)
    deliver(engine)
    assert numbers(engine, "a") == list(range(RECORDS_PER_SECOND + 1))
    assert numbers(engine, far) == [7], "it is not put twice"
    assert waiting(engine) == 0


def test_a_small_change_does_not_overtake_a_large_one_of_its_item_that_its_shard_has_no_room_for() -> None:
    clock = ManualClock(START_MS)
    engine = replicated(clock=clock, shard_limits=True)
    engine.put(Put("orders", item("a", 1, x="x" * 300_000)))
    engine.put(Put("orders", item("a", 2, x="x" * 300_000)))
    engine.put(Put("orders", item("b", 3)))
    engine.put(Put("orders", item("a", 4)))
    deliver(engine)
    clock.advance(1_000)
    engine.put(Put("orders", item("a", 5, x="x" * 300_000)))
    engine.put(Put("orders", item("a", 6, x="x" * 300_000)))
    engine.put(Put("orders", item("a", 7, x="x" * 300_000)))
    engine.put(Put("orders", item("a", 8)))
    engine.put(Put("orders", item("b", 9)))
    deliver(engine)
    assert numbers(engine, "b") == [3, 9], "there is room for small ones"
    assert numbers(engine, "a") == [1, 2, 4, 5]
    for _ in range(3):
        clock.advance(1_000)
        deliver(engine)
    assert numbers(engine, "a") == [1, 2, 4, 5, 6, 7, 8]


def test_what_went_ahead_may_come_twice_after_a_restart_and_nothing_is_lost() -> None:
    store, clock = MemoryStore(), ManualClock(START_MS)
    engine = replicated(store, clock, shards=2, shard_limits=True)
    far = far_from(engine, "a")
    for number in range(RECORDS_PER_SECOND + 1):
        engine.put(Put("orders", item("a", number)))
    engine.put(Put("orders", item(far, 7)))
    deliver(engine)
    again = Engine(store, clock, engine.settings)
    deliver(again)
    assert numbers(again, "a") == list(range(RECORDS_PER_SECOND + 1))
    assert numbers(again, far) == [7, 7]


# ---- what no stream takes ----------------------------------------------------------------------------------


def test_a_record_of_the_streams_size_goes_and_one_byte_more_fails_and_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = replicated()
    stream = engine.kinesis.streams.named("orders")
    text = "x" * 300_000
    for name in ("a1", "a2"):
        engine.put(Put("orders", item(name, x=text)))
    deliver(engine)
    weight = len(put_records(engine)[0].data) + 32  # as the partition key has
    engine.kinesis.streams.save(stream, max_record_kib=weight // 1_024)
    room = weight // 1_024 * 1_024 - weight
    engine.put(Put("orders", item("b1", x="x" * (300_000 + room))))
    engine.put(Put("orders", item("b2", x="x" * (300_001 + room))))
    engine.put(Put("orders", item("b3")))
    with caplog.at_level(logging.ERROR, "tailrace.destinations"):
        deliver(engine)
    assert names(engine) == ["a1", "a2", "b1", "b3"]
    document = state_of(engine).document
    assert document.failed == 1
    assert "is larger than a record of the stream" in document.last_failure
    assert f"table orders: changes not copied to {ARN}: 1, the last one because change" in caplog.text
    again = Engine(engine.committer.store, ManualClock(START_MS))
    assert state_of(again).document.failed == 1, "the count is kept"


# ---- streams that are away ---------------------------------------------------------------------------------


def test_changes_wait_while_the_stream_is_away_and_are_delivered_when_it_is_back() -> None:
    clock = ManualClock(START_MS)
    engine = replicated(clock=clock)
    drop_stream(engine)
    put(engine, "a", 1)
    deliver(engine)
    assert waiting(engine) == 1
    assert engine.destinations.deliveries.next_ms == clock.now().monotonic_ms + AWAY_MS
    assert engine.destinations.describe("orders")["KinesisDataStreamDestinations"][0][
        "DestinationStatus"
    ] == ("ACTIVE")
    make_stream(engine)
    advance_to_work(engine, clock)
    deliver(engine)
    assert numbers(engine, "a") == [1]


def test_they_wait_for_a_day_and_one_millisecond_more_is_a_loss_that_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = ManualClock(START_MS)
    engine = replicated(clock=clock, slice_rows=2)
    drop_stream(engine)
    for number in range(3):
        put(engine, "a", number)
    clock.advance(1)
    put(engine, "a", 3)
    clock.advance(KEPT_MS - 1)
    deliver(engine)
    assert (waiting(engine), state_of(engine).document.lost) == (4, 0)
    clock.advance(1)
    with caplog.at_level(logging.ERROR, "tailrace.destinations"):
        deliver(engine)
    assert (waiting(engine), state_of(engine).document.lost) == (1, 3)
    for count in (2, 1):  # slice by slice
        assert f"table orders: changes not copied to {ARN}: {count}, the last one because" in caplog.text
    assert "waited for more than 24 h" in state_of(engine).document.last_loss
    make_stream(engine)
    deliver(engine)
    assert numbers(engine, "a") == [3]


def test_what_has_waited_longer_because_nobody_ran_is_delivered_all_the_same() -> None:
    store = MemoryStore()
    engine = replicated(store)
    put(engine, "a", 1)
    again = Engine(store, ManualClock(START_MS + 3 * KEPT_MS))
    deliver(again)
    rows = again.kinesis.reader.page(
        again.kinesis.reader.place(again.kinesis.streams.named("orders"), "shardId-000000000000"), 0, 9, 1_024
    ).records
    assert len(rows) == 1
    assert state_of(again).document.lost == 0


def test_a_stream_that_goes_in_the_middle_of_a_round_takes_nothing_with_it() -> None:
    clock = ManualClock(START_MS)
    engine = replicated(clock=clock, slice_rows=1)
    for number in range(3):
        put(engine, "a", number)
    rounds = engine.destinations.deliveries.slices()
    next(rounds)
    engine.committer.flush()
    drop_stream(engine)
    list(rounds)
    engine.committer.flush()
    make_stream(engine)
    advance_to_work(engine, clock)
    deliver(engine)
    assert numbers(engine, "a") == [1, 2], "the first one went with the stream that it was put into"


# ---- tables that go ----------------------------------------------------------------------------------------


def test_a_table_that_goes_takes_its_destination_along_once_its_log_is_empty() -> None:
    clock = ManualClock(START_MS)
    engine = replicated(clock=clock)
    drop_stream(engine)
    put(engine, "a", 1)
    engine.delete_table("orders")
    deliver(engine)
    assert len(engine.destinations.deliveries.catalog.by_log) == 1
    make_stream(engine)
    advance_to_work(engine, clock)
    deliver(engine)
    assert numbers(engine, "a") == [1]
    assert engine.destinations.deliveries.catalog.by_log == {}
    assert engine.committer.query(0, b"destination/", b"destination0", 10) == []


def test_changes_of_the_next_table_of_the_name_wait_for_those_of_the_first() -> None:
    clock = ManualClock(START_MS)
    engine = replicated(clock=clock, shards=2, shard_limits=True)
    for number in range(RECORDS_PER_SECOND + 1):
        engine.put(Put("orders", item("a", number)))
    far = far_from(engine, "a")
    engine.delete_table("orders")
    engine.create_table(defined(stream=None))
    engine.destinations.enable("orders", ARN, None)
    put(engine, far, 7)
    deliver(engine)
    assert numbers(engine, far) == [], "its shard has room, and an earlier change waits"
    advance_to_work(engine, clock)
    deliver(engine)
    assert numbers(engine, "a") == list(range(RECORDS_PER_SECOND + 1))
    assert numbers(engine, far) == [7]


def test_enabled_again_it_goes_on_behind_what_waits() -> None:
    engine = replicated()
    put(engine, "a", 1)
    engine.destinations.disable("orders", ARN, None)
    put(engine, "a", 2)
    log = state_of(engine).document.log
    engine.destinations.enable("orders", ARN, None)
    put(engine, "a", 3)
    assert state_of(engine).document.log == log
    deliver(engine)
    assert numbers(engine, "a") == [1, 3]


def test_counts_stay_when_it_is_enabled_again() -> None:
    engine = replicated()
    catalog = engine.destinations.deliveries.catalog
    catalog.save(replace(state_of(engine).document, failed=3, lost=2))
    engine.destinations.disable("orders", ARN, None)
    engine.destinations.enable("orders", ARN, None)
    assert (state_of(engine).document.failed, state_of(engine).document.lost) == (3, 2)


def test_it_is_told_how_a_destination_is_getting_on() -> None:
    clock = ManualClock(START_MS)
    engine = replicated(clock=clock)
    catalog = engine.destinations.deliveries.catalog
    catalog.save(replace(state_of(engine).document, failed=3, lost=2))
    state_of(engine).throttled = 4
    drop_stream(engine)
    put(engine, "a")
    clock.advance(2_500)
    (standing,) = engine.destinations.deliveries.standing()
    assert standing == DestinationStanding("orders", ARN, "ACTIVE", 2_500, 4, 3, 2)
    make_stream(engine)
    deliver(engine)
    (standing,) = engine.destinations.deliveries.standing()
    assert standing.oldest_ms == 0
