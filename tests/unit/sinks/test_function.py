"""Handlers as sinks: order, failures, threads, transactions."""

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from tailrace import App, Batch, Change, Throttled, Unavailable
from tailrace.app.app import HandlerMapping
from tailrace.clocks.manual import ManualClock
from tailrace.engine.engine import Engine
from tailrace.engine.state import EngineStateStore
from tailrace.errors import SettingsError
from tailrace.ports import Failed, FailureKind, Outcome, Written
from tailrace.runtime.effects import Effects, Marking
from tailrace.sinks.function import BatchSink, Calls, HandlerSink
from tailrace.stores.memory import MemoryStateStore, MemoryStore
from tailrace.tables.definition import TableDefinition
from tailrace.testing.loop import SeededLoop
from tests.unit.sinks.batches import batch, record


def mapping(handler: Callable[..., Any], kind: str = "on", **settings: Any) -> HandlerMapping:
    """How an app declares the handler."""
    app = App("shop")
    orders = app.table("orders", pk="id")
    getattr(app, kind)(orders, id="note", **settings)(handler)
    (declared,) = app.mappings
    return declared


def seeded(coroutine: Any) -> Any:
    """Run on a seeded loop."""
    loop = SeededLoop(1)
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


def write(handler: Callable[..., Any], keys: str, **settings: Any) -> Outcome:
    """What the sink of `@app.on` says about a batch, one letter a record."""
    sink = HandlerSink(mapping(handler, **settings), Effects(MemoryStateStore(), Marking("shop.note")))
    outcome: Outcome = seeded(sink.write(batch(keys)))
    return outcome


def failures(outcome: Outcome) -> dict[int, str]:
    """Errors by index."""
    assert isinstance(outcome, Failed), outcome
    return {index: failure.error for index, failure in outcome.failures.items()}


def test_a_handler_is_called_for_every_record_in_order() -> None:
    seen: list[int] = []
    outcome = write(lambda change: seen.append(change.record.sequence), "abacab")
    assert (seen, outcome) == ([1, 2, 3, 4, 5, 6], Written())


def test_after_a_failure_the_later_changes_of_that_item_are_not_attempted() -> None:
    seen: list[int] = []

    def handler(change: Change) -> None:
        seen.append(change.record.sequence)
        if change.record.sequence == 3:
            raise ValueError("no")

    outcome = write(handler, "abacab")
    assert seen == [1, 2, 3, 4, 6], "5 is the next change of item a"
    assert failures(outcome) == {2: "ValueError: no"}


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    ("error", "kind", "words", "retry_after_ms"),
    [
        (ValueError("no"), FailureKind.RECORD, "ValueError: no", 0),
        (KeyError(), FailureKind.RECORD, "KeyError", 0),
        (TimeoutError("of a socket"), FailureKind.RECORD, "TimeoutError: of a socket", 0),
        (asyncio.CancelledError(), FailureKind.RECORD, "CancelledError", 0),
        (SystemExit(3), FailureKind.RECORD, "SystemExit: 3", 0),
        (Throttled("slow", retry_after=2.5), FailureKind.THROTTLED, "Throttled: slow", 2_500),
        (Unavailable("down"), FailureKind.UNAVAILABLE, "Unavailable: down", 0),
    ],
)
def test_what_a_handler_raises_is_told_as_what_it_means(
    error: BaseException, kind: FailureKind, words: str, retry_after_ms: int, is_async: bool
) -> None:
    def fail(change: Change) -> None:
        raise error.with_traceback(None)

    async def fail_later(change: Change) -> None:
        raise error.with_traceback(None)

    outcome = write(fail_later if is_async else fail, "ab")
    assert isinstance(outcome, Failed)
    failure = outcome.failures[0]
    assert (failure.kind, failure.error, failure.retry_after_ms) == (kind, words, retry_after_ms)
    assert "test_function.py" in failure.traceback
    assert "sinks/calling.py" not in failure.traceback


def test_an_error_whose_own_text_fails_is_a_failure_too() -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError("odd")

    def fail(change: Change) -> None:
        raise Odd

    assert failures(write(fail, "a")) == {0: "Odd: (its text cannot be printed)"}


