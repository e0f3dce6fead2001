"""The story of one change."""

from typing import Any

import pytest

from tailrace.cli.why import lines
from tailrace.deadletters.core.gap import Gap
from tailrace.errors import TailraceError
from tailrace.leases.checkpoint import MAX_LEDGER_RANGES
from tailrace.ports import Failed, Failure, RecordBatch
from tailrace.rows.writes import Write
from tailrace.runtime.attempts import Attempts
from tailrace.streams.envelopes import event_id
from tests.unit.server.admin import FixedWorker, Ground, live
from tests.unit.sinks.batches import STREAM


@pytest.fixture
def ground() -> Ground:
    made = Ground()
    for number, status in enumerate(("new", "paid", "sent")):
        made.put("o1", status=status)
        made.put(f"other{number}")
        made.clock.advance(1_000)
    return made


def chapters(ground: Ground, what: str) -> dict[str, dict[str, Any]]:
    (change,) = ground.ask("why", what=what, last=1)["changes"]
    return {handler["handler"]: handler for handler in change["handlers"]}


def test_a_key_tells_its_last_changes_in_order(ground: Ground) -> None:
    story = ground.ask("why", what="shop/o1", last=2)
    assert [(change["event_name"], change["new"]["status"]["S"]) for change in story["changes"]] == [
        ("MODIFY", "paid"),
        ("MODIFY", "sent"),
    ]
    assert story["older"] == 1


def test_an_event_id_tells_the_same_change_as_its_key(ground: Ground) -> None:
    by_key = ground.ask("why", what="shop/o1", last=1)["changes"]
    assert ground.ask("why", what=by_key[0]["event_id"])["changes"] == by_key


def test_keys_are_found_in_whatever_shard_they_are() -> None:
    ground = Ground(shards=4)
    for number in range(20):
        ground.put(f"o{number}")
    for number in range(20):
        (change,) = ground.ask("why", what=f"shop/o{number}")["changes"]
        assert change["keys"] == {"pk": {"S": f"o{number}"}}


def test_a_removal_is_a_change_too(ground: Ground) -> None:
    ground.delete("o1")
    (change,) = ground.ask("why", what="shop/o1", last=1)["changes"]
    assert (change["event_name"], change["new"], change["old"]["status"]) == ("REMOVE", None, {"S": "sent"})


def test_each_handler_has_its_own_end(ground: Ground) -> None:
    sequence = ground.records()[0].sequence
    record = ground.records()[-2]
    assert record.keys == b'{"pk":{"S":"o1"}}'
    last = record.sequence
    ground.settle("handles", last, [(sequence, last, 6, "handled")])
    ground.settle("filters", last, [(sequence, last, 6, "filtered")])
    ground.settle("discards", last, [(last, last, 1, "discarded")])
    ground.give_up("discards", record)
    ground.settle("waits", sequence)
    ground.settle("waits ahead", sequence, ranges=[(last, last)])
    told = chapters(ground, "shop/o1")
    assert {name: chapter["state"] for name, chapter in told.items()} == {
        "handles": "handled",
        "filters": "filtered",
        "discards": "discarded",
        "waits": "waiting",
        "waits ahead": "handled",
    }
    assert told["discards"]["attempts"] == 6
    assert told["discards"]["error"] == "SMTPError: no"
    assert told["waits"]["before_it"] == 3


def test_what_somebody_has_put_back_or_dropped_since_is_told_so(ground: Ground) -> None:
    last = ground.records()[-1]
    ground.settle("parks", last.sequence, [(last.sequence, last.sequence, 1, "parked")])
    (change,) = ground.ask("why", what=event_id(last))["changes"]
    (told,) = [handler for handler in change["handlers"] if handler["handler"] == "parks"]
    assert (told["state"], told["is_gone"]) == ("parked", True)
    assert any("put back or dropped" in line for line in lines({"changes": [change], "older": 0}))
    ground.give_up("parks", last)
    (change,) = ground.ask("why", what=event_id(last))["changes"]
    assert not any("put back or dropped" in line for line in lines({"changes": [change], "older": 0}))


