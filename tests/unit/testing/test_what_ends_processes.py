"""What the user's code raises to end a process, a task or a loop is the failure of what it was called for,
wherever it is called.

Rules of this file: each place in a world of its own; one bad item among good ones, and the good ones are
handled. A real interrupt goes through.
"""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Annotated, Any, Final

import pytest

from tailrace import App, Batch, Change, Depends, Discard, Retry, Window, sinks
from tailrace.app.fence import Escaped
from tailrace.ports import Outcome, Written
from tailrace.ports import RecordBatch as SinkBatch
from tailrace.sinks.calling import call, failure_of
from tailrace.testing import World
from tests.patience import PATIENCE_S


class Odd(BaseException):
    """Of the user's own making."""


ERRORS: Final = (
    KeyboardInterrupt, GeneratorExit, SystemExit, asyncio.CancelledError, StopIteration, StopAsyncIteration,
    Odd,
)  # fmt: skip
Raises = Callable[[bool], None]
Place = Callable[[App, Any, Raises, list[str]], str]
ONCE: Final[dict[str, Any]] = {"retry": Retry(0), "on_failure": Discard(), "id": "note"}


def on(app: App, orders: Any, raises: Raises, seen: list[str]) -> str:
    @app.on(orders, **ONCE)
    def note(change: Change) -> None:
        raises(change.new["id"] == "bad")
        seen.append(change.new["id"])

    return "note"


def on_async(app: App, orders: Any, raises: Raises, seen: list[str]) -> str:
    @app.on(orders, **ONCE)
    async def note(change: Change) -> None:
        await asyncio.sleep(0)
        raises(change.new["id"] == "bad")
        seen.append(change.new["id"])

    return "note"


def in_a_task(app: App, orders: Any, raises: Raises, seen: list[str]) -> str:
    async def inside(is_bad: bool) -> None:
        await asyncio.sleep(0)
        raises(is_bad)

    @app.on(orders, **ONCE)
    async def note(change: Change) -> None:
        await asyncio.gather(asyncio.wait_for(inside(change.new["id"] == "bad"), PATIENCE_S))
        seen.append(change.new["id"])

    return "note"


def batch(app: App, orders: Any, raises: Raises, seen: list[str]) -> str:
    @app.batch(orders, batch_size=1, **ONCE)
    def note(batch: Batch) -> None:
        raises(batch[0].new["id"] == "bad")
        seen.append(batch[0].new["id"])

    return "note"


def batch_async(app: App, orders: Any, raises: Raises, seen: list[str]) -> str:
    @app.batch(orders, batch_size=1, **ONCE)
    async def note(batch: Batch) -> None:
        raises(batch[0].new["id"] == "bad")
        seen.append(batch[0].new["id"])

    return "note"


def function(app: App, orders: Any, raises: Raises, seen: list[str]) -> str:
    def lambda_handler(event: Any, context: Any) -> None:
        (record,) = event["Records"]
        name = record["dynamodb"]["Keys"]["id"]["S"]
        raises(name == "bad")
        seen.append(name)

    app.function(lambda_handler, orders, id="note", BatchSize=1, MaximumRetryAttempts=0)
    return "note"


def where(app: App, orders: Any, raises: Raises, seen: list[str]) -> str:
    def wanted(change: Change) -> bool:
        raises(change.new["id"] == "bad")
        return True

    @app.on(orders, where=wanted, **ONCE)
    def note(change: Change) -> None:
        seen.append(change.new["id"])

    return "note"


def function_sink(app: App, orders: Any, raises: Raises, seen: list[str]) -> str:
    def take(document: dict[str, Any]) -> None:
        raises(document["keys"]["id"] == "bad")
        seen.append(document["keys"]["id"])

    app.sink(orders, sinks.Function(take), **ONCE)
    return "note"


class Mine:
    """A sink of the user's own."""

    def __init__(self, raises: Raises, seen: list[str]) -> None:
        self._raises = raises
        self._seen = seen

    async def write(self, batch: SinkBatch) -> Outcome:
        for record in batch.records:
            self._raises(b'"bad"' in record.keys)
            self._seen.append(record.keys.decode())
        return Written()


