"""What an export that is written is called, and what its lines and manifests say: as the reference has it."""

from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from tailrace.errors import InternalError, Refused
from tailrace.exports.core.exported import ExportedItem
from tailrace.exports.core.ion import exported_of_ion, ion_values
from tailrace.exports.core.lines import exported_of_json
from tailrace.exports.core.manifest import check_manifest, files_of, is_export_id, summary_of
from tailrace.exports.core.plan import (
    PlannedExport,
    billed_bytes,
    checked_plan,
    checksum_of,
    export_id_of,
    files_manifest,
    line_of,
    net_change,
    shown,
    summary_manifest,
    written_file,
)
from tests.unit.exports.given import EVERYTHING, MINUTE, T

ARN = "arn:aws:dynamodb:eu-west-1:123456789012:table/orders"
FULL = PlannedExport(
    "01693685827463-2d8752fd", ARN, "5c7e", T, T + 1_000, bucket="backups", prefix="daily/x", format="ION"
)
WINDOW = replace(FULL, from_us=T - 15 * MINUTE, view="NEW_AND_OLD_IMAGES", format="DYNAMODB_JSON")
KEYS = {"pk": {"S": "a"}}


def change(new: Any, old: Any, written_us: int = T - 1) -> ExportedItem:
    return ExportedItem(KEYS, new, old, written_us)


# ---- names -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("started_us", "chance", "named"), [
    (0, 0, "00000000000000-00000000"),
    (1_693_685_827_463_999, 0x2D8752FD, "01693685827463-2d8752fd"),
    (10**17 - 1, 2**32 - 1, "99999999999999-ffffffff"),
])  # fmt: skip
def test_an_id_is_a_time_and_a_chance(started_us: int, chance: int, named: str) -> None:
    assert export_id_of(started_us, chance) == named
    assert is_export_id(named)


@pytest.mark.parametrize(("started_us", "chance"), [(-1, 0), (10**17, 0), (0, -1), (0, 2**32)])
def test_what_does_not_fit_in_an_id_is_an_error(started_us: int, chance: int) -> None:
    with pytest.raises(InternalError, match="no id of an export"):
        export_id_of(started_us, chance)


def test_files_lie_where_dynamodb_puts_them() -> None:
    own = "AWSDynamoDB/01693685827463-2d8752fd"
    assert (FULL.started, FULL.files, FULL.summary) == (
        f"{own}/_started", f"{own}/manifest-files.json", f"{own}/manifest-summary.json",
    )  # fmt: skip
    full, window = FULL.data_file(0), WINDOW.data_file(0)
    assert full.startswith(f"{own}/data/")
    assert full.endswith(".ion.gz")
    assert window.startswith("AWSDynamoDB/data/")
    assert window.endswith(".json.gz")
    assert len(window.rpartition("/")[2].partition(".")[0]) == 26
    others = {replace(WINDOW, export_id="01693685827463-2d8752fe").data_file(n) for n in range(100)}
    assert len(others | {WINDOW.data_file(n) for n in range(100)}) == 200
    assert FULL.key(full) == f"daily/x/{full}"
    assert replace(FULL, prefix="").key(full) == full


# ---- manifests ---------------------------------------------------------------------------------------------


def test_the_summary_of_a_full_export_has_the_members_of_the_reference() -> None:
    data = summary_manifest(FULL, 8, 1234, T + 300_000_000)
    assert b"\n" not in data
    assert orjson.loads(data) == {
        "version": "2020-06-30",
        "exportArn": f"{ARN}/export/01693685827463-2d8752fd",
        "startTime": "2023-09-02T20:14:45.464Z",
        "endTime": "2023-09-02T20:19:45.463Z",
        "tableArn": ARN,
        "tableId": "5c7e",
        "exportTime": "2023-09-02T20:14:45.463Z",
        "s3Bucket": "backups",
        "s3Prefix": "daily/x",
        "s3SseAlgorithm": "AES256",
        "s3SseKmsKeyId": None,
        "manifestFilesS3Key": "daily/x/AWSDynamoDB/01693685827463-2d8752fd/manifest-files.json",
        "billedSizeBytes": 1234,
        "itemCount": 8,
        "outputFormat": "ION",
    }


