"""Outages of streams and state are told once, again each minute, and when they are over."""

import asyncio
import contextlib
import logging
from typing import Any

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.errors import LeaseLost, SourceError, StateConflict, StoreError
from tailrace.runtime.outages import AGAIN_MS, REACHED, Outages, WatchedSource, WatchedState
from tailrace.stores.memory import MemoryStateStore


class Failing:
    """A source and a state that raise what they are told; None: they answer."""

    error: Exception | None = None

    async def stream(self) -> Any:
        return self._answer()

    async def transact(self, writes: Any) -> None:
        self._answer()

    def _answer(self) -> Any:
        if self.error is not None:
            raise self.error


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def asked(source: WatchedSource) -> None:
    with contextlib.suppress(SourceError):
        asyncio.run(source.stream())


def test_an_outage_is_told_once_a_minute_with_its_hint(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    far, outages = Failing(), Outages(clock)
    source = WatchedSource(far, outages, "orders")  # type: ignore[arg-type]
    far.error = SourceError("expired", hint="aws sso login")
    for _ in range(3):
        asked(source)
    (record,) = caplog.records
    assert record.getMessage() == "the stream of table orders: expired; it is tried again"
    assert vars(record)["hint"] == "aws sso login"
    clock.advance(AGAIN_MS - 1)
    asked(source)
    assert len(caplog.records) == 1
    clock.advance(1)
    asked(source)
    assert len(caplog.records) == 2
    assert outages.failing == {"the stream of table orders": "expired"}


def test_the_end_of_an_outage_is_told_and_the_next_one_at_once(
    clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    far, outages = Failing(), Outages(clock)
    source = WatchedSource(far, outages, "orders")  # type: ignore[arg-type]
    asked(source)
    assert caplog.records == []  # what is well is not told
    far.error = SourceError("away")
    asked(source)
    far.error = None
    asked(source)
    asked(source)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert outages.failing == {}
    far.error = SourceError("away")
    asked(source)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]


@pytest.mark.parametrize("error", [StateConflict("other"), LeaseLost("another worker")])
def test_an_answer_that_is_raised_is_no_outage(
    clock: ManualClock, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    far, outages = Failing(), Outages(clock)
    far.error = error
    with pytest.raises(type(error)):
        asyncio.run(WatchedState(far, outages, "sqlite:s").transact([]))  # type: ignore[arg-type]
    assert caplog.records == []
    far.error = StoreError("locked")
    with pytest.raises(StoreError):
        asyncio.run(WatchedState(far, outages, "sqlite:s").transact([]))  # type: ignore[arg-type]
    assert outages.failing == {"the state in sqlite:s": "locked"}


def test_what_is_watched_answers_as_before(clock: ManualClock) -> None:
    from tailrace.rows.writes import Write

    async def using() -> None:
        state = WatchedState(MemoryStateStore(), Outages(clock), "memory")
        await state.transact([Write("a/b", {"v": 1})])
        row = await state.get("a/b")
        assert row is not None
        assert row.fields == {"v": 1}
        assert await state.query("a/") == [row]
        assert await state.count("a/") == 1

    asyncio.run(using())


def test_for_how_long_each_kind_could_not_be_reached_is_told_until_it_can_be(clock: ManualClock) -> None:
    far, outages = Failing(), Outages(clock)
    source = WatchedSource(far, outages, "orders")  # type: ignore[arg-type]
    asked(source)
    assert [outages.away_ms(kind) for kind in REACHED] == [0, 0, 0]
    far.error = SourceError("away")
    asked(source)
    clock.advance(1_000)
    asked(source)
    clock.advance(1)
    assert [outages.away_ms(kind) for kind in REACHED] == [0, 1_001, 0]
    far.error = None
    asked(source)
    assert outages.away_ms("stream") == 0
    far.error = StateConflict("other")
    with pytest.raises(StateConflict):
        asyncio.run(WatchedState(far, outages, "sqlite:s").transact([]))  # type: ignore[arg-type]
    clock.advance(1)
    assert outages.away_ms("state") == 0
