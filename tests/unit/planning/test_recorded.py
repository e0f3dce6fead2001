"""Traffic that was recorded, and calls that were measured."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from tailrace import App
from tailrace.app.loading import load_app
from tailrace.app.moments import moment_us
from tailrace.errors import NotKnown
from tailrace.journal.run.opened_past import LiveStream
from tailrace.planning.run.measured import read_calls_of, service_of
from tailrace.planning.run.recorded import RecordedChanges, RecordedTime, read_recorded
from tailrace.ports import ReadDone, Shard
from tailrace.sources.embedded_log import EmbeddedLog
from tailrace.testing import World
from tests.replaying import BEGIN, CHANGES, journaled

APP = """
from tailrace import App, Change

app = App("shop")
orders = app.table("orders", pk="id")
app.archive(orders, "history/")


@app.on(orders.inserted)
def receipt(change: Change) -> None: ...
"""
MINUTE_US = 60_000_000


def put(world: World, number: int) -> None:
    world.put("orders", {"id": f"o{number % 7}", "n": number})


def read(app: App, time: RecordedTime, stream: LiveStream | None = None) -> tuple[RecordedChanges, int]:
    told: list[int] = []
    mapping = app.mapping_of("plan", "receipt")
    return asyncio.run(read_recorded(app, mapping, time, stream, told.append)), len(told)


def test_a_journal_has_the_changes_of_a_time_with_their_items(tmp_path: Path) -> None:
    folder = journaled(tmp_path, APP, ["receipt"], put)
    with contextlib.chdir(folder):
        app = load_app("app.py")
        begin_us = moment_us(BEGIN)
        whole, told = read(app, RecordedTime(begin_us - MINUTE_US, begin_us + 10 * MINUTE_US))
        part, _ = read(app, RecordedTime(begin_us + MINUTE_US, begin_us + MINUTE_US + 10_000_000))
    assert told == len(whole.times) == CHANGES
    traffic = whole.traffic("orders", 2)
    assert (traffic.changes, len(traffic.items)) == (CHANGES, 7)
    assert traffic.hottest_count == -(-CHANGES // 7)
    assert traffic.hottest_name in {"o0"}
    # Only the first change of an item is an insertion: the others pass by the handler.
    assert len(traffic.refused) == CHANGES - 7
    assert [len(part.times), min(part.times), max(part.times)] == [10, 0, 9_000]


class SparseLog(EmbeddedLog):
    """Every other page has nothing, although more is behind it, as another server may answer."""

    _reads = 0

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        self._reads += 1
        return ReadDone([], after) if self._reads % 2 else await super().read(shard, after, limit)


@pytest.mark.parametrize("log", [EmbeddedLog, SparseLog])
def test_a_stream_alone_has_what_it_still_keeps(log: type[EmbeddedLog]) -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders, id="receipt")
    def receipt(change: object) -> None: ...

    with World(app, seed=1, shards=3) as world:
        for number in range(20):
            put(world, number)
            world.advance("1s")
        begin_us = (world.clock.now().wall_ms - 20_000) * 1_000
        stream = LiveStream(log(world.engine), world.clock)
        changes, _ = read(app, RecordedTime(begin_us + 5_000_000, begin_us + 15_000_000), stream)
    assert sorted(changes.times) == [number * 1_000 for number in range(10)]
    assert 1 <= len(changes.shards) <= 3
    traffic = changes.traffic("orders", 3)
    assert sum(len(columns) > 0 for columns in traffic.shards) == len(changes.shards)


def test_without_a_journal_and_a_stream_nothing_is_known() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders, id="receipt")
    def receipt(change: object) -> None: ...

    with pytest.raises(NotKnown, match="nothing is recorded of table 'orders'"):
        read(app, RecordedTime(0, 1_000_000))


# ---- measured ----------------------------------------------------------------------------------------------

EXPOSITION = """\
# TYPE tailrace_handler_seconds histogram
tailrace_handler_seconds_bucket{handler="receipt",le="0.005"} 10.0
tailrace_handler_seconds_bucket{handler="receipt",le="0.01"} 40.0
tailrace_handler_seconds_bucket{handler="receipt",le="+Inf"} 50.0
tailrace_handler_seconds_count{handler="receipt"} 50.0
tailrace_handler_seconds_sum{handler="receipt"} 0.6
tailrace_handler_seconds_bucket{handler="other",le="+Inf"} 9.0
tailrace_handler_seconds_sum{handler="other"} 9.0
# TYPE tailrace_invoked_events counter
tailrace_invoked_events_total{handler="receipt"} 300.0
tailrace_invoked_events_total{handler="other"} 9.0
"""


def test_calls_are_read_of_one_handler_and_added_over_workers() -> None:
    measured = read_calls_of("receipt", [EXPOSITION, EXPOSITION])
    assert (measured.calls, measured.changes, measured.beyond) == (100, 600, 20)
    assert (measured.counts, measured.total_us) == ({5: 20, 10: 60}, 1_200_000)


def test_a_call_is_drawn_from_the_histogram_and_a_change_takes_the_mean() -> None:
    measured = read_calls_of("receipt", [EXPOSITION])
    call, change = service_of(measured, "call", 1), service_of(measured, "change", 1)
    assert call is not None
    assert change is not None
    assert call.mean_us(1) == pytest.approx(12_000, rel=0.01)
    assert call.spread() > 1.5
    assert change.mean_us(3) == 6_000


def test_what_was_never_called_is_not_known() -> None:
    assert service_of(read_calls_of("nobody", [EXPOSITION]), "call", 1) is None
    assert service_of(read_calls_of("receipt", []), "change", 1) is None
