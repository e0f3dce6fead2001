"""The log of a handler's failures: what is told, once, and what is only counted."""

import logging

import pytest

from tailrace.app.app import App
from tailrace.app.change import Change
from tailrace.app.on_failure import Park
from tailrace.app.retry import Retry
from tailrace.clocks.manual import ManualClock
from tailrace.errors import Unavailable
from tailrace.ports import Failed, FailedFrom, Failure, FailureKind, RecordBatch
from tailrace.runtime.failures import FailureLog
from tailrace.streams.envelopes import event_id
from tailrace.testing import World
from tests.unit.sinks.batches import STREAM, record

RECORDS = (record(1, "k1"), record(2, "k2"))


def batch(attempt: int = 1) -> RecordBatch:
    return RecordBatch(RECORDS, "note", STREAM, "shardId-1", attempt)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "tailrace.handlers"]


def test_the_first_failure_of_a_change_is_told_with_its_trace(caplog: pytest.LogCaptureFixture) -> None:
    failure = Failure(error="ValueError: 17\nand more", traceback="line 1\nline 2\n")
    FailureLog("note", "orders", "shardId-1", ManualClock()).failed(batch(), Failed({1: failure}))
    (line,) = caplog.records
    assert (line.levelno, line.getMessage()) == (logging.WARNING, "note failed at k2: ValueError: 17")
    fields = {
        "handler": "note",
        "table": "orders",
        "key": "k2",
        "attempt": 1,
        "event_id": event_id(RECORDS[1]),
        "trace": "line 1\nline 2",
    }
    assert {name: getattr(line, name) for name in fields} == fields


def test_a_whole_batch_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    log = FailureLog("note", "orders", "shardId-1", ManualClock())
    log.failed(batch(), Failed(whole=Failure(error="ValueError: 17")))
    log.failed(batch(), FailedFrom(1))
    assert told(caplog) == [
        "note failed at 2 changes from k1 on: ValueError: 17",
        "note failed at k2: it was never called, or answered without a reason",
    ]


def test_what_fails_again_is_told_when_its_attempts_have_doubled(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    log = FailureLog("note", "orders", "shardId-1", clock)
    for attempt in range(1, 20):
        clock.advance(1_000)
        log.failed(batch(attempt), Failed(whole=Failure(error="no")))
    assert [vars(record)["attempt"] for record in caplog.records] == [1, 8, 16]


@pytest.mark.parametrize("kind", [FailureKind.UNAVAILABLE, FailureKind.RECORD])
def test_an_outage_is_told_once_until_the_shard_goes_on(
    kind: FailureKind, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    log = FailureLog("note", "orders", "shardId-1", ManualClock())
    away = Failed(whole=Failure(kind, "no connection"))
    for _ in range(3):
        log.failed(batch(), away)
        log.waits("the sink is failing")
    log.waits(None)
    log.waits("the sink is failing")  # nothing had moved in between
    log.waits(None)
    log.moved()
    log.moved()
    assert told(caplog) == [
        "note failed at 2 changes from k1 on: no connection",
        "note waits in shardId-1: the sink is failing",
        "note goes on in shardId-1",
    ]


def test_more_than_a_terminal_can_show_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    log = FailureLog("note", "orders", "shardId-1", clock)
    for _ in range(8):
        log.failed(batch(), Failed({0: Failure(error="no")}))
    assert len(caplog.records) == 5
    clock.advance(1_000)
    log.failed(batch(), Failed({0: Failure(error="no")}))
    assert told(caplog)[-1] == "note failed at k1: no (and 3 more before that: tailrace dlq ls)"


def test_a_newcomer_reads_that_a_change_failed_and_that_its_item_waits(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders, id="note", retry=Retry(1, backoff="1s..1s"))
    def note(change: Change) -> None:
        if change.key == "bad":
            raise ValueError("no such country: 17")

    with World(app, allow_failures=True) as world:
        world.put(orders, {"id": "good"})
        world.put(orders, {"id": "bad"})
        world.settle()
    assert told(caplog) == [
        "note failed at bad: ValueError: no such country: 17",
        "note: bad is parked after 2 attempts: ValueError: no such country: 17; its item waits, with "
        "its later changes; every other item goes on",
    ]
    assert "no such country" in vars(caplog.records[0])["trace"]
    assert vars(caplog.records[1])["hint"].startswith("tailrace dlq show ")


def test_an_outage_of_the_other_side_is_told_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    app = App("shop")
    orders = app.table("orders", pk="id")
    away = [True]

    @app.on(orders, id="note")
    def note(change: Change) -> None:
        if away[0]:
            raise Unavailable

    with World(app) as world:
        for number in range(5):
            world.put(orders, {"id": f"o{number}"})
        world.advance("1m")
        away[0] = False
        world.settle()
    lines = told(caplog)
    assert "note cannot reach its other side (Unavailable: " in lines[-2]
    assert lines[-1].startswith("note goes on in shardId-")
    assert 3 <= len(lines) <= 8  # not one a probe


def test_a_change_that_holds_its_shard_is_told_once_however_often_it_is_tried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    app = App("shop")
    orders = app.table("orders", pk="id")
    wrong = [True]

    @app.on(orders, id="note", on_failure=Park.shard, retry=Retry(1, backoff="1s..2s"))
    def note(change: Change) -> None:
        if wrong[0]:
            raise ValueError("no")

    with World(app) as world:
        world.put(orders, {"id": "bad"})
        world.advance("10s")
        world.put(orders, {"id": "behind"})
        world.advance("1m")
        wrong[0] = False
        world.settle()
    waits = [line for line in told(caplog) if " in shardId-" in line]
    assert [line.split(" in ")[0] for line in waits] == ["note waits", "note goes on"]
