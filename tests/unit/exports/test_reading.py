"""An export is read whole, from any position, page by page; what is damaged is refused where it is."""

import asyncio
import gzip
import sys
from typing import Any

import orjson
import pytest

from tailrace.errors import Refused, SettingsError, Unavailable
from tailrace.exports.core.exported import BEGINNING, ExportedItem, ExportPosition
from tailrace.exports.run import reading
from tailrace.exports.run.listing import open_data_files
from tailrace.exports.run.reading import ExportReader
from tailrace.testing.exporting import ExportForm, MemoryFiles, data_file, full_export, incremental_export
from tests.unit.exports.given import EVERYTHING, MINUTE, T, all_of, numbered, opened, pages_of

FORMS = [
    ExportForm(),
    ExportForm(compression="NONE", files=1),
    ExportForm(compression="ZSTD", files=9),
    ExportForm(format="ION", prefix="daily/orders"),
    ExportForm(format="ION", is_binary=True, compression="ZSTD"),
    ExportForm(format="ION", is_binary=True, compression="NONE", checksum="md5"),
]
ITEMS = numbered(7)
CHANGES = [
    ExportedItem({"pk": {"S": "new"}}, {"pk": {"S": "new"}, **EVERYTHING}, None, T + 1),
    ExportedItem({"pk": {"S": "kept"}}, {"pk": {"S": "kept"}}, {"pk": {"S": "kept"}, "x": {"N": "1"}}, T + 2),
    ExportedItem({"pk": {"S": "gone"}}, None, EVERYTHING, T + 3),
    ExportedItem({"pk": {"S": "came and went"}}, None, None, T + 4),
]


def keyed(items: list[ExportedItem]) -> list[bytes]:
    """In an order of their own: files are filled in turn."""
    return sorted(orjson.dumps([one.keys, one.new, one.old, one.written_us]) for one in items)


@pytest.mark.parametrize("form", FORMS)
def test_a_full_export_comes_back_as_it_was(form: ExportForm) -> None:
    items = all_of(full_export(ITEMS, T, form))
    assert keyed(items) == keyed([ExportedItem(None, item) for item in ITEMS])
    assert not any(one.is_deleted for one in items)


@pytest.mark.parametrize("form", FORMS)
def test_an_incremental_export_tells_inserts_updates_and_deletes(form: ExportForm) -> None:
    items = all_of(incremental_export(CHANGES, (T, T + 15 * MINUTE), form))
    assert keyed(items) == keyed(CHANGES)
    assert {one.keys["pk"]["S"] for one in items if one.is_deleted and one.keys} == {"gone", "came and went"}


def test_the_view_of_new_images_shows_no_old_ones() -> None:
    items = all_of(incremental_export(CHANGES, (T, T + 15 * MINUTE), view="NEW_IMAGE"))
    assert keyed(items) == keyed([ExportedItem(one.keys, one.new, None, one.written_us) for one in CHANGES])


