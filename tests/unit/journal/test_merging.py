"""Merging: fewer segments, and the same rows, leaves, trees and answers.

Rules of this file: what is there is read by control.py, which knows nothing of Tailrace.
"""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tailrace.archives import MemoryArchive
from tailrace.cli.journal import journal
from tailrace.clocks.manual import ManualClock
from tailrace.journal.run import merging
from tailrace.journal.run.merging import Merger, MergeReport
from tailrace.journal.run.opening import opened_journal
from tests.unit.journal.test_archiver import FOLDER, SHARDS, check_journal, control, delivered_to
from tests.unit.journal.test_status import archived
from tests.unit.sinks.lake.faults import HOUR_MS, FaultyArchive, Killed, history


def rows_of(archive: MemoryArchive) -> list[tuple[Any, ...]]:
    return sorted(
        (row["key"], row["sequence"], row["shard"], row["leaf"], row["old"], row["new"])
        for row in control(archive).rows
    )


async def merged(archive: MemoryArchive) -> MergeReport:
    return await Merger(archive).merge(opened_journal(archive, FOLDER, ManualClock()))


def test_merging_changes_no_row_no_leaf_and_no_tree() -> None:
    changes, archive = history(7, 60), FaultyArchive()
    asyncio.run(delivered_to(archive, changes))
    before, trees = rows_of(archive), control(archive).trees
    assert len(control(archive).segments) > 2 * len(SHARDS)
    report = asyncio.run(merged(archive))
    assert (report.after, report.rows) == (1, 60)
    assert len(control(archive).segments) == 1
    assert rows_of(archive) == before
    assert control(archive).trees == trees
    check_journal(archive, changes)
    assert asyncio.run(merged(archive)) == MergeReport()


def test_of_two_merges_at_once_one_counts() -> None:
    changes, archive = history(7, 30), FaultyArchive()
    asyncio.run(delivered_to(archive, changes))

    async def both() -> None:
        await asyncio.gather(merged(archive), merged(archive))

    asyncio.run(both())
    check_journal(archive, changes)


def test_a_merge_may_die_anywhere() -> None:
    changes = history(7, 18)
    for at in range(1, 12):
        archive = FaultyArchive()
        asyncio.run(delivered_to(archive, changes))
        archive.at, archive.fault = archive.calls + at, "killed"
        with suppress(Killed):
            asyncio.run(merged(archive))
        check_journal(archive, changes)
        asyncio.run(merged(archive))
        check_journal(archive, changes)
        assert len(control(archive).segments) == 1


def test_a_merge_that_loses_a_row_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    changes, archive = history(7, 18), FaultyArchive()
    asyncio.run(delivered_to(archive, changes))
    original = merging.merged_bytes
    monkeypatch.setattr(merging, "merged_bytes", lambda paths, *others: original(paths[1:], *others))
    asyncio.run(merged(archive))
    with pytest.raises(AssertionError):
        check_journal(archive, changes)


def test_what_was_replaced_goes_an_hour_later() -> None:
    changes, archive = history(7, 18), FaultyArchive()
    asyncio.run(delivered_to(archive, changes))

    async def run() -> None:
        await archive.put_if_absent(f"{FOLDER}/segments/orphan-0123456789abcdef.parquet", b"of a killed one")
        merger, clock = Merger(archive), ManualClock()
        journal = opened_journal(archive, FOLDER, clock)
        await merger.merge(journal)
        now_ms = clock.now().wall_ms
        assert await merger.clean(journal, now_ms) == 0
        assert await merger.clean(journal, now_ms + HOUR_MS + 1) > 2
        segments = await archive.list(f"{FOLDER}/segments/")
        assert list(segments) == list(control(archive).segments)
        check_journal(archive, changes)

    asyncio.run(run())


def test_the_command_merges_every_table_of_a_place(tmp_path: Path) -> None:
    archived(tmp_path)
    result = CliRunner().invoke(journal, ["merge", str(tmp_path)], catch_exceptions=False)
    assert result.exit_code == 0
    assert "orders: 0 segments became 0" in result.output
    empty = CliRunner().invoke(journal, ["merge", str(tmp_path / "none")], catch_exceptions=False)
    assert "No journal in" in empty.output