def sink(app: App, orders: Any, raises: Raises, seen: list[str]) -> str:
    app.sink(orders, Mine(raises, seen), batch_size=1, **ONCE)
    return "note"


def transform(app: App, orders: Any, raises: Raises, seen: list[str]) -> str:
    def changed(change: Change) -> dict[str, Any]:
        raises(change.new["id"] == "bad")
        return {"id": change.new["id"]}

    app.sink(orders, sinks.Function(lambda value: seen.append(value["id"])), transform=changed, **ONCE)
    return "note"


def enrich(app: App, orders: Any, raises: Raises, seen: list[str]) -> str:
    def enriched(values: list[Any]) -> list[Any]:
        raises(values[0].new["id"] == "bad")
        return [{"id": change.new["id"]} for change in values]

    app.sink(
        orders, sinks.Function(lambda value: seen.append(value["id"])), enrich=enriched, batch_size=1, **ONCE
    )
    return "note"


def projection(app: App, orders: Any, raises: Raises, seen: list[str]) -> str:
    @app.projection(orders, by="id", initial=dict, retry=Retry(0), on_failure=Discard(), id="note")
    def note(state: dict[str, Any], item: dict[str, Any], sign: int) -> dict[str, Any]:
        raises(item["id"] == "bad")
        seen.append(item["id"])
        return state

    return "note@v1"


def group(app: App, orders: Any, raises: Raises, seen: list[str]) -> str:
    def by(item: dict[str, Any]) -> str:
        raises(item["id"] == "bad")
        return str(item["id"])

    @app.projection(orders, by=by, initial=dict, retry=Retry(0), on_failure=Discard(), id="note")
    def note(state: dict[str, Any], item: dict[str, Any], sign: int) -> dict[str, Any]:
        seen.append(item["id"])
        return state

    return "note@v1"


PLACES: Final[tuple[Place, ...]] = (
    on, on_async, in_a_task, batch, batch_async, function, where, function_sink, sink, transform, enrich,
    projection, group,
)  # fmt: skip


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_it_is_the_failure_of_that_change_and_nothing_else(place: Place, error: type[BaseException]) -> None:
    app, seen = App("shop"), list[str]()
    orders = app.table("orders", pk="id")

    def raises(is_bad: bool) -> None:
        if is_bad:
            raise error("no such city")

    name = place(app, orders, raises, seen)
    with World(app, seed=1) as world:
        for number, key in enumerate(("a", "bad", "b", "c")):
            world.put(orders, {"id": key, "n": number})
        world.settle()
        letters = world.dead_letters(name)
        assert [letter.change.raw_keys for letter in letters] == [{"id": {"S": "bad"}}]
        assert error.__name__ in letters[0].error
        world.put(orders, {"id": "later", "n": 1})
        world.settle()
    assert len(set(seen)) == 4
    assert not any("bad" in line for line in seen)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_a_provider_that_raises_it_is_an_outage(error: type[BaseException]) -> None:
    app, seen, failures = App("shop"), list[str](), [error("no")] * 2
    orders = app.table("orders", pk="id")

    def mailer() -> Iterator[str]:
        if failures:
            raise failures.pop()
        yield "mail"

    @app.on(orders, id="note")
    def note(change: Change, mail: Annotated[str, Depends(mailer)]) -> None:
        seen.append(mail)

    with World(app, seed=1) as world:
        world.put(orders, {"id": "a"})
        world.settle()
    assert seen == ["mail"]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_a_window_whose_handler_raises_it_is_told_again(error: type[BaseException]) -> None:
    app, told, failures = App("shop"), list[int](), [error("no")] * 2
    orders = app.table("orders", pk="id")

    @app.window(orders, every="1m", by="country", id="note")
    def note(window: Window) -> None:
        if failures:
            raise failures.pop()
        told.append(len(window.items))

    with World(app, seed=1) as world:
        world.put(orders, {"id": "a", "country": "NL", "at": Decimal(1)})
        world.settle()
        world.advance("30m")
        world.settle()
    assert told == [1]


