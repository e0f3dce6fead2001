"""One look at a running node."""

import asyncio
import http.client
import json
from collections.abc import Awaitable, Callable

from tailrace.app.sinking import AlwaysOpen
from tailrace.ports import Outcome, RecordBatch, Written
from tailrace.runtime.attempting import TimedSink
from tailrace.runtime.attempts import Tally
from tailrace.server.connection import Connection
from tailrace.server.http import HttpServer, HttpSettings
from tailrace.server.observe import Limits, Observed, reasons_against, worst_ages, worst_stillness
from tailrace.server.scrape import routes
from tailrace.server.snapshot import observed
from tests.patience import PATIENCE_S
from tests.unit.server.admin import FixedWorker, Ground, live


def look(ground: Ground) -> Observed:
    """Start a server on the ground, and look."""

    async def run() -> Observed:
        server = HttpServer(ground.engine, HttpSettings(port=0), guest=Connection)
        await server.start()
        try:
            return await observed(ground.subject, server, "1.2.3")
        finally:
            await server.close()

    return asyncio.run(run())


def run_here(ground: Ground) -> None:
    """Say that a worker runs the handler, and that it moved now."""
    ground.subject.worker = FixedWorker(live(ground))


def test_a_handler_that_runs_here_is_seen_with_its_age_and_stillness() -> None:
    ground = Ground()
    run_here(ground)
    ground.clock.advance(2_000)
    ground.put("o1")
    ground.clock.advance(5_000)
    (progress,) = look(ground).progress
    assert (progress.handler, progress.table) == ("mail", "shop")
    assert (progress.oldest_unsettled_ms, progress.still_ms) == (5_000, 7_000)


def test_a_handler_that_does_not_run_here_counts_and_may_be_late_but_cannot_be_stuck() -> None:
    ground = Ground()
    ground.put("o1")
    ground.settle("mail", 1, [(1, 1, 4, "handled"), (1, 1, 1, "discarded")])
    ground.give_up("mail", ground.records()[0])
    ground.clock.advance(3_600_000)
    seen = look(ground)
    (progress,) = seen.progress
    assert (progress.oldest_unsettled_ms, progress.still_ms) == (3_600_000, None)
    assert reasons_against(seen) == []
    assert worst_ages(seen) == {("shop", "mail"): 3_600_000}
    assert worst_stillness(seen) == {}
    assert (seen.handlers[0].settled["handled"], seen.handlers[0].dead_letters) == (4, 1)


def test_shards_are_counted_by_table_and_state() -> None:
    assert look(Ground(shards=3)).shards == {("shop", "open"): 3, ("shop", "closed"): 0}


def test_readiness_over_http_fails_while_a_handler_is_stuck_and_recovers() -> None:
    ground = Ground()
    run_here(ground)
    ground.put("o1")

    async def run() -> list[tuple[int, list[str]]]:
        looking: Callable[[], Awaitable[Observed]] = lambda: observed(ground.subject, server, "1")  # noqa: E731
        server = HttpServer(
            ground.engine, HttpSettings(port=0), routes(looking, Limits(1_000, 1_000)), guest=Connection
        )
        port = await server.start()
        seen = []
        for _ in range(2):
            ground.clock.advance(2_000)
            seen.append(await asyncio.to_thread(ready, port))
            ground.settle("mail", ground.records()[-1].sequence)
        await server.close()
        return seen

    assert asyncio.run(run()) == [(503, ["mail"]), (200, [])]


def ready(port: int) -> tuple[int, list[str]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request("GET", "/ready")
        answer = connection.getresponse()
        return answer.status, [reason["handler"] for reason in json.loads(answer.read())["reasons"]]
    finally:
        connection.close()


def test_attempts_and_suppressed_duplicates_are_those_of_the_running_sink() -> None:
    ground = Ground()
    ground.settle("mail", 1)
    sink = TimedSink(Taking(), ground.clock, Tally(suppressed=3))
    ground.subject.worker = FixedWorker(live(ground), sinks={"mail": sink})
    asyncio.run(sink.write(RecordBatch([], "mail", ground.engine.stream_of("shop"), "shardId-1")))
    (totals,) = look(ground).handlers
    assert totals.duplicates == 3
    assert totals.durations.buckets[-1] == ("+Inf", 1.0)


class Taking(AlwaysOpen):
    """A sink that takes everything."""

    async def write(self, batch: RecordBatch) -> Outcome:
        return Written()