def test_a_coroutine_is_ended_at_its_time_out() -> None:
    async def slow(change: Change) -> None:
        await asyncio.sleep(3_600 if change.key == "a" else 0)

    outcome = write(slow, "ab", timeout=5)
    assert isinstance(outcome, Failed)
    assert {index: failure.kind for index, failure in outcome.failures.items()} == {0: FailureKind.TIMEOUT}
    assert outcome.failures[0].error == "no answer within 5 s"


def test_a_time_out_is_refused_where_it_could_not_be_kept() -> None:
    with pytest.raises(SettingsError, match="async def"):
        mapping(lambda change: None, timeout=5)


def test_a_coroutine_that_nobody_would_await_is_a_failure() -> None:
    async def hidden(change: Change) -> None: ...

    assert "async def" in failures(write(lambda change: hidden(change), "a"))[0]


def test_an_object_with_an_async_call_is_awaited() -> None:
    class Handler:
        def __init__(self) -> None:
            self.seen: list[str] = []

        async def __call__(self, change: Change) -> None:
            self.seen.append(change.key)

    handler = Handler()
    assert write(handler, "ab") == Written()
    assert handler.seen == ["a", "b"]


def test_a_plain_function_runs_in_one_thread_hop_for_a_whole_run() -> None:
    threads: set[int] = set()
    hops = 0

    class Counting(asyncio.SelectorEventLoop):
        def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
            nonlocal hops
            hops += 1
            return super().run_in_executor(executor, func, *args)

    def handler(change: Change) -> None:
        threads.add(threading.get_ident())

    sink = HandlerSink(mapping(handler), Effects(MemoryStateStore(), Marking("shop.note")))
    loop = Counting()
    try:
        loop.run_until_complete(sink.write(batch("abcabc" * 10)))
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
    assert hops == 1
    assert threads.isdisjoint({threading.get_ident()})


def test_a_where_that_raises_is_a_failure_of_that_record() -> None:
    seen: list[str] = []

    def where(change: Change) -> bool:
        if change.key == "b":
            raise LookupError("what?")
        return bool(change.key != "c")

    declared = mapping(lambda change: seen.append(change.key), where=where)
    accepts = declared.settings.accepts
    assert accepts is not None
    assert [accepts(record(number, key)) for number, key in enumerate("abc", 1)] == [True, True, False]
    sink = HandlerSink(declared, Effects(MemoryStateStore(), Marking("shop.note")))
    assert failures(seeded(sink.write(batch("ab")))) == {1: "LookupError: what?"}
    assert seen == ["a"]


def test_a_batch_handler_gets_the_whole_batch() -> None:
    given: list[tuple[list[str], int, str]] = []

    def tally(changes: Batch) -> None:
        given.append(([change.key for change in changes], changes.attempt, changes.shard_id))
        assert changes[0].key == "a"
        assert [change.key for change in changes[1:]] == ["b"]

    sink = BatchSink(mapping(tally, "batch"), Effects(MemoryStateStore(), Marking("shop.note")))
    assert seeded(sink.write(batch("ab", attempt=2))) == Written()
    assert given == [(["a", "b"], 2, "shardId-00000000000000000001-00000001")]


def test_a_batch_handler_that_raises_fails_as_a_whole() -> None:
    def tally(changes: Batch) -> None:
        raise Unavailable("down", retry_after=1)

    sink = BatchSink(mapping(tally, "batch"), Effects(MemoryStateStore(), Marking("shop.note")))
    outcome = seeded(sink.write(batch("ab")))
    assert isinstance(outcome, Failed)
    assert outcome.whole is not None
    assert (outcome.whole.kind, outcome.whole.retry_after_ms) == (FailureKind.UNAVAILABLE, 1_000)


# ---- transactions ------------------------------------------------------------------------------------------


