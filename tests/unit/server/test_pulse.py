"""The dead-man's signal: what makes a round whole, each bound and one past it."""

import asyncio
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from tailrace.app.app import App
from tailrace.clocks.manual import ManualClock
from tailrace.errors import StoreError
from tailrace.runtime.driver import ReadSoFar, Status
from tailrace.runtime.pacing import Pacer
from tailrace.runtime.sight import Sight
from tailrace.server.pulse import ALIVE_MS, Pulse
from tailrace.stores.dynamodb_layout import place_of
from tailrace.stores.memory import MemoryStateStore


class Kept(MemoryStateStore):
    """A state that fails, or forgets, when told."""

    is_away = forgets = False

    async def transact(self, writes: Any) -> None:
        if self.is_away:
            raise StoreError("the state is away")
        if not self.forgets:
            await super().transact(writes)


class Stage:
    """A worker with a table and one reader, and its pulse."""

    def __init__(self) -> None:
        self.clock, self.pacer, self.state = ManualClock(), Pacer(), Kept()
        self.sight = Sight(self.clock, self.pacer)
        app = App("shop")
        app.on(app.table("orders", pk="id"), id="mail")(print)
        self.read = ReadSoFar(is_reading=True)
        self.paused = False
        worker = SimpleNamespace(app=app, owner="w1", status=self.status)
        self.pulse = Pulse(worker, self.state, self.clock, self.sight)  # type: ignore[arg-type]
        self.listed()
        self.page()

    def status(self) -> list[Status]:
        return [
            Status(
                "shop", "mail", "orders", "shard-1", 0, 0, 0, 0, {}, 0, None, paused=self.paused, label="l",
                read=self.read,
            )
        ]  # fmt: skip

    def listed(self) -> None:
        self.sight.listed("orders", "l")

    def page(self) -> None:
        self.pacer.page(("l", "shard-1"), 0, has_records=False, now_ms=self.clock.now().monotonic_ms)

    def go_round(self) -> tuple[int, dict[str, Any]]:
        asyncio.run(self.pulse.go_round())
        return self.answer()

    def answer(self) -> tuple[int, dict[str, Any]]:
        status, _, body = self.pulse.answer()
        return status, orjson.loads(body)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_before_the_first_whole_round_it_is_not_alive(stage: Stage) -> None:
    status, body = stage.answer()
    assert (status, body["as_of"], body["lacks"]) == (503, None, "no round was whole yet")


def test_after_one_it_is_and_says_as_of_when(stage: Stage) -> None:
    status, body = stage.go_round()
    assert (status, body["alive"], body["round"], body["lacks"]) == (200, True, 1, "")
    assert body["as_of"].startswith("20")
    assert body["as_of"].endswith("Z")


@pytest.mark.parametrize(("after_ms", "status"), [(ALIVE_MS, 200), (ALIVE_MS + 1, 503)])
def test_a_round_that_is_old_is_no_life(stage: Stage, after_ms: int, status: int) -> None:
    stage.go_round()
    stage.clock.advance(after_ms)
    answered, body = stage.answer()
    assert (answered, body["age_seconds"]) == (status, after_ms / 1_000)


@pytest.mark.parametrize(("after_ms", "rounds"), [(ALIVE_MS, 1), (ALIVE_MS + 1, 0)])
def test_a_stream_that_was_not_listed_makes_no_round(stage: Stage, after_ms: int, rounds: int) -> None:
    stage.clock.advance(after_ms)
    stage.page()
    _, body = stage.go_round()
    assert body["round"] == rounds
    assert ("orders was not listed" in body["lacks"]) == (not rounds)


@pytest.mark.parametrize(("after_ms", "rounds"), [(ALIVE_MS, 1), (ALIVE_MS + 1, 0)])
def test_readers_that_wait_and_are_not_answered_make_no_round(
    stage: Stage, after_ms: int, rounds: int
) -> None:
    stage.clock.advance(after_ms)
    stage.listed()
    _, body = stage.go_round()
    assert body["round"] == rounds
    assert ("no shard was read" in body["lacks"]) == (not rounds)


@pytest.mark.parametrize(("is_reading", "is_paused"), [(False, False), (True, True)])
def test_a_reader_that_does_not_ask_is_no_matter_of_life(
    stage: Stage, is_reading: bool, is_paused: bool
) -> None:
    """A handler that fails, a sink that is away or a pause would restart the worker again and again."""
    stage.read, stage.paused = ReadSoFar(is_reading=is_reading), is_paused
    stage.clock.advance(3_600_000)
    stage.listed()
    assert stage.go_round()[0] == 200


def test_a_state_that_is_away_or_forgets_makes_no_round(stage: Stage) -> None:
    stage.state.is_away = True
    assert stage.go_round()[1]["lacks"] == "the state is away"
    stage.state.is_away, stage.state.forgets = False, True
    assert "does not keep" in stage.go_round()[1]["lacks"]
    stage.state.forgets = False
    assert stage.go_round()[0] == 200


def test_the_item_is_as_old_as_the_last_whole_round_and_where_the_docs_say(stage: Stage) -> None:
    stage.go_round()
    whole_ms = stage.clock.now().wall_ms
    stage.clock.advance(2 * ALIVE_MS)
    stage.go_round()
    row = asyncio.run(stage.state.get("alive/shop"))
    assert row is not None
    assert (row.fields["at_ms"], row.fields["worker"], row.fields["round"]) == (whole_ms, "w1", 1)
    assert place_of("alive/shop") == ("alive/shop", "-")
