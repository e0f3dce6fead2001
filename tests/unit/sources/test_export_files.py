"""Exports in a directory and in S3, however they were copied there."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tailrace.aws.places import KNOWN, Access
from tailrace.errors import Refused, SettingsError, Throttled, Unavailable
from tailrace.exports.core.exported import ExportedItem
from tailrace.exports.run.files import ExportFiles
from tailrace.exports.run.listing import list_exports, open_data_files
from tailrace.sources.export_files import BucketFiles, DirectoryFiles, export_place
from tailrace.testing.exporting import ExportForm, MemoryFiles, full_export, incremental_export, saved
from tests.unit.aws.scripted import answer, scripted
from tests.unit.exports.given import MINUTE, T, numbered, opened, pages_of
from tests.unit.sinks.moto_server import client, moto

HERE = Access()
PREFIX = ExportForm(prefix="daily/or ders+ü", files=3)
ITEMS = numbered(7)
FULL = full_export(ITEMS, T, PREFIX)
CHANGES = [ExportedItem({"pk": {"S": "a"}}, {"pk": {"S": "a"}}, None, T + 1)]
INCREMENTAL = incremental_export(CHANGES, (T, T + 15 * MINUTE), PREFIX, number=2)
FULL_FOLDER = next(key for key in FULL if key.endswith("_started")).removesuffix("/_started")
INCREMENTAL_FOLDER = next(key for key in INCREMENTAL if key.endswith("_started")).removesuffix("/_started")


@pytest.fixture(scope="module")
def s3() -> Iterator[Access]:
    with pytest.MonkeyPatch.context() as patch, moto() as access:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        KNOWN.forget(None)
        client("s3", access).create_bucket(Bucket="exports")
        for key, data in {**FULL, **INCREMENTAL}.items():
            client("s3", access).put_object(Bucket="exports", Key=key, Body=data)
        yield access
    KNOWN.forget(None)


def read(files: ExportFiles) -> list[ExportedItem]:
    return [item for page in pages_of(files, opened(files)[1]) for item in page.items]


ALL = read(MemoryFiles(FULL))


@pytest.mark.parametrize("root", ["", "daily", "daily/or ders+ü", "daily/or ders+ü/AWSDynamoDB", FULL_FOLDER])
def test_a_full_export_is_read_from_its_folder_and_from_any_above(
    root: str, tmp_path: Path, s3: Access
) -> None:
    saved(FULL, tmp_path)
    assert read(export_place(str(tmp_path / root), HERE)) == ALL
    assert read(MemoryFiles(FULL, root)) == ALL
    files = export_place(f"s3://exports/{root}/", s3)
    full = [one for one in asyncio.run(list_exports(files)) if one.summary and one.summary.is_full]
    assert [one.export_id for one in full] == ["01693685685463-00000001"]
    if root == FULL_FOLDER:
        assert read(files) == ALL


@pytest.mark.parametrize("root", ["", "daily/or ders+ü/AWSDynamoDB", INCREMENTAL_FOLDER])
def test_an_incremental_export_is_read_though_its_data_lie_beside_its_folder(
    root: str, tmp_path: Path, s3: Access
) -> None:
    saved(INCREMENTAL, tmp_path)
    assert read(export_place(str(tmp_path / root), HERE)) == CHANGES
    assert read(MemoryFiles(INCREMENTAL, root)) == CHANGES
    if root == INCREMENTAL_FOLDER:
        assert read(export_place(f"s3://exports/{root}", s3)) == CHANGES


def test_a_relative_directory_and_the_directory_itself_are_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(saved(INCREMENTAL, tmp_path) / INCREMENTAL_FOLDER)
    assert read(export_place(".", HERE)) == CHANGES


@pytest.mark.parametrize("layout", ["data inside", "flat", "without the prefix"])
def test_files_that_were_copied_otherwise_are_found_by_their_names(layout: str, tmp_path: Path) -> None:
    folder = INCREMENTAL_FOLDER.rpartition("/")[2]
    for key, data in INCREMENTAL.items():
        name = key.rpartition("/")[2]
        inside = "data/" if "/data/" in key and layout != "flat" else ""
        where = f"AWSDynamoDB/{inside}" if layout == "without the prefix" and inside else f"{folder}/{inside}"
        path = tmp_path / where / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    if layout == "without the prefix":
        shutil.move(tmp_path / folder, tmp_path / "AWSDynamoDB" / folder)
    assert read(export_place(str(tmp_path), HERE)) == CHANGES


def test_a_listing_of_several_pages_is_read_whole(s3: Access, monkeypatch: pytest.MonkeyPatch) -> None:
    from tailrace.aws import buckets

    monkeypatch.setattr(buckets, "PAGE", 2)
    asked = 0
    names = buckets.S3Bucket.names

    async def counted(self: buckets.S3Bucket, *arguments: Any, **named: Any) -> buckets.NamesPage:
        nonlocal asked
        asked += 1
        return await names(self, *arguments, **named, most=2)

    monkeypatch.setattr(buckets.S3Bucket, "names", counted)
    files = BucketFiles(s3, "exports", FULL_FOLDER)
    entries = files.entries("")
    assert entries.folders == ("data",)
    assert sorted(entries.files) == sorted(key.rpartition("/")[2] for key in FULL if "/data/" not in key)
    assert asked == 3, "five manifests and a folder, two names a page"
    assert read(files) == ALL


def test_a_part_of_an_object_is_read_to_its_end_and_not_beyond(s3: Access) -> None:
    files = BucketFiles(s3, "exports", FULL_FOLDER)
    whole = FULL[f"{FULL_FOLDER}/manifest-summary.json"]
    size = len(whole)
    for start, length in ((0, 5), (3, 4), (size - 2, 100), (size, 10), (size + 5, 10), (0, size)):
        assert files.read("manifest-summary.json", start, length) == whole[start : start + length]
    assert files.read("_started", 0, 10) == b""
    assert files.read("nothing", 0, 10) is None


def test_data_files_alone_are_read_from_s3(s3: Access) -> None:
    files = export_place(f"s3://exports/{FULL_FOLDER}/data", s3)
    export = asyncio.run(open_data_files(files))
    assert sorted(str(item) for page in pages_of(files, export) for item in page.items) == sorted(
        map(str, ALL)
    )


# ---- what is no place --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "words"), [
    ("s3://", "names no bucket"),
    ("s3:///prefix", "names no bucket"),
    ("gs://bucket/x", "is no place that is read: a directory, or s3://bucket/prefix"),
    ("https://bucket.s3.amazonaws.com/x", "is no place that is read"),
    ("arn:aws:dynamodb:us-east-1:123456789012:table/T/export/1-2", "aws dynamodb describe-export --"),
    ("/nothing/at/all", "there is no such directory"),
])  # fmt: skip
def test_what_is_no_place_is_said_with_what_is_one(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        export_place(text, HERE)


def test_a_file_is_no_place(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"")
    with pytest.raises(SettingsError, match="is a file: name its directory"):
        export_place(str(tmp_path / "a.json"), HERE)


def test_a_bucket_that_is_not_there_is_an_outage_with_a_hint(s3: Access) -> None:
    with pytest.raises(Unavailable, match="s3://no-bucket: NoSuchBucket") as refused:
        asyncio.run(list_exports(export_place("s3://no-bucket", s3)))
    assert "AWS_REGION" in (refused.value.hint or "")


@pytest.mark.parametrize(("status", "code", "kind", "hint"), [
    (503, "SlowDown", Throttled, ""),
    (500, "InternalError", Unavailable, ""),
    (403, "AccessDenied", Unavailable, "allow the action s3:GetObject"),
])  # fmt: skip
def test_what_s3_refuses_is_said_as_an_outage_and_asked_once(
    s3: Access, status: int, code: str, kind: type[Exception], hint: str
) -> None:
    with scripted() as script:
        script.otherwise = answer(status, f"<Error><Code>{code}</Code><Message>No</Message></Error>".encode())
        files = BucketFiles(Access("us-east-1", script.url), "exports", "a")
        with pytest.raises(kind, match=f"s3://exports/a: {code}: No") as refused:
            files.read("x", 0, 10)
        assert hint in str(refused.value)
        assert len(script.asked) == 1


def test_a_directory_that_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", denied)
    with pytest.raises(Refused, match="Permission denied"):
        DirectoryFiles(tmp_path, str(tmp_path)).entries("x")


def test_a_disk_that_fails_is_an_outage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path, mode: str) -> None:
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr(Path, "open", broken)
    with pytest.raises(Unavailable, match="Input/output error"):
        DirectoryFiles(tmp_path, str(tmp_path)).read("x", 0, 1)