class Ground:
    """An engine with a table of effects; `flushes` counts commits."""

    def __init__(self) -> None:
        self.engine = Engine(MemoryStore(), ManualClock())
        self.engine.create_table(TableDefinition("effects", "id", "S"))
        self.engine.committer.flush()
        self.flushes = 0
        self._waiting: asyncio.Future[None] | None = None
        self.effects = Effects(EngineStateStore(self.engine, self._flushed), Marking("shop.note"))

    async def _flushed(self) -> None:
        # Handlers that write in one turn share a commit, as in production.
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(0.001, self._flush)
        await self._waiting

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, None
        self.engine.committer.flush()
        self.flushes += 1
        assert waiting is not None
        waiting.set_result(None)

    def write(self, handler: Callable[..., Any], keys: str, kind: str = "on") -> Outcome:
        made = HandlerSink if kind == "on" else BatchSink
        outcome: Outcome = seeded(made(mapping(handler, kind), self.effects).write(batch(keys)))
        return outcome

    def effect(self, key: str) -> Any:
        return self.engine.get("effects", {"id": {"S": key}})


def append(change: Change) -> None:
    """An effect that shows order and repetition."""
    change.transaction.update(
        "effects",
        {"id": change.key},
        "SET seen = list_append(if_not_exists(seen, :none), :n)",
        values={":none": [], ":n": [change.record.sequence]},
    )


def numbers(*values: int) -> dict[str, Any]:
    return {"L": [{"N": str(value)} for value in values]}


def test_recorded_writes_are_committed_in_order_and_once() -> None:
    ground = Ground()
    assert ground.write(append, "aba") == Written()
    assert ground.write(append, "aba") == Written(), "delivered again"
    assert ground.effect("a") == {"id": {"S": "a"}, "seen": numbers(1, 3)}
    assert ground.effect("b") == {"id": {"S": "b"}, "seen": numbers(2)}
    assert ground.effects.tally.suppressed == 3


def test_the_transactions_of_a_run_share_one_commit() -> None:
    ground = Ground()
    ground.write(append, "abcdefgh")
    assert ground.flushes == 1


def test_a_failed_handler_leaves_nothing_of_what_it_recorded() -> None:
    ground = Ground()

    def handler(change: Change) -> None:
        append(change)
        raise ValueError("after recording")

    assert failures(ground.write(handler, "a")) == {0: "ValueError: after recording"}
    assert ground.effect("a") is None


def test_a_transaction_that_fails_holds_back_the_later_changes_of_its_item() -> None:
    ground = Ground()
    calls: list[int] = []

    def handler(change: Change) -> None:
        calls.append(change.record.sequence)
        if change.record.sequence == 1:
            change.transaction.check("effects", {"id": "x"}, "attribute_exists(id)")
        else:
            append(change)

    assert list(failures(ground.write(handler, "aab"))) == [0]
    assert calls == [1, 3]
    assert ground.effect("a") is None


@pytest.mark.parametrize("kind", ["on", "batch"])
def test_a_write_that_the_engine_refuses_is_told_in_its_words(kind: str) -> None:
    ground = Ground()

    def record_wrong(change: Change) -> None:
        change.transaction.put("nowhere", {"id": "a"})

    def handler(given: Any) -> None:
        for change in given if kind == "batch" else [given]:
            record_wrong(change)

    assert "ResourceNotFoundException" in failures(ground.write(handler, "a", kind))[0]


def test_a_batch_handlers_transactions_are_applied_in_order_too() -> None:
    ground = Ground()

    def handler(changes: Batch) -> None:
        for change in changes:
            append(change)

    assert ground.write(handler, "aab", "batch") == Written()
    assert ground.write(handler, "aab", "batch") == Written()
    assert ground.effect("a") == {"id": {"S": "a"}, "seen": numbers(1, 2)}


def test_calls_are_cut_only_where_a_commit_must_come_first() -> None:
    changes = [Change(record(number, key), "orders") for number, key in enumerate("abab", 1)]
    calls = Calls(changes)
    for expected in (0, 1):
        call = calls.take()
        assert call is not None
        assert call[0] == expected
        append(call[1])
        calls.succeeded(call)
    assert calls.take() is None
    assert not calls.is_over
    calls.committed({})
    assert [(calls.take() or (None,))[0] for _ in range(3)] == [2, 3, None]
    assert calls.is_over


def test_sys_exit_in_a_handler_does_not_end_the_process() -> None:
    assert failures(write(lambda change: sys.exit("bye"), "a")) == {0: "SystemExit: bye"}
