"""Which exports are at a place: those that are not finished, damaged or incomplete are named."""

import asyncio
from typing import Any

import orjson
import pytest

from tailrace.errors import Refused, SettingsError
from tailrace.exports.core.exported import ExportedItem
from tailrace.exports.run import listing
from tailrace.exports.run.listing import (
    ListedExport,
    chosen_export,
    list_exports,
    open_data_files,
    open_export,
)
from tailrace.testing.exporting import ExportForm, MemoryFiles, data_file, full_export, incremental_export
from tests.unit.exports.given import MINUTE, T, numbered, opened, pages_of

ITEMS = numbered(4)
FULL = full_export(ITEMS, T)
FOLDER = "AWSDynamoDB/01693685685463-00000001"


def listed(blobs: dict[str, bytes], folder: str = "") -> tuple[ListedExport, ...]:
    return asyncio.run(list_exports(MemoryFiles(blobs, folder)))


def without(blobs: dict[str, bytes], *endings: str) -> dict[str, bytes]:
    return {key: data for key, data in blobs.items() if not key.endswith(endings)}


def refused(blobs: dict[str, bytes]) -> Refused:
    with pytest.raises(Refused) as error:
        opened(MemoryFiles(blobs))
    return error.value


def test_exports_are_listed_by_their_times_whatever_their_folders_are_called() -> None:
    later = full_export(ITEMS, T + MINUTE, ExportForm(prefix="a"))
    step = incremental_export([], (T, T + 15 * MINUTE), number=2)
    assert [one.export_id for one in listed({**later, **step, **FULL})] == [
        "01693685685463-00000001", "01693685745463-00000001", "01693686585463-00000002",
    ]  # fmt: skip
    assert listed({}) == ()


def test_an_export_that_has_only_begun_has_not_finished() -> None:
    for blobs in (
        {f"{FOLDER}/_started": b""},
        without(FULL, "manifest-summary.json", "manifest-summary.checksum"),
    ):
        (one,) = listed(blobs)
        assert (one.summary, one.export_id) == (None, "01693685685463-00000001")
        error = refused(blobs)
        assert "export 01693685685463-00000001 has not finished: it has no manifest-summary.json" in str(
            error
        )
        assert "describe-export" in (error.hint or "")


def test_the_mark_of_the_beginning_may_be_deleted() -> None:
    assert opened(MemoryFiles(without(FULL, "_started")))[1].total_items == 4


def test_one_export_that_cannot_be_read_keeps_its_error_and_the_others_are_listed() -> None:
    damaged = full_export(ITEMS, T + MINUTE)
    damaged["AWSDynamoDB/01693685745463-00000001/manifest-summary.json"] = b"{"
    good, bad = listed({**FULL, **damaged})
    assert good.summary is not None
    assert "manifest-summary.json is not the file that manifest-summary.checksum was made of" in str(
        bad.problem
    )
    with pytest.raises(Refused, match="is not the file"):
        asyncio.run(open_export(MemoryFiles(damaged), bad))


@pytest.mark.parametrize("name", ["manifest-summary", "manifest-files"])
@pytest.mark.parametrize("suffix", ["checksum", "md5"])
def test_a_manifest_that_its_checksum_was_not_made_of_is_refused(name: str, suffix: Any) -> None:
    blobs = full_export(ITEMS, T, ExportForm(checksum=suffix))
    assert opened(MemoryFiles(blobs))
    blobs[f"{FOLDER}/{name}.json"] += b" "
    assert f"{name}.json is not the file that {name}.{suffix} was made of" in str(refused(blobs))


def test_a_manifest_without_a_checksum_is_read_and_that_is_said() -> None:
    one, export = opened(MemoryFiles(without(FULL, ".checksum")))
    assert one.unchecked == ("manifest-summary.json", "manifest-files.json")
    assert export.total_items == 4
    assert opened(MemoryFiles(FULL))[0].unchecked == ()
    assert listed(without(FULL, "files.checksum"))[0].unchecked == ("manifest-files.json",)


def test_a_manifest_of_files_that_is_missing_is_named() -> None:
    assert f"memory/{FOLDER}/manifest-files.json is not there" in str(
        refused(without(FULL, "manifest-files.json"))
    )


def test_files_that_are_missing_are_named_before_anything_is_read() -> None:
    blobs = full_export(ITEMS, T, ExportForm(files=6))
    keys = [key for key in blobs if "/data/" in key]
    error = refused(without(blobs, *keys[:5]))
    names = [key.rpartition("/")[2] for key in keys]
    assert f"5 of 6 files of export 01693685685463-00000001 are not there: {', '.join(names[:3])} …" in str(
        error
    )
    assert f"looked for in {FOLDER}/data and AWSDynamoDB/data" in str(error)
    step = incremental_export([], (T, T + 15 * MINUTE))
    error = refused({key: data for key, data in step.items() if "/data/" not in key})
    assert "AWSDynamoDB/data, beside their folders" in (error.hint or "")


def test_a_summary_in_the_folder_of_another_export_is_refused() -> None:
    blobs = {key.replace("00000001", "0000000f"): data for key, data in FULL.items()}
    (one,) = listed(blobs)
    assert "is of export 01693685685463-00000001, and lies in the folder of 01693685685463-0000000f" in str(
        one.problem
    )


