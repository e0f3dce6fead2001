"""Writing an export: what the reader finds of it before, during and after, and whatever goes wrong."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from tailrace.archives import MemoryArchive
from tailrace.clocks.manual import ManualClock
from tailrace.errors import ArchiveError, InternalError, Refused
from tailrace.exports.core.exported import ExportedItem
from tailrace.exports.core.manifest import ExportSummary
from tailrace.exports.core.plan import PlannedExport, line_of, shown
from tailrace.exports.run.listing import list_exports
from tailrace.exports.run.writing import (
    BATCH_ITEMS,
    WritingProgress,
    discard_export,
    rows_of,
    write_export,
)
from tailrace.ports import ArchiveStore, Blob
from tailrace.testing.exporting import MemoryFiles
from tests.unit.exports.given import MINUTE, T, all_of, numbered, opened

PLAN = PlannedExport(
    "01693685827463-2d8752fd", "arn:aws:dynamodb:eu-west-1:123456789012:table/orders", "5c7e", T, T
)
WINDOW = replace(PLAN, from_us=T - 15 * MINUTE, view="NEW_AND_OLD_IMAGES")
ITEMS = [ExportedItem(None, item) for item in numbered(25)]
CHANGES = [ExportedItem({"pk": one.new["pk"]}, one.new, None, T - 1) for one in ITEMS if one.new]


def written(
    archive: ArchiveStore,
    rows: Any = ITEMS,
    plan: PlannedExport = PLAN,
    *,
    at_ms: int = T // 1_000,
    **chosen: Any,
) -> ExportSummary:
    return asyncio.run(write_export(archive, plan, rows, ManualClock(at_ms), **chosen))


def blobs(archive: ArchiveStore) -> dict[str, bytes]:
    async def read() -> dict[str, bytes]:
        held = {name: await archive.get(name) for name in await archive.list("")}
        return {name: blob.data for name, blob in held.items() if blob is not None}

    return asyncio.run(read())


def is_there(archive: ArchiveStore) -> bool:
    """Whether a reader finds an export that it would read."""
    return any(one.problem is None for one in asyncio.run(list_exports(MemoryFiles(blobs(archive)))))


class FailingArchive(MemoryArchive):
    """Each change fails from one on. Shape: `does` says whether the one that fails was done all the same."""

    def __init__(self, left: int, *, does: bool = False) -> None:
        super().__init__()
        self.left = left
        self.does = does

    def _take(self) -> bool:
        self.left -= 1
        return self.left >= 0

    async def put_if_absent(self, name: str, data: bytes) -> str | None:
        if self._take():
            return await super().put_if_absent(name, data)
        if self.does:
            await super().put_if_absent(name, data)
        raise ArchiveError("the disk is full")

    async def delete(self, name: str) -> None:
        if not self._take():
            raise ArchiveError("the disk is gone")
        await super().delete(name)


# ---- whole -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["DYNAMODB_JSON", "ION"])
@pytest.mark.parametrize(("plan", "rows"), [(PLAN, ITEMS), (WINDOW, CHANGES)])
@pytest.mark.parametrize("file_bytes", [1, 700, 1 << 20])
def test_what_is_written_is_read(
    format: Any, plan: PlannedExport, rows: Sequence[ExportedItem], file_bytes: int
) -> None:
    archive, plan = MemoryArchive(), replace(plan, format=format, prefix="daily")
    summary = written(archive, rows, plan, file_bytes=file_bytes)
    assert all_of(blobs(archive)) == rows
    listed, export = opened(MemoryFiles(blobs(archive)))
    assert listed.summary == summary
    assert (listed.unchecked, summary.item_count) == ((), 25)
    assert len(export.files) == (1 if file_bytes == 1 << 20 else 25 if file_bytes == 1 else len(export.files))
    assert 1 <= len(export.files) <= 25


def test_rows_may_come_over_time_and_have_more_than_is_written_of_them() -> None:
    async def rows() -> AsyncIterator[ExportedItem]:
        for change in CHANGES:
            await asyncio.sleep(0)
            yield change

    archive = MemoryArchive()
    written(archive, rows())
    assert all_of(blobs(archive)) == ITEMS


def test_a_table_without_items_has_a_file_without_lines() -> None:
    archive = MemoryArchive()
    assert written(archive, []).item_count == 0
    export = opened(MemoryFiles(blobs(archive)))[1]
    assert [file.items for file in export.files] == [0]
    assert gzip.decompress(blobs(archive)[export.files[0].name]) == b""


def test_the_same_rows_give_the_same_bytes() -> None:
    first, second = MemoryArchive(), MemoryArchive()
    for archive in (first, second):
        written(archive, iter(ITEMS), file_bytes=500)
    assert blobs(first) == blobs(second)
    assert all(data[4:8] == bytes(4) for name, data in blobs(first).items() if name.endswith(".gz"))


def test_files_are_cut_by_the_bytes_of_their_lines_after_whole_batches() -> None:
    rows = ITEMS * (3 * BATCH_ITEMS // 25)
    lines = [len(line_of(PLAN.format, shown(PLAN, row))) for row in rows]
    batches = [sum(lines[start : start + BATCH_ITEMS]) for start in range(0, len(rows), BATCH_ITEMS)]
    for file_bytes, wanted in ((batches[0], batches), (batches[0] + 1, [sum(batches[:2]), batches[2]])):
        archive = MemoryArchive()
        written(archive, rows, file_bytes=file_bytes)
        files = opened(MemoryFiles(blobs(archive)))[1].files
        assert [len(gzip.decompress(blobs(archive)[file.name])) for file in files] == wanted


def test_progress_is_told_and_ends_at_the_end() -> None:
    told: list[WritingProgress] = []
    archive = MemoryArchive()
    written(archive, ITEMS, file_bytes=500, progress=told.append)
    counts = [one.items for one in told]
    assert counts == sorted(counts)
    data = [blob for name, blob in blobs(archive).items() if "/data/" in name]
    assert told[-1] == WritingProgress(25, len(data), sum(map(len, data)))


def test_the_summary_says_when_it_ended() -> None:
    archive = MemoryArchive()
    written(archive, at_ms=T // 1_000 + 5)
    assert orjson.loads(blobs(archive)[PLAN.summary])["endTime"] == "2023-09-02T20:14:45.468Z"


def test_a_source_is_asked_for_what_the_plan_is_of() -> None:
    class Source:
        async def state(self, at_us: int) -> AsyncIterator[ExportedItem]:
            yield ExportedItem(None, {"at": {"N": str(at_us)}})

        async def changes(self, from_us: int, to_us: int) -> AsyncIterator[ExportedItem]:
            yield ExportedItem({"from": {"N": str(from_us)}, "to": {"N": str(to_us)}}, None, None, from_us)

    for plan, wanted in (
        (PLAN, ExportedItem(None, {"at": {"N": str(T)}})),
        (
            WINDOW,
            ExportedItem(
                {"from": {"N": str(WINDOW.from_us)}, "to": {"N": str(T)}}, None, None, WINDOW.from_us
            ),
        ),
    ):
        archive = MemoryArchive()
        written(archive, rows_of(Source(), plan), plan)
        assert all_of(blobs(archive)) == [wanted]


def test_exports_of_one_place_share_it() -> None:
    archive = MemoryArchive()
    plans = [PLAN, WINDOW, replace(WINDOW, export_id="01693685827464-00000000")]
    for number, plan in enumerate(plans):
        plan = replace(plan, export_id=f"0169368582746{number}-00000000")
        written(archive, ITEMS if plan.is_full else CHANGES, plan, file_bytes=700)
    files = MemoryFiles(blobs(archive))
    listed = asyncio.run(list_exports(files))
    assert [one.problem for one in listed] == [None] * 3


# ---- cut off -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("plan", "rows"), [(PLAN, ITEMS), (WINDOW, CHANGES)])
@pytest.mark.parametrize("does", [False, True])
def test_wherever_it_ends_it_is_not_there_and_the_same_call_goes_on(
    plan: PlannedExport, rows: Sequence[ExportedItem], does: bool
) -> None:
    whole = MemoryArchive()
    written(whole, rows, plan, file_bytes=700, at_ms=T // 1_000 + 9)
    count = len(blobs(whole))
    for left in range(count):
        archive = FailingArchive(left, does=does)
        with pytest.raises(ArchiveError, match="the disk is full"):
            written(archive, rows, plan, file_bytes=700)
        was_finished = left == count - 1 and does
        assert is_there(archive) == was_finished
        archive.left = count
        written(archive, rows, plan, file_bytes=700, at_ms=T // 1_000 + 9)
        if not was_finished:
            assert blobs(archive) == blobs(whole)
        assert all_of(blobs(archive)) == rows


@pytest.mark.parametrize(("plan", "rows"), [(PLAN, ITEMS), (WINDOW, CHANGES)])
def test_what_was_not_finished_is_taken_away_and_nothing_else(
    plan: PlannedExport, rows: Sequence[ExportedItem]
) -> None:
    other = replace(plan, export_id="01693685827463-00000000")
    for left in range(2, 30):
        archive = FailingArchive(1_000)
        written(archive, rows, other, file_bytes=700)
        before = blobs(archive)
        archive.left = left
        try:
            written(archive, rows, plan, file_bytes=700)
        except ArchiveError:
            pass
        else:
            break
        begun = len(blobs(archive)) - len(before)
        for deleted in range(begun):  # a kill in the middle leaves what the next one takes
            archive.left = deleted
            with pytest.raises(ArchiveError):
                asyncio.run(discard_export(archive, plan))
            assert plan.started in blobs(archive)
            begun -= deleted
            if begun <= deleted + 1:
                break
        archive.left = 1_000
        assert asyncio.run(discard_export(archive, plan)) == begun
        assert blobs(archive) == before
        assert asyncio.run(discard_export(archive, plan)) == 0
    else:
        pytest.fail("no call was left to go through")


def test_a_finished_export_is_left_as_it_is() -> None:
    archive = MemoryArchive()
    summary = written(archive)
    before = blobs(archive)

    def rows() -> Iterable[ExportedItem]:
        raise AssertionError("no row is read")
        yield

    assert written(archive, rows(), at_ms=T) == summary
    with pytest.raises(Refused, match="is finished, and is left as it is"):
        asyncio.run(discard_export(archive, PLAN))
    assert blobs(archive) == before


@pytest.mark.parametrize("changes", [{"to_us": T + 1_000}, {"format": "ION"}, {"table_id": "other"}])
def test_another_finished_export_of_the_same_id_is_refused(changes: dict[str, Any]) -> None:
    archive = MemoryArchive()
    written(archive)
    with pytest.raises(Refused, match="is there, of arn:aws") as refused:
        written(archive, plan=replace(PLAN, **changes))
    assert refused.value.hint == "begin it under a new id"


def test_going_on_with_other_rows_is_refused() -> None:
    archive = FailingArchive(3)
    with pytest.raises(ArchiveError):
        written(archive, file_bytes=700)
    archive.left = 100
    with pytest.raises(Refused, match="it was begun with other rows"):
        written(archive, [*reversed(ITEMS)], file_bytes=700)
    assert not is_there(archive)


def test_two_who_write_the_checksum_of_the_summary_at_once_are_told() -> None:
    class Racing(MemoryArchive):
        async def compare_and_put(self, name: str, data: bytes, tag: str) -> str | None:
            return None

    archive = Racing()
    name = PLAN.summary.replace(".json", ".md5")
    asyncio.run(archive.put_if_absent(name, b"another's"))
    with pytest.raises(Refused, match="is written by two at once"):
        written(archive)
    assert not is_there(archive)


def test_a_row_that_cannot_be_shown_leaves_no_export() -> None:
    archive = MemoryArchive()
    with pytest.raises(InternalError, match="a full export holds items"):
        written(archive, [*ITEMS, ExportedItem({"pk": {"S": "x"}}, None)])
    assert not is_there(archive)
    with pytest.raises(Refused, match="no id of an export"):
        written(archive, plan=replace(PLAN, export_id="x"))


def test_a_blob_that_vanishes_while_it_is_compared_is_not_taken_for_ours() -> None:
    class Vanishing(MemoryArchive):
        async def put_if_absent(self, name: str, data: bytes) -> str | None:
            return None

        async def get(self, name: str, start: int = 0, length: int | None = None) -> Blob | None:
            return None

    with pytest.raises(Refused, match="_started is there, and is not what"):
        written(Vanishing())
