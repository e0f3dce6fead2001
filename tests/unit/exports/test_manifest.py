"""Manifests of both versions, their checksums, and every member that may be missing or wrong."""

from base64 import b64encode
from hashlib import md5
from typing import Any

import orjson
import pytest

from tailrace.errors import Refused
from tailrace.exports.core.manifest import (
    ExportSummary,
    ManifestFile,
    check_manifest,
    files_of,
    summary_of,
)

FULL: dict[str, Any] = {
    "version": "2020-06-30",
    "exportArn": "arn:aws:dynamodb:us-east-1:123456789012:table/orders/export/01693685827463-2d8752fd",
    "startTime": "2023-09-02T20:17:07.463Z",
    "endTime": "2023-09-02T20:21:07.463Z",
    "tableArn": "arn:aws:dynamodb:us-east-1:123456789012:table/orders",
    "tableId": "5c7ebcc1-2b6c-4ba3-8c2a-7a1f0f3e9d11",
    "exportTime": "2023-09-02T20:14:45.463Z",
    "s3Bucket": "backups",
    "s3Prefix": "daily",
    "s3SseAlgorithm": "AES256",
    "s3SseKmsKeyId": None,
    "manifestFilesS3Key": "daily/AWSDynamoDB/01693685827463-2d8752fd/manifest-files.json",
    "billedSizeBytes": 500,
    "itemCount": 8,
    "outputFormat": "DYNAMODB_JSON",
}
INCREMENTAL: dict[str, Any] = {
    **FULL,
    "version": "2023-08-01",
    "exportTime": None,
    "exportFromTime": "2023-09-02T20:00:00.000Z",
    "exportToTime": "2023-09-02T20:15:00.000Z",
    "outputView": "NEW_AND_OLD_IMAGES",
    "exportType": "INCREMENTAL_EXPORT",
    "outputFormat": "ION",
}
SUMMARY = summary_of(orjson.dumps(FULL), "s")
LINE: dict[str, Any] = {
    "itemCount": 5,
    "md5Checksum": "sQMSpEILNgoQmarvDFonGQ==",
    "etag": "af83d6f217c19b8b0fff8023d8ca4716-1",
    "dataFileS3Key": "daily/AWSDynamoDB/01693685827463-2d8752fd/data/asdl123dasas.json.gz",
}


def refused(members: dict[str, Any]) -> str:
    with pytest.raises(Refused) as error:
        summary_of(orjson.dumps(members), "place/manifest-summary.json")
    return str(error.value)


def test_the_summary_of_a_full_export_is_read() -> None:
    assert ExportSummary(
        "01693685827463-2d8752fd", "FULL_EXPORT", "DYNAMODB_JSON", FULL["tableArn"], FULL["tableId"],
        1_693_685_685_463_000, 8, 500, "backups", "daily",
    ) == SUMMARY  # fmt: skip
    assert (SUMMARY.table, SUMMARY.is_full) == ("orders", True)


def test_the_summary_of_an_incremental_export_is_read() -> None:
    summary = summary_of(orjson.dumps(INCREMENTAL), "s")
    assert (summary.from_us, summary.to_us) == (1_693_684_800_000_000, 1_693_685_700_000_000)
    assert (summary.export_type, summary.view, summary.format) == (
        "INCREMENTAL_EXPORT", "NEW_AND_OLD_IMAGES", "ION",
    )  # fmt: skip
    assert summary.times == "2023-09-02T20:00:00.000Z to 2023-09-02T20:15:00.000Z"


def test_a_full_export_of_the_later_version_is_one() -> None:
    later = {**FULL, "version": "2023-08-01", "exportType": "FULL_EXPORT", "exportFromTime": None}
    assert summary_of(orjson.dumps(later), "s") == SUMMARY
    later.pop("exportType")
    assert summary_of(orjson.dumps(later), "s") == SUMMARY


@pytest.mark.parametrize(("members", "is_filtered"), [
    ({}, False), ({"filterSpecification": None}, False), ({"filterSpecification": {}}, False),
    ({"filterSpecification": {"filterExpression": "a = :a"}}, True), ({"FilterExpression": "a = :a"}, True),
])  # fmt: skip
def test_a_filtered_export_is_known_for_one(members: dict[str, Any], is_filtered: bool) -> None:
    assert summary_of(orjson.dumps({**FULL, **members}), "s").is_filtered is is_filtered


@pytest.mark.parametrize("view", ["KEYS_ONLY", "NEW_IMAGES", "OLD_IMAGE", None])
def test_a_view_without_new_images_is_refused_with_what_to_export(view: str | None) -> None:
    words = refused({**INCREMENTAL, "outputView": view})
    assert f"outputView is {view!r}" in words
    assert "ExportViewType=NEW_AND_OLD_IMAGES" in words
    assert summary_of(orjson.dumps({**INCREMENTAL, "outputView": "NEW_IMAGE"}), "s").view == "NEW_IMAGE"


