"""What is said of a snapshot that has still to bring rows to a mirror."""

import asyncio
from contextlib import nullcontext
from typing import Any, cast

import pytest
from msgspec.structs import replace

from tailrace.clocks.manual import ManualClock
from tailrace.rows.writes import Write
from tailrace.snapshots.core.snapshot import ScanProgress, WantedSnapshot, begun, saved
from tailrace.stores.memory import MemoryStateStore
from tailrace.testing.mirrors import MirrorMemory
from tailrace.verification.run.reading import Compared
from tailrace.verification.run.unfinished import unfinished_snapshot
from tests.unit.verification.living import NAME, SCHEMA, STREAM, AsItIs

WANTED = WantedSnapshot("shop", "copy", 2)
SCANNING = replace(
    begun(WANTED, None, 5, "", []), phase="scanning", progress=ScanProgress(1, 1_200), estimate=(4_000, 0)
)


def said(*writes: Write, is_kept: bool = False) -> str:
    async def ask() -> str:
        state = MemoryStateStore()
        for write in writes:
            await state.transact([write])
        nothing = cast("Any", None)
        compared = Compared(
            NAME, SCHEMA, STREAM, MirrorMemory(), AsItIs(), nullcontext, nothing, nothing, state,
            ManualClock(), is_kept,
        )  # fmt: skip
        return await unfinished_snapshot(compared)

    return asyncio.run(ask())


def test_where_none_is_wanted_only_a_sink_that_is_given_tables_by_itself_waits_for_one() -> None:
    assert said() == ""
    assert said(is_kept=True) == "the first snapshot has not begun"


def test_one_that_is_wanted_has_not_begun_until_its_number_is_there() -> None:
    assert said(WANTED.write()) == "snapshot 2 has not begun"
    _, older = saved(None, replace(SCANNING, number=1, phase="done"))
    assert said(WANTED.write(), older) == "snapshot 2 has not begun"
    assert said(replace(WANTED, paused_by="you").write()) == "snapshot 2 has not begun (it is paused)"


def test_one_that_is_at_work_says_how_far_it_is() -> None:
    _, write = saved(None, SCANNING)
    assert said(WANTED.write(), write) == "snapshot 2 is scanning: 1,200 of about 4,000 items"
    paused = replace(WANTED, paused_by="you")
    _, unknown = saved(None, replace(SCANNING, phase="sweeping", estimate=(0, 0)))
    assert said(paused.write(), unknown) == "snapshot 2 is sweeping: 1,200 items (it is paused)"


@pytest.mark.parametrize("phase", ["done", "failed"])
def test_one_that_is_over_brings_nothing_more(phase: Any) -> None:
    _, write = saved(None, replace(SCANNING, phase=phase))
    assert said(WANTED.write(), write, is_kept=True) == ""
