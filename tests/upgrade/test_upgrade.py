"""A data directory that the first version wrote is opened, read, followed and written by this one.

Theory of operation: `format-1.db.gz` was written by the Foundation's code (commit 64201a4): a table `orders`
with a stream, a handler `count` of the app `shop` that has seen 20 puts, then 5 puts and a deletion that
no handler has seen. Rules of this file: the fixture is never written again, and it is opened at the
time at which it was written: a day later its records are trimmed, as they ought to be.
"""

import gzip
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tailrace import App, Change
from tailrace.app.plain import to_plain_item
from tailrace.clocks.manual import ManualClock
from tailrace.compose import EngineOptions, open_engine
from tailrace.engine.engine import Engine
from tailrace.engine.query import ScanRequest
from tailrace.errors import StoreError
from tailrace.tables.mutate import Put
from tests.patience import PATIENCE_S
from tests.unit.engine.building import log_of

FIXTURE = Path(__file__).with_name("format-1.db.gz")
WRITTEN_MS = 1_795_444_163_223
"""When its last record was written."""
SEEN = [f"o{number}" for number in range(20)]
UNSEEN = [f"late{number}" for number in range(5)]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A copy of the old directory."""
    (tmp_path / "format").write_text("1\n")
    (tmp_path / "tailrace.db").write_bytes(gzip.decompress(FIXTURE.read_bytes()))
    return tmp_path


def opened_then(directory: Path) -> EngineOptions:
    return EngineOptions(directory, clock="manual", clock_start_ms=WRITTEN_MS)


def items(engine: Engine, table: str) -> dict[str, dict[str, Any]]:
    page = engine.scan(ScanRequest(table))
    return {item["id"]: item for item in map(to_plain_item, page.decoded())}


def test_every_item_and_every_record_is_there(directory: Path) -> None:
    engine = open_engine(opened_then(directory))
    try:
        orders = items(engine, "orders")
        assert sorted(orders) == sorted([*SEEN[1:], *UNSEEN])
        assert orders["o7"] == {"id": "o7", "total": Decimal("10.5"), "tags": {"x", "y"}, "raw": b"\x00\xff"}
        records = log_of(engine, engine.stream_of("orders").arn)
        assert [record.event_name for record in records] == ["INSERT"] * 25 + ["REMOVE"]
        engine.put(Put("orders", {"id": {"S": "new"}}))
        engine.committer.flush()
        newest = log_of(engine, engine.stream_of("orders").arn)[-1]
        assert newest.sequence > records[-1].sequence
    finally:
        engine.close()


def test_a_handler_goes_on_where_the_old_version_stopped(directory: Path) -> None:
    import asyncio

    from tailrace.compose import running_worker

    app = App("shop")
    orders = app.table("orders", pk="id")
    app.table("counts", pk="id", stream=None)
    seen: list[tuple[str, str]] = []

    @app.on(orders, id="count")
    def count(change: Change) -> None:
        seen.append((change.event_name, change.key))
        change.transaction.update("counts", {"id": "all"}, "ADD n :one", values={":one": 1})

    async def main() -> None:
        async with running_worker(app, opened_then(directory)) as engine:
            assert isinstance(engine.clock, ManualClock)
            async with asyncio.timeout(PATIENCE_S):
                while len(seen) < 6:
                    engine.clock.advance(10)
                    await asyncio.sleep(0)

    asyncio.run(main())
    assert seen == [*(("INSERT", name) for name in UNSEEN), ("REMOVE", "o0")]
    engine = open_engine(opened_then(directory))
    assert items(engine, "counts")["all"]["n"] == 26
    engine.close()


def test_it_is_opened_again_as_this_version_writes_it(directory: Path) -> None:
    for _ in range(2):
        engine = open_engine(opened_then(directory))
        assert len(items(engine, "orders")) == 24
        engine.close()
    database = sqlite3.connect(directory / "tailrace.db")
    (kept,) = database.execute("SELECT value FROM meta WHERE name = 'format'").fetchone()
    database.close()
    assert kept == 3, "the version that wrote it must refuse it now: it would not see what this one adds"


def test_a_format_of_later_is_refused_and_nothing_is_touched(directory: Path) -> None:
    (directory / "format").write_text("99\n")
    before = (directory / "tailrace.db").read_bytes()
    with pytest.raises(StoreError, match="99"):
        open_engine(opened_then(directory))
    assert (directory / "tailrace.db").read_bytes() == before