@pytest.mark.parametrize("version", ["2019-01-01", "2030-06-30", "", None, 20200630])
def test_an_unknown_version_is_refused(version: Any) -> None:
    assert "version" in refused({**FULL, "version": version})


@pytest.mark.parametrize("name", ["tableArn", "tableId", "exportTime", "itemCount", "billedSizeBytes",
                                  "outputFormat"])  # fmt: skip
@pytest.mark.parametrize("value", [None, 1.5, True, "", -1])
def test_a_member_that_is_missing_or_wrong_is_named(name: str, value: Any) -> None:
    if value == "" and name in ("tableArn", "tableId"):
        return  # a text, which says nothing less than another one would
    assert f"place/manifest-summary.json: {name}" in refused({**FULL, name: value})
    assert f"{name} is None" in refused({key: inside for key, inside in FULL.items() if key != name})


@pytest.mark.parametrize("time", ["2023-02-29T00:00:00Z", "2023-13-01T00:00:00Z", "yesterday", "2023-09-02",
                                  "2023-09-02T24:00:00Z", "2023-09-02T20:14:45+02:00"])  # fmt: skip
def test_what_is_no_time_is_refused(time: str) -> None:
    assert "exportTime is no time" in refused({**FULL, "exportTime": time})


def test_what_is_neither_format_nor_type_is_refused() -> None:
    assert "outputFormat is 'CSV'; those that are read are DYNAMODB_JSON, ION" in refused(
        {**FULL, "outputFormat": "CSV"}
    )
    assert "exportType is 'HALF'" in refused({**INCREMENTAL, "exportType": "HALF"})


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff\xfe", b"<html>"])
def test_what_is_no_json_object_is_shown(data: bytes) -> None:
    with pytest.raises(Refused, match=r"a/manifest-summary\.json: no JSON"):
        summary_of(data, "a/manifest-summary.json")


# ---- files -------------------------------------------------------------------------------------------------


def lines(*changed: dict[str, Any]) -> bytes:
    return b"".join(orjson.dumps({**LINE, **one}) + b"\n" for one in changed)


def test_the_files_are_those_of_the_manifest_in_its_order() -> None:
    data = lines({"dataFileS3Key": "x/data/b.json.gz"}, {"dataFileS3Key": "x/data/a.json.gz", "itemCount": 3})
    assert files_of(data, "m", SUMMARY) == (
        ManifestFile("b.json.gz", 5, LINE["md5Checksum"]), ManifestFile("a.json.gz", 3, LINE["md5Checksum"]),
    )  # fmt: skip


def test_counts_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(Refused, match="its 1 files have 5 items, and the summary says 8"):
        files_of(lines({}), "m", SUMMARY)


def test_a_file_that_is_listed_twice_is_refused() -> None:
    with pytest.raises(Refused, match=r"the file asdl123dasas\.json\.gz is listed twice"):
        files_of(lines({}, {"itemCount": 3}), "m", SUMMARY)


@pytest.mark.parametrize("wrong", [{"itemCount": "3"}, {"itemCount": -1}, {"md5Checksum": None},
                                   {"dataFileS3Key": 1}])  # fmt: skip
def test_a_line_that_is_wrong_is_named_by_its_number(wrong: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=f"m, line 2: {next(iter(wrong))} is"):
        files_of(lines({}, wrong), "m", SUMMARY)
    with pytest.raises(Refused, match="m, line 1: no JSON"):
        files_of(b"{\n", "m", SUMMARY)


# ---- checksums ---------------------------------------------------------------------------------------------

DATA = b'{"a":1}'
DIGEST = md5(DATA).digest()


@pytest.mark.parametrize("text", [
    b64encode(DIGEST), b64encode(DIGEST) + b"\n", DIGEST.hex().encode(),
    DIGEST.hex().upper().encode() + b"  manifest-files.json\n",
])  # fmt: skip
def test_a_checksum_is_base64_or_hexadecimal(text: bytes) -> None:
    check_manifest(DATA, text, "m.json", "m.checksum")
    with pytest.raises(Refused, match=r"m\.json is not the file that m\.checksum was made of"):
        check_manifest(DATA + b" ", text, "m.json", "m.checksum")


@pytest.mark.parametrize(
    "text", [b"", b"  \n", b"abc", b64encode(DIGEST[:15]), b"z" * 32, b64encode(DIGEST)[:-1]]
)
def test_what_is_no_checksum_is_refused(text: bytes) -> None:
    with pytest.raises(Refused, match=r"m\.checksum: .* is no MD5"):
        check_manifest(DATA, text, "m.json", "m.checksum")
