"""Merging by a worker: every so often, by one of several, in a process of its own."""

import asyncio
import json
import logging
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tailrace import App
from tailrace.archives import MemoryArchive
from tailrace.clocks.manual import ManualClock
from tailrace.compose_parts import merges_of
from tailrace.errors import SettingsError, Unavailable
from tailrace.journal.run import merge_schedule
from tailrace.journal.run.merge_schedule import FEWEST, MergedPlace, MergeSchedule, merge_place
from tailrace.runtime.around import Around
from tailrace.testing import World
from tests.command_line import tailrace

HOUR_MS = 3_600_000


def archived(place: Any, **settings: Any) -> App:
    """A journal of ten segments, or none where nothing ran."""
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.archive(orders, place, **settings)
    return app


def written(app: App) -> None:
    with World(app, seed=1, sinks="real") as world:
        for number in range(FEWEST + 2):
            world.put(app.tables["orders"], {"id": f"o{number % 3}", "n": Decimal(number)})
            world.settle()


def segments(place: Path) -> int:
    told = tailrace("journal", "status", str(place), "--json").stdout
    return int(json.loads(told)[0]["segments"])


def test_a_journal_is_merged_in_a_process_of_its_own(tmp_path: Path) -> None:
    app = archived(tmp_path)
    written(app)
    assert segments(tmp_path) > FEWEST
    (mapping,) = app.mappings
    assert mapping.archive is not None
    asyncio.run(merge_place(MergedPlace("orders", mapping.archive), ManualClock()))
    assert segments(tmp_path) <= 2, "the changes, and the base"
    assert tailrace("journal", "verify", str(tmp_path), "--table", "orders").returncode == 0


def test_a_process_that_fails_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    app = archived(tmp_path / "file" / "history")
    (mapping,) = app.mappings
    assert mapping.archive is not None
    place = MergedPlace("orders", mapping.archive)
    (tmp_path / "bad" / "us-east-1" / "1" / "_tables" / "orders" / "delta").mkdir(parents=True)
    (tmp_path / "bad" / "us-east-1" / "1" / "_tables" / "orders" / "delta" / f"{1:020d}.json").write_text("x")
    bad = archived(tmp_path / "bad").mappings[0].archive
    assert bad is not None
    with pytest.raises(Unavailable, match="is no ManifestDelta"):
        asyncio.run(merge_place(MergedPlace("orders", bad), ManualClock()))
    asyncio.run(merge_place(place, ManualClock()))  # where nothing is yet, nothing is to be merged


def test_an_archive_of_the_apps_own_is_merged_here() -> None:
    archive = MemoryArchive()
    app = archived(archive)
    written(app)
    (mapping,) = app.mappings
    assert mapping.archive is not None
    asyncio.run(merge_place(MergedPlace("orders", mapping.archive), ManualClock()))
    assert len([name for name in archive._blobs if "/merged-" in name]) == 1


def test_each_round_merges_where_the_worker_may_and_goes_on_when_one_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    merged: list[str] = []
    allowed = [True, False, True]

    async def merging(place: MergedPlace, clock: Any) -> None:
        if place.table == "away" and not merged:
            merged.append("failed")
            raise Unavailable("the archive is away")
        merged.append(place.table)

    async def may() -> bool:
        if not allowed:
            raise asyncio.CancelledError
        return allowed.pop(0)

    monkeypatch.setattr(merge_schedule, "merge_place", merging)
    plan = archived("x").mappings[0].archive
    assert plan is not None
    places = [MergedPlace("away", plan), MergedPlace("here", plan)]

    async def run() -> None:
        clock = ManualClock()
        schedule = MergeSchedule(lambda: places, HOUR_MS, clock, may)
        task = asyncio.ensure_future(schedule.run())
        for _ in range(4):
            for _ in range(10):
                await asyncio.sleep(0)
            clock.advance(HOUR_MS - 1)
            for _ in range(10):
                await asyncio.sleep(0)
            before = list(merged)
            clock.advance(1)
            for _ in range(10):
                await asyncio.sleep(0)
            assert before == merged or len(merged) == len(before) + 2
        with pytest.raises(asyncio.CancelledError):
            await task
        assert schedule.rounds == 2

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    assert merged == ["failed", "here", "away", "here"]
    assert "the journal of away is not merged, and will be later" in caplog.text


def test_it_can_be_switched_off_and_a_world_starts_no_process() -> None:
    class InAWorld(Around):
        def merges_journals(self) -> bool:
            return False

    clock = ManualClock()
    assert merges_of(archived("x"), clock, Around()) is not None
    assert merges_of(archived("x", merge=None), clock, Around()) is None
    assert merges_of(archived("x"), clock, InAWorld()) is None
    assert merges_of(App("other"), clock, Around()) is None
    for wrong in ("59s", 60, "soon"):
        with pytest.raises(SettingsError):
            archived("x", merge=wrong)