def test_a_change_that_a_handler_never_saw_is_told_so_when_its_ledger_has_no_room_for_the_gap(
    ground: Ground,
) -> None:
    lost = ground.records()[-1].sequence
    later = [(lost + number, lost + number, 1, "filtered") for number in range(1, MAX_LEDGER_RANGES + 2)]
    for handler in ("loses", "is done"):
        ground.settle(handler, later[-1][0], [(lost, lost, 0, "trimmed"), *later])
    gap = Gap(ground.shards()[0].shard_id, lost, lost)
    ground.engine.state.transact([Write(gap.key("app", "loses"), gap.fields())])
    ground.engine.committer.flush()
    (change,) = ground.ask("why", what=event_id(ground.records()[-1]))["changes"]
    told = {handler["handler"]: handler["state"] for handler in change["handlers"]}
    assert (told["loses"], told["is done"]) == ("trimmed", "settled")


def test_a_handler_that_has_not_begun_waits(ground: Ground) -> None:
    ground.subject.worker = FixedWorker(live(ground))
    assert chapters(ground, "shop/o1")["mail"]["state"] == "waiting"


def test_what_the_handler_has_now_runs_and_does_not_wait(ground: Ground) -> None:
    attempts = Attempts(ground.clock)
    attempts.begun(1, RecordBatch(ground.records()[-2:], "mail", STREAM, ground.shards()[0].shard_id))
    ground.subject.worker = FixedWorker(live(ground, attempts=attempts))
    ground.clock.advance(3_000)
    told = chapters(ground, "shop/o1")["mail"]
    assert (told["state"], told["running_ms"]) == ("running", 3_000)
    story = ground.ask("why", what="shop/o1", last=1)
    assert any("running" in line and "at its handler for 3s" in line for line in lines(story))


def test_a_change_that_is_tried_again_tells_its_last_error_with_the_trace_and_since_when(
    ground: Ground,
) -> None:
    attempts, batch = (
        Attempts(ground.clock),
        RecordBatch(ground.records()[-2:-1], "mail", STREAM, ground.shards()[0].shard_id),
    )
    attempts.came_to(batch, Failed(whole=Failure(error="OSError: away", traceback="Traceback:\n  line 17\n")))
    attempts.came_to(batch, Failed(whole=Failure(error="OSError: away", traceback="Traceback:\n  line 17\n")))
    ground.subject.worker = FixedWorker(live(ground, attempts=attempts))
    told = chapters(ground, "shop/o1")["mail"]
    assert (told["state"], told["attempts"], told["error"]) == ("retrying", 2, "OSError: away")
    text = "\n".join(lines(ground.ask("why", what="shop/o1", last=1)))
    assert "mail: after 2 attempts, fails since" in text
    assert "line 17" in text
    (status,) = ground.ask("status")["handlers"]
    assert status["failing"]["error"] == "OSError: away"
    assert (
        status["failing"]["event_id"] == ground.ask("why", what="shop/o1", last=1)["changes"][0]["event_id"]
    )


def test_a_dead_letter_outlives_its_record(ground: Ground) -> None:
    record = ground.records()[0]
    ground.give_up("mail", record)
    change = ground.ask("why", what="shop/o1", last=3)["changes"][0]
    ground.clock.advance(30 * 3_600_000)
    for _ in ground.engine.housekeeping():
        ground.engine.committer.flush()
    (kept,) = ground.ask("why", what=change["event_id"])["changes"]
    assert kept["new"] == {"pk": {"S": "o1"}, "status": {"S": "new"}}


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("shop/nobody", "there is no such item now"),
        ("0" * 32, "0" * 32),
        ("f" * 32, "f" * 32),
        ("ship/o1", "no table 'ship'"),
    ],
)
def test_what_is_not_there_is_said_with_the_next_command(ground: Ground, what: str, message: str) -> None:
    with pytest.raises(TailraceError) as raised:
        ground.ask("why", what=what)
    assert message in str(raised.value.args[0])
    assert str(raised.value.hint).startswith("tailrace ")


def test_an_item_whose_changes_are_gone_is_said_to_be_there(ground: Ground) -> None:
    ground.clock.advance(25 * 3_600_000)
    with pytest.raises(TailraceError, match="the item is there"):
        ground.ask("why", what="shop/o1")
