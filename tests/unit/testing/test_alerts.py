"""Alerts in a world: what a handler's author can test, each canary through the whole worker."""

from typing import Any

import pytest

from tailrace import App, Change, sinks
from tailrace.errors import SettingsError, Unavailable
from tailrace.testing import World

POISON, AWAY = ValueError("no address"), Unavailable("its other side is away")
HOOK = sinks.Webhook("https://chat.example/hook", secret="whsec_c2VjcmV0")


def shop(*told: Any, raises: Exception | None = None, **bounds: str) -> tuple[App, Any, list[Exception]]:
    """An app whose handler raises what is in the list, if anything is."""
    raised = [] if raises is None else [raises]
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders, id="mail")
    def mail(change: Change) -> None:
        if raised:
            raise raised[0]

    app.alerts(*(told or (HOOK,)), **bounds)
    return app, orders, raised


def heard(world: World) -> list[tuple[str, str]]:
    return [(sent.body["alert"], sent.body["state"]) for sent in world.alerts()]


def test_a_dead_letter_is_told_and_its_end_when_no_more_come() -> None:
    app, orders, _ = shop(raises=POISON)
    with World(app, seed=1, allow_failures=True) as world:
        world.put(orders, {"id": "o1"})
        world.settle()
        world.advance("2m")
        assert heard(world) == [("dead letters", "began")]
        (sent,) = world.alerts()
        assert sent.to == "https://chat.example/hook"
        assert sent.body["text"].startswith("shop: mail has more dead letters: 1 more, 1 in all")
        assert "webhook-signature" in sent.request["headers"]
        world.advance("30m")
        assert heard(world) == [("dead letters", "began"), ("dead letters", "ended")]


def test_a_handler_that_cannot_go_on_is_late_past_its_bound_until_it_has_caught_up() -> None:
    app, orders, raised = shop(raises=AWAY, late="10m", stuck="24h")
    with World(app, seed=1) as world:
        world.put(orders, {"id": "o1"})
        world.advance("10m")
        assert heard(world) == []
        world.advance("2m")
        assert heard(world) == [("late", "began")]
        raised.clear()
        world.settle()
        world.advance("5m")
        assert heard(world) == [("late", "began"), ("late", "ended")]


def test_changes_that_wait_where_nothing_moves_are_stuck() -> None:
    app, orders, raised = shop(raises=AWAY, late="24h", stuck="10m")
    with World(app, seed=1) as world:
        world.put(orders, {"id": "o1"})
        world.advance("12m")
        assert heard(world) == [("stuck", "began")]
        raised.clear()
        world.settle()
        world.advance("5m")
        assert heard(world)[-1] == ("stuck", "ended")


def test_what_is_about_to_be_trimmed_is_late_and_saved_from_it() -> None:
    app, orders, raised = shop(raises=AWAY, late="48h", stuck="48h", again="24h")
    with World(app, seed=1) as world:
        world.put(orders, {"id": "o1"})
        world.advance("19h")
        assert heard(world) == []
        world.advance("2h")
        assert heard(world) == [("late", "began")]  # less than four hours are left
        world.advance("2h")
        assert ("evacuating", "began") in heard(world)
        raised.clear()
        world.settle()
        world.advance("40m")
        assert set(heard(world)) == {
            (alert, state) for alert in ("late", "evacuating") for state in ("began", "ended")
        }


def test_a_gap_is_told_until_it_is_acknowledged() -> None:
    app, orders, raised = shop(raises=AWAY)
    with World(app, seed=1) as world:
        world.put(orders, {"id": "o1"})
        world.advance("1h")
        world.kill()
        raised.clear()
        world.clock.advance(30 * 3_600_000)
        world.restart()
        world.put(orders, {"id": "o2"})
        world.settle()
        world.advance("5m")
        assert ("gap", "began") in heard(world)
        world._ask("gaps.acknowledge", {"handler": "mail"})
        world.advance("5m")
        assert heard(world)[-1] == ("gap", "ended")


def test_a_restart_tells_nothing_twice() -> None:
    app, orders, _ = shop(raises=POISON)
    with World(app, seed=1, allow_failures=True) as world:
        world.put(orders, {"id": "o1"})
        world.settle()
        world.advance("2m")
        world.restart()
        world.advance("2m")
        assert heard(world) == [("dead letters", "began")]


def test_a_topic_is_told_with_a_subject() -> None:
    app, orders, _ = shop(sinks.Sns("arn:aws:sns:us-east-1:000000000000:ops.fifo"), raises=POISON)
    with World(app, seed=1, allow_failures=True) as world:
        world.put(orders, {"id": "o1"})
        world.settle()
        world.advance("2m")
        (sent,) = world.alerts()
        assert sent.request["Subject"] == "shop: mail has more dead letters"
        assert sent.request["MessageGroupId"] == "tailrace"


def test_an_app_that_tells_no_one_has_nothing_to_show() -> None:
    app = App("shop")
    app.table("orders", pk="id")
    with World(app) as world:
        assert world.alerts() == []


@pytest.mark.parametrize(
    ("told", "bounds", "words"),
    [
        ((), {}, "nobody is told"),
        (("https://chat.example",), {}, "cannot be told"),
        ((sinks.Sqs("queue"),), {}, "cannot be told"),
        ((HOOK,), {"late": "soon"}, "late='soon' is no duration"),
        ((HOOK,), {"again": "0s"}, "longer than nothing"),
    ],
)
def test_what_cannot_be_meant_is_refused_where_it_is_declared(
    told: Any, bounds: dict[str, str], words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        App("shop").alerts(*told, **bounds)


def test_alerts_are_declared_once() -> None:
    app = App("shop")
    app.alerts(HOOK)
    with pytest.raises(SettingsError, match="in one call"):
        app.alerts(HOOK)
