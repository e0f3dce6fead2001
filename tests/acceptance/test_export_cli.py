"""`tailrace export`: what lies somewhere is listed and printed, and what is wrong with it is said."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tailrace.aws.places import KNOWN
from tailrace.cli.main import run
from tailrace.exports.core.exported import ExportedItem
from tailrace.testing.exporting import ExportForm, data_file, full_export, incremental_export, saved
from tests.unit.exports.given import MINUTE, T, numbered
from tests.unit.sinks.moto_server import client, moto

FULL = "01693685685463-00000001"
STEP = "01693686585463-00000002"
ITEMS = numbered(5)
GONE = ExportedItem({"pk": {"S": "k0001"}}, None, {"pk": {"S": "k0001"}}, T + 5)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A full export in ION, and the incremental one that follows it."""
    saved(full_export(ITEMS, T, ExportForm(format="ION", prefix="daily")), tmp_path)
    saved(incremental_export([GONE], (T, T + 15 * MINUTE), ExportForm(prefix="daily"), number=2), tmp_path)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run(["export", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def lines_of(out: str) -> list[str]:
    """Lines as JSON lines have them: other ends of lines stand inside of them."""
    *lines, rest = out.split("\n")
    assert rest == ""
    return lines


def test_exports_are_listed_with_their_chain(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, "ls", str(place))
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0].split() == ["EXPORT", "TABLE", "TYPE", "TIME", "ITEMS", "BYTES", "BILLED", "FORMAT"]
    assert lines[1].split()[:5] == [FULL, "orders", "full", "2023-09-02T20:14:45.463Z", "5"]
    assert lines[2].split()[:3] == [STEP, "orders", "incremental"]
    assert lines[3].endswith(
        f"full export {FULL} and 1 incremental tell the table up to 2023-09-02T20:29:45.463Z"
    )
    assert lines[4] == f"  next: tailrace export cat {place} --export {FULL} --limit 3"


def test_the_list_is_there_for_machines(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, "ls", str(place), "--json")
    answer = json.loads(out)
    assert code == 0
    assert [one["export"] for one in answer["exports"]] == [FULL, STEP]
    assert answer["exports"][1]["from_us"] == T
    assert answer["exports"][0]["format"] == "ION"
    (chain,) = answer["chains"]
    assert (chain["exports"], chain["up_to_us"]) == ([FULL, STEP], T + 15 * MINUTE)


def test_an_export_is_printed_as_lines_of_dynamodb_json(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = said(capsys, "cat", str(place), "--export", FULL)
    assert code == 0
    printed = [json.loads(line)["Item"] for line in lines_of(out)]
    assert sorted(printed, key=lambda item: str(item["pk"])) == ITEMS
    assert len(lines_of(said(capsys, "cat", str(place), "--export", FULL, "--limit", "2")[1])) == 2
    assert len(lines_of(said(capsys, "cat", str(place), "--export", FULL, "--limit", "5")[1])) == 5
    _, out, _ = said(capsys, "cat", str(place / "daily" / "AWSDynamoDB" / STEP))
    assert json.loads(out) == {
        "Metadata": {"WriteTimestampMicros": {"N": str(T + 5)}},
        "Keys": GONE.keys,
        "OldImage": GONE.old,
    }


def test_of_several_exports_one_has_to_be_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, "cat", str(place))
    assert (code, out) == (1, "")
    assert f"has 2 exports; say which: {FULL}" in err
    assert f"next: tailrace export ls {place}" in err
    code, _, err = said(capsys, "cat", str(place), "--export", "nothing")
    assert code == 1
    assert "no export 'nothing'" in err


def test_what_was_printed_can_be_read_again(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = said(capsys, "cat", str(place), "--export", FULL)
    again = tmp_path / "again"
    again.mkdir()
    (again / "all.json").write_text(out, encoding="utf-8")
    code, listed, _ = said(capsys, "ls", str(again))
    assert (code, listed.splitlines()[0]) == (
        0, f"{again}: no export, but 1 data files, {len(out.encode()):,} bytes",
    )  # fmt: skip
    assert said(capsys, "cat", str(again))[1] == out


def test_an_export_that_cannot_be_read_is_listed_with_its_reason(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "daily" / "AWSDynamoDB" / FULL / "manifest-summary.json").unlink()
    code, out, err = said(capsys, "ls", str(place))
    assert code == 1
    assert STEP in out
    assert "no full export, so its incremental ones follow nothing" in out
    assert f"not readable: {place}: export {FULL} has not finished" in err
    assert "next: wait until aws dynamodb describe-export says COMPLETED" in err
    code, out, _ = said(capsys, "ls", str(place), "--json")
    assert code == 1
    assert "has not finished" in json.loads(out)["exports"][-1]["problem"]
    code, _, err = said(capsys, "cat", str(place), "--export", FULL)
    assert (code, "has not finished" in err) == (1, True)


def test_a_damaged_file_ends_the_printing_with_an_error(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = next((place / "daily" / "AWSDynamoDB" / FULL / "data").iterdir())
    data.write_bytes(data_file([ExportedItem(None, ITEMS[1])], ExportForm(format="ION")))
    code, _, err = said(capsys, "cat", str(place), "--export", FULL)
    assert code == 1
    assert f"{data} is not the file that was exported" in err


def test_a_checksum_that_is_missing_is_said(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "daily" / "AWSDynamoDB" / FULL / "manifest-summary.checksum").unlink()
    code, _, err = said(capsys, "ls", str(place))
    assert (code, err) == (0, f"{FULL}: no checksum lies beside manifest-summary.json\n")


@pytest.mark.parametrize(("arguments", "code", "words"), [
    (["ls", "/nothing/there"], 1, "there is no such directory"),
    (["ls", "s3://"], 1, "names no bucket"),
    (["ls", "."], 1, "neither an export"),
    (["cat", "x", "--limit", "0"], 2, "0 is not in the range x>=1"),
    (["ls"], 2, "Missing argument 'PLACE'"),
    (["ls", "s3://b", "--endpoint", "nowhere"], 2, "is no URL of an endpoint"),
    (["show", "x"], 2, "show"),
])  # fmt: skip
def test_wrong_input_is_answered_with_what_to_do(
    arguments: list[str], code: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    ended, out, err = said(capsys, *arguments)
    assert (ended, out) == (code, "")
    assert words in err
    assert "next:" in err


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket with the full export. Returns: its endpoint."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    KNOWN.forget(None)
    with moto() as access:
        client("s3", access).create_bucket(Bucket="backups")
        for key, data in full_export(ITEMS, T).items():
            client("s3", access).put_object(Bucket="backups", Key=key, Body=data)
        yield access.endpoint_url or ""
    KNOWN.forget(None)


def test_a_bucket_is_a_place(s3: str, capsys: pytest.CaptureFixture[str]) -> None:
    far = ["--endpoint", s3, "--region", "us-east-1"]
    code, out, _ = said(capsys, "ls", "s3://backups", *far)
    assert code == 0
    assert FULL in out
    code, out, _ = said(capsys, "cat", "s3://backups/AWSDynamoDB", *far)
    assert (code, len(lines_of(out))) == (0, 5)
    code, _, err = said(capsys, "ls", "s3://nothing", *far)
    assert (code, "s3://nothing: NoSuchBucket" in err) == (1, True)