def test_a_folder_that_was_renamed_by_hand_is_read() -> None:
    blobs = {key.replace(FOLDER, "saved"): data for key, data in FULL.items()}
    one, export = opened(MemoryFiles(blobs))
    assert (one.folder, one.export_id, export.total_items) == ("saved", "01693685685463-00000001", 4)


def test_what_is_inside_an_export_or_a_data_folder_is_not_looked_through() -> None:
    asked: list[str] = []

    class Watched(MemoryFiles):
        def entries(self, folder: str) -> Any:
            asked.append(folder)
            return super().entries(folder)

    step = incremental_export([], (T, T + 15 * MINUTE))
    asyncio.run(list_exports(Watched({**FULL, **step})))
    assert sorted(asked) == ["", "AWSDynamoDB", FOLDER, "AWSDynamoDB/01693686585463-00000001"]


def test_a_place_with_too_many_folders_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MOST_FOLDERS", 4)  # the place itself is one
    blobs = {f"{number}/x": b"" for number in range(4)}
    assert listed({key: blobs[key] for key in list(blobs)[:3]}) == ()
    with pytest.raises(SettingsError, match="memory has more than 4 folders, or"):
        listed(blobs)
    with pytest.raises(SettingsError, match="memory has more than 4 folders, or"):
        asyncio.run(open_data_files(MemoryFiles({f"{key}.json": b"" for key in blobs})))


def test_folders_that_are_too_deep_are_refused_and_not_passed_over() -> None:
    deep = "a/" * listing.DEEPEST
    place = {f"{deep}x.json": b""}
    assert asyncio.run(open_data_files(MemoryFiles(place))).files
    assert listed({f"{deep}_started": b""})
    with pytest.raises(SettingsError, match="or more than 12 below each other"):
        listed({f"{deep}a/_started": b""})
    with pytest.raises(SettingsError, match="or more than 12 below each other"):
        asyncio.run(open_data_files(MemoryFiles({**place, f"{deep}a/x.json": b""})))


# ---- which one ---------------------------------------------------------------------------------------------


def test_the_only_export_is_meant_and_of_several_the_one_that_is_named() -> None:
    one, two = listed({**FULL, **full_export(ITEMS, T + MINUTE)})
    assert chosen_export([one], None, "p") is one
    assert chosen_export([one, two], two.export_id, "p") is two
    for chosen, given_id, words in (
        ([], None, "p: no export is there"),
        ([one, two], None, "p has 2 exports; say which: 01693685685463-00000001 .2023-09-02T20:14:45"),
        ([one, two], "x", "p has no export 'x'; there are 01693685685463-00000001"),
        ([one, one], one.export_id, "p has more than one export '01693685685463-00000001'"),
    ):
        with pytest.raises(SettingsError, match=words) as error:
            chosen_export(chosen, given_id, "p")
        assert error.value.hint == "tailrace export ls p"


# ---- data files alone --------------------------------------------------------------------------------------

PLAIN = ExportForm(compression="NONE")


def lines(*items: Any, form: ExportForm = PLAIN) -> bytes:
    return data_file([ExportedItem(None, item) for item in items], form)


def test_data_files_alone_are_read_in_the_order_of_their_names_whatever_their_form() -> None:
    blobs = {
        "b.json": lines(ITEMS[1]),
        "a/z.ion": lines(ITEMS[0], form=ExportForm(format="ION", compression="NONE")),
        "c.json.zst": lines(ITEMS[2], form=ExportForm(compression="ZSTD")),
        "d/e/f.ion.gz": lines(ITEMS[3], form=ExportForm(format="ION")),
        "g.json.gz": lines(),
        "_SUCCESS": b"",
        "a/.DS_Store": b"x",
    }
    files = MemoryFiles(blobs)
    export = asyncio.run(open_data_files(files))
    assert [file.name for file in export.files] == [
        "a/z.ion",
        "b.json",
        "c.json.zst",
        "d/e/f.ion.gz",
        "g.json.gz",
    ]
    assert export.passed_over == ("_SUCCESS", "a/.DS_Store")
    assert (export.summary, export.total_items) == (None, None)
    read = [item.new for page in pages_of(files, export) for item in page.items]
    assert read == ITEMS


@pytest.mark.parametrize(("name", "words"), [
    ("x.csv", "x.csv is CSV, which is not read"),
    ("x.csv.gz", "x.csv.gz is CSV, which is not read"),
    ("x.txt", "x.txt is no data file that is read: .json or .ion, and these with .gz or .zst"),
    ("x.gz", "x.gz is no data file"),
    ("x", "x is no data file"),
])  # fmt: skip
def test_a_file_that_is_not_read_is_refused_and_not_passed_over(name: str, words: str) -> None:
    with pytest.raises(Refused) as error:
        asyncio.run(open_data_files(MemoryFiles({name: b"", "a.json": b""})))
    assert words in str(error.value)


def test_a_place_without_anything_says_what_is_looked_for() -> None:
    with pytest.raises(Refused, match=r"neither an export .* nor a data file") as error:
        asyncio.run(open_data_files(MemoryFiles({"_x": b""})))
    assert error.value.hint is not None


def test_the_summary_says_what_the_manifest_of_files_must_add_up_to() -> None:
    blobs = dict(without(FULL, ".checksum"))
    summary = orjson.loads(blobs[f"{FOLDER}/manifest-summary.json"])
    blobs[f"{FOLDER}/manifest-summary.json"] = orjson.dumps({**summary, "itemCount": 5})
    assert "its 2 files have 4 items, and the summary says 5" in str(refused(blobs))
