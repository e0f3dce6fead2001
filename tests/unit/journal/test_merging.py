"""Merging: fewer segments, and the same rows, leaves, trees and answers.

Rules of this file: what is there is read by control.py, which knows nothing of Tailrace.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from msgspec import to_builtins

from tailrace.archives import MemoryArchive
from tailrace.cli.journal import journal
from tailrace.clocks.manual import ManualClock
from tailrace.journal.run import merging
from tailrace.journal.run.merging import MOST_OF_KEY, Merger, MergeReport, SortedSegments
from tailrace.journal.run.opening import opened_journal
from tailrace.journal.run.proving import change_proof
from tailrace.journal.run.reading import JournalReader
from tailrace.manifests.run import log
from tailrace.manifests.run.checking import chain_faults
from tests.unit.journal.test_archiver import FOLDER, SHARDS, TABLE, check_journal, control, delivered_to
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


@pytest.mark.parametrize("most_bytes", [15_000, 1 << 20])
def test_every_proof_is_the_same_before_and_after_any_merge(most_bytes: int) -> None:
    changes, archive = history(7, 9), FaultyArchive()
    asyncio.run(delivered_to(archive, changes))

    async def proofs() -> list[dict[str, Any]]:
        async with JournalReader(archive, TABLE, ManualClock()) as reader:
            view = await reader.view()
            made = [
                await change_proof(view, record.key, record.version)
                for records in changes.values()
                for record in records
            ]
        assert all(proof.holds for proof in made)
        return [to_builtins(proof) for proof in made]

    before = asyncio.run(proofs())
    assert len(before) == 9
    journal = opened_journal(archive, FOLDER, ManualClock())
    assert asyncio.run(Merger(archive, most_bytes).merge(journal)).before
    assert asyncio.run(proofs()) == before


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

    class Losing(SortedSegments):
        def __init__(self, paths: Sequence[str], *others: Any) -> None:
            super().__init__(paths[1:], *others)

    monkeypatch.setattr(merging, "SortedSegments", Losing)
    asyncio.run(merged(archive))
    with pytest.raises(AssertionError):
        check_journal(archive, changes)


def test_what_was_replaced_goes_an_hour_later() -> None:
    changes, archive = history(7, 18), FaultyArchive()
    asyncio.run(delivered_to(archive, changes))

    async def run() -> None:
        await archive.put_if_absent(f"{FOLDER}/segments/orphan-0123456789abcdef.parquet", b"of a killed one")
        others = f"{FOLDER}/segments/notes.txt"
        await archive.put_if_absent(others, b"of somebody else")
        merger, clock = Merger(archive), ManualClock()
        journal = opened_journal(archive, FOLDER, clock)
        await merger.merge(journal)
        now_ms = clock.now().wall_ms
        assert await merger.clean(journal, now_ms) == 0
        assert await merger.clean(journal, now_ms + HOUR_MS + 1) > 2
        segments = await archive.list(f"{FOLDER}/segments/")
        assert list(segments) == sorted([others, *control(archive).segments])
        check_journal(archive, changes)

    asyncio.run(run())


def test_the_command_merges_every_table_of_a_place(tmp_path: Path) -> None:
    archived(tmp_path)
    result = CliRunner().invoke(journal, ["merge", str(tmp_path)], catch_exceptions=False)
    assert result.exit_code == 0
    assert "orders: 0 segments became 0" in result.output
    empty = CliRunner().invoke(journal, ["merge", str(tmp_path / "none")], catch_exceptions=False)
    assert "No journal in" in empty.output


def test_where_too_many_large_segments_have_a_key_they_are_cut_at_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(merging, "GROUP_ROWS", 7)  # a batch ends inside of a key's rows
    changes, archive = history(7, 300), FaultyArchive()
    asyncio.run(delivered_to(archive, changes))
    before, trees = rows_of(archive), control(archive).trees

    async def run() -> tuple[MergeReport, list[Any]]:
        journal = opened_journal(archive, FOLDER, ManualClock())
        sizes = [file.size for file in (await journal.target.manifest()).files.values()]
        assert len(sizes) > MOST_OF_KEY
        report = await Merger(archive, min(sizes)).merge(journal)  # all of them are large
        assert await Merger(archive, min(sizes)).merge(journal) == MergeReport()
        return report, sorted((await journal.target.manifest()).files.values(), key=lambda file: file.first)

    report, files = asyncio.run(run())
    assert report.after > 1
    assert rows_of(archive) == before
    assert control(archive).trees == trees
    check_journal(archive, changes)
    for file in files:
        of_key = [other for other in files if other.first <= file.first <= other.last]
        assert len(of_key) <= MOST_OF_KEY


def test_rows_are_cut_between_keys_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(merging, "GROUP_ROWS", 7)
    changes, archive = history(7, 300), FaultyArchive()
    asyncio.run(delivered_to(archive, changes))
    paths = []
    for name in control(archive).segments:
        paths.append(tmp_path / f"{len(paths)}.parquet")
        paths[-1].write_bytes(archive._blobs[name])
    rows = SortedSegments(list(map(str, paths)), str(tmp_path), 1_000, 2_000)
    cut = []
    while (data := rows.next()) is not None:
        cut.append(pq.read_table(pa.BufferReader(data)).to_pylist())
    rows.close()
    assert len(cut) > 2
    assert all(left[-1]["key"] < right[0]["key"] for left, right in pairwise(cut))
    merged = [row for rows in cut for row in rows]
    assert [(row["key"], row["sequence"]) for row in merged] == sorted(
        (row["key"], row["sequence"]) for row in control(archive).rows
    )


def test_deltas_that_a_whole_manifest_has_folded_go_an_hour_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "FULL_EVERY", 5)
    changes, archive = history(7, 60), FaultyArchive()
    asyncio.run(delivered_to(archive, changes))

    async def run() -> None:
        clock = ManualClock()
        journal, merger = opened_journal(archive, FOLDER, clock), Merger(archive)
        deltas = len(await archive.list(f"{FOLDER}/_manifest/delta/"))
        assert await merger.clean(journal, clock.now().wall_ms) == 0
        assert await merger.clean(journal, clock.now().wall_ms + HOUR_MS + 1) > deltas - 5
        assert len(await archive.list(f"{FOLDER}/_manifest/delta/")) < 5
        fresh = opened_journal(archive, FOLDER, clock)
        assert (await fresh.target.manifest()).positions == (await journal.target.manifest()).positions
        assert await chain_faults(archive, f"{FOLDER}/_manifest") == []

    asyncio.run(run())
    segments = {name for name in archive._blobs if "/segments/" in name}
    assert len(segments) > 10