# ---- the loop that servers run in --------------------------------------------------------------------------


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("is_in_a_task", [False, True])
def test_nothing_of_it_gets_out_of_a_real_loop(
    error: type[BaseException], is_async: bool, is_in_a_task: bool
) -> None:
    def handler() -> None:
        raise error("no such city")

    async def inside() -> None:
        await asyncio.sleep(0)
        raise error("no such city")

    async def handler_async() -> None:
        if is_in_a_task:
            await asyncio.create_task(inside())
        await inside()

    async def scenario() -> str:
        try:
            await call(handler_async if is_async else handler)
        except Exception as raised:  # whatever it is, it is an Exception
            assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
            return failure_of(raised).error
        except (
            asyncio.CancelledError
        ) as raised:  # a task of the handler's that was cancelled: as asyncio has it
            return failure_of(raised).error
        raise AssertionError("it returned")

    words = asyncio.run(scenario())
    assert error.__name__ in words


def test_our_own_cancellation_goes_through() -> None:
    async def handler() -> None:
        await asyncio.sleep(3_600)

    async def scenario() -> None:
        task = asyncio.ensure_future(call(handler))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    asyncio.run(scenario())


def test_a_real_interrupt_of_a_loop_goes_through() -> None:
    async def handler() -> None:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(3_600)

    async def scenario() -> None:
        await call(handler)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(scenario())


@pytest.mark.parametrize("place", [on, on_async, batch, where, projection], ids=lambda place: place.__name__)
def test_a_real_interrupt_stops_a_test(place: Place) -> None:
    """In a process of its own: what is left of a world that was interrupted belongs to no world."""
    program = f"""
import signal
from tailrace import App
from tailrace.testing import World
from tests.patience import PATIENCE_S
from {__name__} import {place.__name__}
app = App("shop")
orders = app.table("orders", pk="id")
{place.__name__}(app, orders, lambda is_bad: is_bad and signal.raise_signal(signal.SIGINT), [])
world = World(app, seed=1)
world.put(orders, {{"id": "bad"}})
world.settle()
print("it went on")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert "KeyboardInterrupt" in done.stderr
    assert "it went on" not in done.stdout
    assert done.returncode != 0


def test_a_coroutine_that_is_closed_ends_in_silence() -> None:
    async def handler() -> None:
        await asyncio.sleep(3_600)

    async def scenario() -> None:
        calling = call(handler)
        calling.send(None)
        calling.close()

    asyncio.run(scenario())


# ---- one exception, many times -----------------------------------------------------------------------------


def test_an_exception_that_is_raised_again_and_again_has_no_longer_trace_each_time() -> None:
    known, cause = ValueError("no"), KeyError("why")
    app, traces = App("shop"), list[int]()
    orders = app.table("orders", pk="id")

    @app.on(orders, retry=Retry(0), on_failure=Discard(), id="note")
    def note(change: Change) -> None:
        try:
            raise cause
        except KeyError:
            raise known from cause

    with World(app, seed=1) as world:
        for number in range(300):
            world.put(orders, {"id": f"o{number}"})
        world.settle()
        traces = [len(letter.traceback) for letter in world.dead_letters("note")]
    assert len(traces) == 300
    assert max(traces) < 20_000
    assert max(traces[200:]) <= max(traces[100:200])


def test_what_escaped_has_its_own_words_and_trace() -> None:
    def handler() -> None:
        raise SystemExit(3)

    async def scenario() -> None:
        with pytest.raises(Escaped) as escaped:
            await call(handler)
        failure = failure_of(escaped.value)
        assert failure.error == "SystemExit: 3"
        assert "raise SystemExit(3)" in failure.traceback
        assert "fence.py" not in failure.traceback

    asyncio.run(scenario())