def test_the_summary_of_an_incremental_export_adds_its_window_and_view() -> None:
    full, window = (orjson.loads(summary_manifest(plan, 0, 0, T + 1_000)) for plan in (FULL, WINDOW))
    assert {name: window[name] for name in window.keys() - full.keys()} == {
        "exportFromTime": "2023-09-02T19:59:45.463Z",
        "exportToTime": "2023-09-02T20:14:45.463Z",
        "outputView": "NEW_AND_OLD_IMAGES",
        "exportType": "INCREMENTAL_EXPORT",
    }
    assert (window["version"], window["exportTime"]) == ("2023-08-01", None)


@pytest.mark.parametrize("plan", [
    FULL,
    WINDOW,
    replace(WINDOW, view="NEW_IMAGE", bucket="", prefix="", format="ION"),
    replace(FULL, to_us=0, started_us=0),
    replace(FULL, to_us=253_402_300_799_999_000),
])  # fmt: skip
@pytest.mark.parametrize(("items", "billed"), [(0, 0), (2**53, 2**53)])
def test_the_reader_reads_in_a_summary_what_was_planned(plan: PlannedExport, items: int, billed: int) -> None:
    assert summary_of(summary_manifest(plan, items, billed, 0), "s") == plan.finished(items, billed)


def test_an_export_never_ends_before_it_began() -> None:
    members = orjson.loads(summary_manifest(FULL, 0, 0, FULL.started_us - 1))
    assert members["endTime"] == members["startTime"]


def test_the_list_of_files_has_a_line_a_file() -> None:
    files = [written_file(FULL.data_file(n), n, bytes([n])) for n in (0, 1)]
    data = files_manifest(FULL, files)
    assert orjson.loads(data.splitlines()[1]) == {
        "itemCount": 1,
        "md5Checksum": "VaVACK0bpYmqIQ0mKcHfQQ==",
        "etag": "55a54008ad1ba589aa210d2629c1df41",
        "dataFileS3Key": f"daily/x/{FULL.data_file(1)}",
    }
    read = files_of(data, "f", FULL.finished(1, 0))
    assert [(one.base_name, one.items, one.md5) for one in read] == [
        (file.name.rpartition("/")[2], file.items, file.md5) for file in files
    ]
    assert files_manifest(FULL, []) == b""


def test_a_checksum_is_what_the_reader_compares() -> None:
    check_manifest(b"x", checksum_of(b"x"), "m", "m.md5")
    with pytest.raises(Refused):
        check_manifest(b"y", checksum_of(b"x"), "m", "m.md5")


# ---- what no reader takes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", [
    FULL,
    WINDOW,
    replace(WINDOW, from_us=T - 24 * 60 * MINUTE),
])  # fmt: skip
def test_a_plan_at_its_bounds_is_taken(plan: PlannedExport) -> None:
    assert checked_plan(plan) is plan


@pytest.mark.parametrize(("changes", "words"), [
    ({"export_id": "data"}, "'data' is no id of an export"),
    ({"export_id": "../x"}, "no id of an export"),
    ({"table_arn": "orders"}, "TableArn is missing"),
    ({"table_id": ""}, "TableId is missing"),
    ({"to_us": T + 1}, "no whole millisecond"),
    ({"started_us": -1_000}, "no whole millisecond"),
    ({"from_us": T - 15 * MINUTE - 1}, "no whole millisecond"),
    ({"view": None}, "has a view and a window"),
    ({"from_us": None}, "has a view and a window"),
    ({"from_us": T - 15 * MINUTE + 1_000}, "15 minutes to 24 hours"),
    ({"from_us": T - 24 * 60 * MINUTE - 1_000}, "15 minutes to 24 hours"),
])  # fmt: skip
def test_a_plan_that_no_reader_takes_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        checked_plan(replace(WINDOW, **changes))


# ---- lines -------------------------------------------------------------------------------------------------


