"""What a handler or a sink says by the class of what it raises, through the whole machine."""

from collections.abc import Iterator

import pytest

from tailrace import App, Change, Discard, Refused, Retry, Throttled, Unavailable
from tailrace.ports import Outcome, RecordBatch, Written
from tailrace.testing import World


def test_a_handler_that_refuses_a_change_for_good_is_called_once() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    calls: list[str] = []

    @app.on(orders, retry=Retry(5), on_failure=Discard(), id="note")
    def note(change: Change) -> None:
        calls.append(str(change.key))
        if change.key == "bad":
            raise Refused("no such country")

    with World(app) as world:
        for key in ("bad", "good"):
            world.put(orders, {"id": key})
        world.settle()
        (letter,) = world.dead_letters("note")
        assert letter.attempts == 1
        assert "no such country" in letter.error
    assert sorted(calls) == ["bad", "good"]


class Raising:
    """A sink that answers by raising, once each."""

    def __init__(self, *errors: Exception) -> None:
        self.errors: Iterator[Exception] = iter(errors)
        self.batches: list[int] = []

    async def write(self, batch: RecordBatch) -> Outcome:
        """Raise the next one."""
        self.batches.append(len(batch.records))
        for error in self.errors:
            raise error
        return Written()


@pytest.mark.parametrize("error", [Throttled("slower", retry_after=30), Unavailable("away", retry_after=30)])
def test_a_sink_that_raises_an_outage_is_left_alone_as_long_as_it_asks(error: Exception) -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    sink = Raising(error)
    app.sink(orders, sink, retry=Retry(0), id="out")
    with World(app) as world:
        world.put(orders, {"id": "a"})
        world.advance("20s")
        assert sink.batches == [1]
        world.advance("20s")
        assert sink.batches == [1, 1]
        assert world.dead_letters("out") == []


def test_a_sink_that_raises_a_refusal_gives_up_the_record_that_it_is_about() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    sink = Raising(Refused("which one?"), Refused("this one"))
    app.sink(orders, sink, retry=Retry(5), on_failure=Discard(), id="out")
    with World(app) as world:
        for key in "ab":
            world.put(orders, {"id": key})
        world.settle()
        (letter,) = world.dead_letters("out")
        assert "this one" in letter.error
    assert sink.batches == [2, 1, 1]
