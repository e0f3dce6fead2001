"""What `status` and `why` say while a handler or its windows fail, and of changes that
the stream has forgotten.
"""

from typing import Any

from tailrace import Unavailable
from tailrace.app.app import App
from tailrace.app.change import Change
from tailrace.app.retry import Retry
from tailrace.cli import status, why
from tailrace.testing.world import World


def ask(world: World, verb: str, **arguments: Any) -> Any:
    (value,) = world._ask(verb, arguments)
    return value


def made(*, fails: list[bool]) -> App:
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders, id="note", retry=Retry(100, backoff="10m..10m"))
    def note(change: Change) -> None:
        if fails[0]:
            raise Unavailable("the mail server is away")

    @app.on(orders, id="other")
    def other(change: Change) -> None:
        pass

    return app


def test_a_change_that_is_saved_from_the_trim_is_told_to_wait() -> None:
    fails = [True]
    with World(made(fails=fails)) as world:
        world.put("orders", {"id": "o1", "n": 1})
        world.put("orders", {"id": "o1", "n": 2})
        event_id = ask(world, "why", what="orders/o1", last=2)["changes"][1]["event_id"]
        world.advance("30h")
        by_event, by_key = ask(world, "why", what=event_id), ask(world, "why", what="orders/o1", last=1)
        assert by_event["changes"] == by_key["changes"]
        assert by_key["older"] == 1
        (change,) = by_event["changes"]
        told = {handler["handler"]: handler for handler in change["handlers"]}
        assert told["other"]["state"] == "handled"
        assert told["note"]["state"] in ("waiting", "retrying", "running")
        assert (told["note"]["saved_from_trim"], told["note"]["before_it"]) == (True, 1)
        assert any("saved before the stream forgot it" in text for text in why.lines(by_event))
        fails[0] = False
        world.settle()
        (again,) = ask(world, "status")["handlers"][:1]
        assert again["failing"] is None


def test_what_fails_is_in_the_status_with_its_last_error_and_since_when() -> None:
    fails = [True]
    with World(made(fails=fails)) as world:
        world.put("orders", {"id": "o1", "n": 1})
        world.advance("1h")
        answer = ask(world, "status")
        (note,) = [handler for handler in answer["handlers"] if handler["handler"] == "note"]
        assert "the mail server is away" in note["failing"]["error"]
        assert note["failing"]["last_ms"] - note["failing"]["since_ms"] > 1_800_000
        text = "\n".join(status.lines(answer))
        assert "note fails since" in text
        assert f"tailrace why {note['failing']['event_id']}" in text
        fails[0] = False
        world.settle()
        assert "fails since" not in "\n".join(status.lines(ask(world, "status")))


def test_windows_that_fail_are_in_the_status_too() -> None:
    fails = [True]
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.window(orders, every="1m", keep="1h", retry=Retry(100, backoff="1m..1m"))
    def minute(items: object) -> None:
        if fails[0]:
            raise Unavailable("the ledger is away")

    with World(app) as world:
        world.put("orders", {"id": "o1", "n": 1})
        world.advance("10m")
        text = "\n".join(status.lines(ask(world, "status")))
        assert "1 window is tried again" in text
        assert "the ledger is away" in text
        fails[0] = False
        world.advance("10m")
        assert "fails since" not in "\n".join(status.lines(ask(world, "status")))