def test_a_line_of_a_full_export_is_its_item() -> None:
    assert line_of("DYNAMODB_JSON", shown(FULL, change(KEYS, EVERYTHING))) == b'{"Item":{"pk":{"S":"a"}}}\n'
    assert line_of("ION", shown(FULL, change(KEYS, None))) == b'$ion_1_0 {Item:{pk:"a"}}\n'


def test_a_line_of_an_incremental_export_has_what_its_view_shows() -> None:
    new, old = {**KEYS, "n": {"N": "1"}}, {**KEYS, "n": {"N": "2"}}
    start = b'{"Metadata":{"WriteTimestampMicros":{"N":"%d"}},"Keys":{"pk":{"S":"a"}}' % (T - 1)
    lines = {
        (
            True,
            True,
        ): b',"NewImage":{"pk":{"S":"a"},"n":{"N":"1"}},"OldImage":{"pk":{"S":"a"},"n":{"N":"2"}}}',
        (True, False): b',"NewImage":{"pk":{"S":"a"},"n":{"N":"1"}}}',
        (False, True): b',"OldImage":{"pk":{"S":"a"},"n":{"N":"2"}}}',
        (False, False): b"}",
    }
    for (has_new, has_old), rest in lines.items():
        told = change(new if has_new else None, old if has_old else None)
        assert line_of("DYNAMODB_JSON", shown(WINDOW, told)) == start + rest + b"\n"
        alone = lines[has_new, False]
        assert (
            line_of("DYNAMODB_JSON", shown(replace(WINDOW, view="NEW_IMAGE"), told)) == start + alone + b"\n"
        )


@pytest.mark.parametrize("plan", [FULL, WINDOW])
def test_every_kind_of_value_is_read_again_and_takes_one_line(plan: PlannedExport) -> None:
    exported = shown(plan, change(EVERYTHING, EVERYTHING))
    json = line_of("DYNAMODB_JSON", exported)
    assert exported_of_json(json, plan.is_full) == exported
    ion = line_of("ION", exported)
    (value,) = ion_values([ion])
    assert exported_of_ion(value, plan.is_full) == exported
    assert json.count(b"\n") == ion.count(b"\n") == 1


@pytest.mark.parametrize(("plan", "exported", "words"), [
    (FULL, ExportedItem(KEYS, None), "a full export holds items"),
    (WINDOW, ExportedItem(None, KEYS, None, T - 1), "has keys and a time"),
    (WINDOW, ExportedItem({}, KEYS, None, T - 1), "has keys and a time"),
    (WINDOW, ExportedItem(KEYS, KEYS), "has keys and a time"),
    (WINDOW, change(KEYS, None, T), "is not in the window"),
    (WINDOW, change(KEYS, None, T - 15 * MINUTE - 1), "is not in the window"),
])  # fmt: skip
def test_what_a_kind_of_export_cannot_say_is_an_error(
    plan: PlannedExport, exported: ExportedItem, words: str
) -> None:
    with pytest.raises(InternalError, match=words):
        shown(plan, exported)


@pytest.mark.parametrize("written_us", [T - 15 * MINUTE, T - 1])
def test_a_window_has_its_first_moment_and_not_its_last(written_us: int) -> None:
    assert shown(WINDOW, change(KEYS, None, written_us)).written_us == written_us


def test_several_changes_of_a_key_become_what_they_come_to() -> None:
    a, b, c = ({**KEYS, "n": {"N": str(n)}} for n in range(3))
    assert net_change([change(b, a, 1), change(c, b, 2)]) == change(c, a, 2)
    assert net_change([change(b, None, 1), change(c, b, 2)]) == change(c, None, 2)
    assert net_change([change(None, a, 1)]) == change(None, a, 1)
    assert net_change([change(None, a, 1), change(a, None, 2)]) == change(a, a, 2)
    assert net_change([change(a, None, 1), change(None, a, 2)]) is None


def test_what_is_billed_are_the_bytes_of_images_and_keys() -> None:
    assert billed_bytes(ExportedItem(None, KEYS)) == 3
    assert billed_bytes(change({**KEYS, "x": {"S": "é"}}, KEYS)) == 3 + 6 + 3
