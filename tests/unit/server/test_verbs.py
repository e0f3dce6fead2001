"""Status, the clock and stop."""

from typing import Any

import pytest

from tailrace import App, Change, Item, new, old
from tailrace.errors import TailraceError
from tests.unit.server.admin import START_MS, FixedWorker, Ground, live


def test_status_lists_tables_with_their_streams() -> None:
    ground = Ground(shards=2)
    ground.put("o1")
    (table,) = ground.ask("status")["tables"]
    assert (table["table"], table["view_type"]) == ("shop", "NEW_AND_OLD_IMAGES")
    assert table["shards"] == {"open": 2, "closed": 0}


def test_status_without_handlers_says_so() -> None:
    assert Ground().ask("status")["handlers"] == []


def test_lag_is_the_age_of_the_oldest_change_that_is_not_settled() -> None:
    ground = Ground()
    for number in range(3):
        ground.put(f"o{number}")
        ground.clock.advance(10_000)
    first, second, _ = ground.records()
    ground.settle("mail", first.sequence, [(first.sequence, first.sequence, 1, "handled")])
    (handler,) = ground.ask("status")["handlers"]
    assert (handler["handler"], handler["app"], handler["table"]) == ("mail", "app", "shop")
    assert handler["lag_ms"] == ground.clock.now().wall_ms - second.created_ms == 20_000
    assert (handler["waiting"], handler["settled"]["handled"], handler["dead_letters"]) == (True, 1, 0)


def test_settled_ranges_above_the_watermark_do_not_wait() -> None:
    ground = Ground()
    for number in range(4):
        ground.put(f"o{number}")
        ground.clock.advance(1_000)
    a, b, c, d = (record.sequence for record in ground.records())
    ground.settle("mail", a, ranges=[(b, c)])
    assert ground.ask("status")["handlers"][0]["lag_ms"] == 1_000
    ground.settle("mail", a, ranges=[(b, c), (d, d)])
    (handler,) = ground.ask("status")["handlers"]
    assert (handler["lag_ms"], handler["waiting"]) == (0, False)


def test_totals_add_up_over_checkpoints() -> None:
    ground = Ground()
    ground.put("o1")
    sequence = ground.records()[0].sequence
    ground.settle(
        "mail", sequence, [(sequence, sequence, 3, "handled"), (sequence, sequence, 1, "discarded")]
    )
    ground.settle("mail", sequence, [(sequence, sequence, 2, "handled"), (sequence, sequence, 5, "filtered")])
    (handler,) = ground.ask("status")["handlers"]
    assert handler["settled"] == {
        "handled": 5,
        "filtered": 5,
        "parked": 0,
        "discarded": 1,
        "dropped": 0,
        "trimmed": 0,
        "carried": 0,
        "duplicate": 0,
    }
    assert handler["dead_letters"] == 0  # counted by what is kept, and nothing is


def test_a_running_handler_that_has_not_begun_lags_from_the_start() -> None:
    ground = Ground()
    ground.put("o1")
    ground.clock.advance(7_000)
    ground.subject.worker = FixedWorker(live(ground, in_flight=1))
    ground.clock.advance(500)
    (handler,) = ground.ask("status")["handlers"]
    assert (handler["lag_ms"], handler["last_progress_ms"], handler["running"]) == (7_500, 500, True)
    assert handler["shards"][0]["in_flight"] == 1


def test_names_with_slashes_are_told_whole() -> None:
    ground = Ground()
    ground.put("o1")
    ground.settle("mail/receipt%", 1)
    assert ground.ask("status")["handlers"][0]["handler"] == "mail/receipt%"


def test_a_manual_clock_moves_forward_only() -> None:
    ground = Ground()
    before = ground.ask("clock.show")
    assert before == {"wall_ms": START_MS + 1_000, "clock": "manual", "moved_ms": 0}
    assert ground.ask("clock.advance", ms=90_000_000)["wall_ms"] == before["wall_ms"] + 90_000_000
    now = ground.clock.now().wall_ms
    assert ground.ask("clock.set", wall_ms=now)["moved_ms"] == 0
    assert ground.ask("clock.set", wall_ms=now + 5)["wall_ms"] == now + 5
    with pytest.raises(TailraceError, match="does not go back"):
        ground.ask("clock.set", wall_ms=now)


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("clock.advance", {}), ("clock.advance", {"ms": 0}), ("clock.advance", {"ms": -1}),
        ("clock.advance", {"ms": "25h"}), ("clock.set", {}), ("clock.set", {"wall_ms": "now"}),
        ("why", {}), ("why", {"what": 7}), ("why", {"what": "shop/o1", "last": 0}),
        ("why", {"what": "shop/o1", "last": "x"}), ("tail", {}), ("tail", {"table": "nothing"}),
        ("tail", {"table": 7}), ("stop", {}),
    ],
)  # fmt: skip
def test_wrong_arguments_get_a_message_with_the_next_command(verb: str, arguments: dict[str, object]) -> None:
    with pytest.raises(TailraceError) as raised:
        Ground().all(verb, **arguments)
    assert str(raised.value.hint).startswith("tailrace ")


def test_stop_asks_for_the_drain_and_answers() -> None:
    ground, asked = Ground(), []
    ground.subject.stop = lambda: asked.append(1)
    assert ground.ask("stop") == {"stopping": True}
    assert asked == [1]


def test_coverage_lists_operations() -> None:
    assert "PutItem" in str(Ground().ask("coverage"))


def test_explain_counts_what_pattern_and_residual_save() -> None:
    app = App("shop")
    table = app.table("shop", pk="pk")
    entity = type(Item)(
        "Order", (Item,), {"__annotations__": {"pk": str, "status": str}, "__module__": __name__}, table=table
    )  # type: ignore[misc]

    @app.on(
        entity, where=(new(entity.status) == "paid") & (new(entity.status) > old(entity.status)), id="receipt"
    )
    def receipt(change: Change[Any]) -> None: ...

    ground = Ground()
    for status in ("new", "paid", "zoo", "paid"):
        ground.put("o1", status=status)
    worker = FixedWorker()
    worker.app = app
    ground.subject.worker = worker
    value = ground.ask("explain", handler="receipt")
    assert value["traffic"] == {"records": 4, "matched": 2, "wanted": 1}
    assert value["patterns"][0]["dynamodb"]["NewImage"] == {"status": {"S": ["paid"]}}
    assert value["residual"] == "new(Order.status) > old(Order.status)"
    with pytest.raises(TailraceError, match="'nobody' is no handler of app 'shop'; declared so far: receipt"):
        ground.ask("explain", handler="nobody")
    ground.subject.worker = None
    with pytest.raises(TailraceError, match="No app runs here"):
        ground.ask("explain", handler="receipt")