def test_an_export_without_items_has_files_and_ends() -> None:
    files = MemoryFiles(full_export([], T))
    pages = pages_of(files, opened(files)[1])
    assert [(page.items, page.position.number) for page in pages] == [((), 1), ((), 2)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("page_items", [1, 2, 3, 100])
def test_reading_goes_on_behind_every_page_without_a_gap_or_a_duplicate(
    form: ExportForm, page_items: int
) -> None:
    files = MemoryFiles(full_export(ITEMS, T, form))
    export = opened(files)[1]
    pages = pages_of(files, export, page_items=page_items)
    items = [item for page in pages for item in page.items]
    done = 0
    for page in pages:
        done += len(page.items)
        rest = [item for one in pages_of(files, export, page.position) for item in one.items]
        assert rest == items[done:]
        assert page.progress.items == done


def test_reading_goes_on_behind_every_single_item() -> None:
    files = MemoryFiles(full_export(ITEMS, T, ExportForm(files=2)))
    export = opened(files)[1]
    items = [item for page in pages_of(files, export) for item in page.items]
    for number, file in enumerate(export.files):
        for done in range((file.items or 0) + 1):
            before = sum(one.items or 0 for one in export.files[:number])
            rest = pages_of(files, export, ExportPosition(number, done, file.name))
            assert [item for page in rest for item in page.items] == items[before + done :]


def test_progress_ends_at_the_totals_from_any_position() -> None:
    files = MemoryFiles(full_export(ITEMS, T))
    export = opened(files)[1]
    for after in (BEGINNING, ExportPosition(0, 2, export.files[0].name), ExportPosition(1, 0, "")):
        last = pages_of(files, export, after)[-1].progress
        assert (last.items, last.bytes) == (last.total_items, last.total_bytes)
        assert last.total_items == 7
        assert last.total_bytes == sum(file.size for file in export.files)


def test_files_are_read_side_by_side() -> None:
    files = MemoryFiles(full_export(ITEMS, T, ExportForm(files=3)))
    export = opened(files)[1]

    async def read(number: int) -> list[ExportedItem]:
        reader = ExportReader(files, export, page_items=2)
        return [item async for page in reader.pages_of(number) for item in page.items]

    async def together() -> list[ExportedItem]:
        parts = await asyncio.gather(*(read(number) for number in range(3)))
        return [item for part in parts for item in part]

    assert asyncio.run(together()) == [item for page in pages_of(files, export) for item in page.items]


def test_a_file_is_never_held_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHUNK", 1_000)
    read: list[tuple[int, int]] = []

    class Watched(MemoryFiles):
        def read(self, name: str, start: int, length: int) -> bytes | None:
            if "/data/" in name:
                read.append((start, length))
            return super().read(name, start, length)

    files = Watched(full_export(numbered(300), T, ExportForm(files=1, compression="NONE")))
    export = opened(files)[1]

    async def first() -> None:
        pages = ExportReader(files, export, page_items=2).pages()
        await anext(pages)
        await pages.aclose()

    asyncio.run(first())
    assert max(length for _, length in read) == 1_000
    assert max(start for start, _ in read) < 5_000 < export.files[0].size


@pytest.mark.parametrize("position", [
    ExportPosition(3, 0, ""), ExportPosition(0, 1, "other.json.gz"), ExportPosition(2, 0, "other.json.gz"),
])  # fmt: skip
def test_a_position_of_another_export_is_refused(position: ExportPosition) -> None:
    files = MemoryFiles(full_export(ITEMS, T))
    with pytest.raises(Refused, match="none of this export, which has 2 files"):
        pages_of(files, opened(files)[1], position)


def test_a_position_behind_the_last_item_of_a_file_is_refused() -> None:
    files = MemoryFiles(full_export(ITEMS, T, ExportForm(files=1)))
    export = opened(files)[1]
    name = export.files[0].name
    assert len(pages_of(files, export, ExportPosition(0, 7, name))) == 1
    with pytest.raises(Refused, match="go on behind item 8, and it has 7"):
        pages_of(files, export, ExportPosition(0, 8, name))


def test_an_outage_in_the_middle_leaves_a_position_from_which_reading_goes_on() -> None:
    blobs = full_export(ITEMS, T, ExportForm(files=3))

    class Failing(MemoryFiles):
        reads = 0

        def read(self, name: str, start: int, length: int) -> bytes | None:
            if "/data/" in name:
                self.reads += 1
                if self.reads == 2:
                    raise Unavailable("the bucket is away")
            return super().read(name, start, length)

    files = Failing(blobs)
    export = opened(files)[1]
    got: list[ExportedItem] = []
    position = BEGINNING

    async def read() -> None:
        nonlocal position
        async for page in ExportReader(files, export, page_items=2).pages(position):
            got.extend(page.items)
            position = page.position

    with pytest.raises(Unavailable, match="the bucket is away"):
        asyncio.run(read())
    asyncio.run(read())
    assert got == all_of(blobs)


# ---- damage ------------------------------------------------------------------------------------------------


def data_key(blobs: dict[str, bytes], number: int = 0) -> str:
    return [key for key in blobs if "/data/" in key][number]


def damaged(blobs: dict[str, bytes], **chosen: Any) -> str:
    with pytest.raises(Refused) as refused:
        all_of(blobs, **chosen)
    return str(refused.value)


def test_a_byte_that_turned_is_found_in_every_place_of_every_form() -> None:
    for form in FORMS:
        blobs = full_export(numbered(3), T, form)
        key = data_key(blobs)
        whole = blobs[key]
        for place in range(0, len(whole), 17):
            turned = bytearray(whole)
            turned[place] ^= 0x20
            assert key.rpartition("/")[2] in damaged({**blobs, key: bytes(turned)})


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_is_cut_off_is_found_wherever_it_is_cut(form: ExportForm) -> None:
    blobs = full_export(numbered(3), T, form)
    key = data_key(blobs)
    for end in range(0, len(blobs[key]), 11):
        assert f"memory/{key}" in damaged({**blobs, key: blobs[key][:end]})


@pytest.mark.parametrize(("name", "form"), [
    ("a.json.gz", ExportForm()), ("a.json.zst", ExportForm(compression="ZSTD")),
    ("a.ion.gz", ExportForm(format="ION")), ("a.ion.zst", ExportForm(format="ION", compression="ZSTD")),
])  # fmt: skip
def test_a_packed_file_that_is_cut_off_is_found_without_a_manifest(name: str, form: ExportForm) -> None:
    whole = data_file([ExportedItem(None, item) for item in ITEMS], form)
    for end in (*range(1, len(whole), 4), len(whole) - 1):
        files = MemoryFiles({name: whole[:end]})
        with pytest.raises(Refused, match=r"after (line|value)"):
            pages_of(files, asyncio.run(open_data_files(files)))


def test_a_cut_gzip_says_so() -> None:
    blobs = full_export(ITEMS, T)
    key = data_key(blobs)
    words = damaged({**blobs, key: blobs[key][:-4]})
    assert "the gzip ends before its end: the file is cut off" in words
    assert f"memory/{key}, after line 4" in words
    assert "aws s3 sync" in words


def test_the_last_page_of_a_damaged_file_and_its_position_are_never_told() -> None:
    blobs = full_export(ITEMS, T, ExportForm(files=1))
    key = data_key(blobs)
    lines = gzip.decompress(blobs[key]).splitlines(keepends=True)
    blobs[key] = gzip.compress(b"".join([*lines[:6], lines[0]]), mtime=0)
    files = MemoryFiles(blobs)
    export = opened(files)[1]
    told: list[Any] = []

    async def read() -> None:
        async for page in ExportReader(files, export, page_items=3).pages():
            told.append(page)

    with pytest.raises(Refused, match="is not the file that was exported: its MD5 is"):
        asyncio.run(read())
    assert [page.position for page in told] == [
        ExportPosition(0, 3, key), ExportPosition(0, 6, key),
    ]  # fmt: skip


def test_a_count_that_differs_is_told_with_both() -> None:
    blobs = full_export(ITEMS, T, ExportForm(files=2))
    (manifest,) = [key for key in blobs if key.endswith("manifest-files.json")]
    lines = [orjson.loads(line) for line in blobs[manifest].splitlines()]
    lines[0]["itemCount"] -= 1
    lines[1]["itemCount"] += 1
    blobs[manifest] = b"\n".join(map(orjson.dumps, lines))
    blobs.pop(manifest.replace(".json", ".checksum"))
    assert "has 4 items, and the manifest says 3" in damaged(blobs)


def test_a_bad_line_is_told_with_file_line_and_its_first_letters() -> None:
    bad = b'{"Item":{"pk":{"S":"b"},"x":{"Q":"' + b"x" * 500 + b'"}}}'
    data = gzip.compress(b'{"Item":{"pk":{"S":"a"}}}\n\n' + bad + b"\n")
    files = MemoryFiles({"some/place/one.json.gz": data}, "some")

    async def read() -> None:
        async for _ in ExportReader(files, await open_data_files(files)).pages():
            pass

    with pytest.raises(Refused) as refused:
        asyncio.run(read())
    words = str(refused.value)
    assert words.startswith("memory/some/place/one.json.gz, line 3: Item is no item: ")
    shown = bad[:200].decode()
    assert words.partition("\n")[0].endswith(shown)
    assert bad[:201].decode() not in words


def test_a_bad_value_of_ion_is_told_by_its_number() -> None:
    files = MemoryFiles({"one.ion": b'$ion_1_0 {Item:{pk:"a"}}\n$ion_1_0 {Item:{pk:1e0}}\n'})

    async def read() -> None:
        async for _ in ExportReader(files, await open_data_files(files)).pages():
            pass

    with pytest.raises(Refused, match=r"one\.ion, value 2: a float, which DynamoDB does not have"):
        asyncio.run(read())


def test_a_file_that_vanishes_or_grows_while_it_is_read_is_told() -> None:
    blobs = {"a.json": data_file([ExportedItem(None, ITEMS[1])], ExportForm(compression="NONE"))}
    files = MemoryFiles(blobs)
    export = asyncio.run(open_data_files(files))
    grown = MemoryFiles({"a.json": blobs["a.json"] * 2})
    with pytest.raises(Refused, match="somebody writes it"):
        pages_of(grown, export)
    with pytest.raises(Refused, match=r"a\.json is not there any more"):
        pages_of(MemoryFiles({}), export)


@pytest.mark.parametrize(("module", "form", "words"), [
    ("amazon.ion", ExportForm(format="ION"), "exports in ION need the extra `exports`"),
    ("zstandard", ExportForm(compression="ZSTD"), "files in zstandard need the extra `exports`"),
])  # fmt: skip
def test_an_extra_that_is_missing_is_named(
    module: str, form: ExportForm, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = full_export(ITEMS, T, form)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SettingsError, match=words) as error:
        all_of(blobs)
    assert error.value.hint == "pip install '.[exports]' in the checkout"


def test_full_lines_among_changes_and_changes_among_full_lines_are_refused() -> None:
    full, changes = full_export(ITEMS[1:], T), incremental_export(CHANGES, (T, T + 15 * MINUTE))
    for one, other, words in (
        (full, changes, "no member Item; there are Keys, Metadata"),
        (changes, full, "an item of a full export among the changes"),
    ):
        key, data = data_key(one), other[data_key(other)]
        assert words in damaged({**one, key: data})
