"""`tailrace export write`: what a node has, as DynamoDB exports it, read again by all that reads exports."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tailrace.archives import DirectoryArchive
from tailrace.aws.places import KNOWN
from tailrace.cli import export_write
from tailrace.cli.main import run
from tailrace.compose import EngineOptions, open_engine
from tailrace.errors import ArchiveError
from tailrace.tables.definition import TableDefinition
from tailrace.tables.mutate import Put
from tailrace.testing import World
from tailrace.testing.mirrors import SimulatedMirror
from tests.crash.node import Node, free_port
from tests.unit.exports.given import numbered
from tests.unit.sinks.moto_server import client, moto
from tests.unit.snapshots.test_exports import shop, without_sink
from tests.unit.snapshots.test_worlds import delete, items, put, table_of

ITEMS = numbered(30)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory with a table of items of every kind, and one without any."""
    directory = tmp_path / "data"
    engine = open_engine(EngineOptions(directory=directory))
    for name in ("orders", "empty"):
        engine.create_table(TableDefinition(name, "pk", "S"))
    for item in ITEMS:
        engine.put(Put("orders", item))
    engine.close()
    return directory


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = run(["export", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[Any]:
    """The items that `export cat` prints."""
    code, out, err = said(capsys, "cat", *arguments)
    assert (code, err) == (0, "")
    return sorted(
        (orjson.loads(line)["Item"] for line in out.split("\n")[:-1]), key=lambda item: item["pk"]["S"]
    )


@pytest.mark.parametrize("format", ["DYNAMODB_JSON", "ION"])
def test_what_a_directory_has_is_written_and_read_again(
    data: Path, tmp_path: Path, format: str, capsys: pytest.CaptureFixture[str]
) -> None:
    into = tmp_path / "exports"
    code, out, err = said(capsys, "write", "--into", into, "--data", data, "--format", format)
    assert (code, err) == (0, "")
    empty, orders, hint = out.splitlines()
    assert empty.startswith("empty: 0 items, 0 bytes, as of ")
    assert orders.startswith("orders: 30 items, ")
    assert hint == f"  next: tailrace export ls {into}"
    code, out, err = said(capsys, "ls", into, "--json")
    assert (code, err) == (0, "")
    listed = {one["table_arn"].rpartition("/")[2]: one for one in json.loads(out)["exports"]}
    assert listed.keys() == {"orders", "empty"}
    assert listed["orders"]["to_us"] == listed["empty"]["to_us"], "all tables are of one moment"
    assert listed["orders"]["export"] in orders
    assert {one["format"] for one in listed.values()} == {format}
    assert [one["unchecked"] for one in listed.values()] == [[], []]
    assert printed(capsys, into, "--export", listed["orders"]["export"]) == ITEMS
    assert printed(capsys, into, "--export", listed["empty"]["export"]) == []


def test_a_running_server_goes_on_while_it_is_written(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = Node(tmp_path, free_port(), ("serve",))
    node.start()
    try:
        node.wait_until_answering()
        place = ("--url", f"http://localhost:{node.port}")
        code, out, _ = said(capsys, "write", "--into", tmp_path / "a", *place, "--table", "orders", "--json")
        (row,) = json.loads(out)["exports"]
        assert (code, row["items"], row["format"]) == (0, 30, "DYNAMODB_JSON")
        node.call("PutItem", {"TableName": "orders", "Item": {"pk": {"S": "later"}}})
        assert printed(capsys, tmp_path / "a") == ITEMS
        code, _, _ = said(capsys, "write", "--into", tmp_path / "b", "--data", data, "--table", "orders")
        assert (code, len(printed(capsys, tmp_path / "b"))) == (0, 31)
    finally:
        node.stop()


def test_a_dry_run_says_what_would_be_written_and_writes_nothing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    into = tmp_path / "exports"
    code, out, _ = said(capsys, "write", "--into", into, "--data", data, "--dry-run")
    assert code == 0
    assert out.splitlines()[1].startswith("orders: 30 items, ")
    assert out.splitlines()[1].endswith(": would be written")
    code, out, _ = said(capsys, "write", "--into", into, "--data", data, "--dry-run", "--json")
    answer = json.loads(out)
    assert (code, answer["dry_run"], answer["exports"][1]["export"]) == (0, True, None)
    assert not into.exists()


@pytest.mark.parametrize("left", range(8))
def test_a_place_that_fails_is_told_and_what_was_begun_is_taken_away(
    data: Path, tmp_path: Path, left: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    puts = [left]

    async def put(
        self: DirectoryArchive, name: str, blob: bytes, whole: Any = DirectoryArchive.put_if_absent
    ) -> Any:
        puts[0] -= 1
        if puts[0] < 0:
            raise ArchiveError(f"archive exports: {name}: No space left on device")
        return await whole(self, name, blob)

    monkeypatch.setattr(DirectoryArchive, "put_if_absent", put)
    into = tmp_path / "exports"
    code, out, err = said(capsys, "write", "--into", into, "--data", data, "--table", "orders")
    if left >= 6:  # `_started`, data, and the two manifests with their checksums
        assert (code, len(printed(capsys, into))) == (0, 30)
        return
    assert (code, out) == (1, "")
    assert "No space left on device" in err
    assert "next: the same command again, which begins anew" in err
    assert [path for path in into.glob("AWSDynamoDB/**/*") if path.is_file()] == []
    puts[0] = 100
    assert said(capsys, "write", "--into", into, "--data", data, "--table", "orders")[0] == 0
    assert printed(capsys, into) == ITEMS


@pytest.mark.parametrize(("arguments", "code", "words"), [
    ((), 2, "Missing option '--into'"),
    (("--into", "x", "--table", "nothing"), 1, "There is no table 'nothing'; there are: empty, orders."),
    (("--into", "x", "--format", "CSV"), 2, "'CSV' is not one of"),
    (("--into", "s3://"), 1, "names no bucket"),
    (("--into", "arn:aws:s3:::x"), 1, "is no place that is written to"),
    (("--into", "gs://x"), 1, "is no place that is written to"),
    (("--into", "file"), 1, "file is a file: name a directory"),
    (("--into", "s3://b", "--endpoint", "nowhere"), 2, "is no URL of an endpoint"),
    (("--into", "file/below"), 1, "archive file/below"),
    (("--into", "x", "--data", "none"), 1, "There is no data directory none."),
])  # fmt: skip
def test_wrong_input_is_answered_with_what_to_do(
    data: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, words: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    ended, out, err = said(capsys, "write", "--data", data, *arguments)
    assert (ended, out) == (code, "")
    assert words in err
    assert "next:" in err


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Any]]:
    """A bucket of this file alone, for moto keeps all in the process. Returns: its endpoint, a client."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    KNOWN.forget(None)
    with moto() as access:
        client("s3", access).create_bucket(Bucket="written")
        yield access.endpoint_url or "", client("s3", access)
    KNOWN.forget(None)


def test_a_bucket_has_it_under_the_keys_and_etags_that_the_manifests_say(
    data: Path, s3: tuple[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint, bucket = s3
    far = ("--endpoint", endpoint, "--region", "us-east-1")
    place = ("--data", data, "--table", "orders")
    code, out, err = said(capsys, "write", "--into", "s3://written/daily/x/", *far, *place, "--json")
    assert (code, err) == (0, "")
    (row,) = json.loads(out)["exports"]
    folder = f"daily/x/{row['folder']}"
    read: dict[str, bytes] = {}
    tags: dict[str, str] = {}
    for one in bucket.list_objects_v2(Bucket="written")["Contents"]:
        answer = bucket.get_object(Bucket="written", Key=one["Key"])
        read[one["Key"]], tags[one["Key"]] = answer["Body"].read(), answer["ETag"].strip('"')
    summary = json.loads(read[f"{folder}/manifest-summary.json"])
    assert (summary["s3Bucket"], summary["s3Prefix"]) == ("written", "daily/x")
    lines = read[summary["manifestFilesS3Key"]].splitlines()
    for line in map(json.loads, lines):
        assert tags[line["dataFileS3Key"]] == line["etag"]
    assert len(read) == len(lines) + 5
    assert printed(capsys, "s3://written", *far) == ITEMS
    code, _, err = said(capsys, "write", "--into", "s3://nothing", *far, *place)
    assert (code, "NoSuchBucket" in err, "next:" in err) == (1, True, True)


@pytest.mark.parametrize("format", ["DYNAMODB_JSON", "ION"])
def test_what_was_written_is_the_base_of_a_snapshot(
    tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    target = SimulatedMirror()
    with World(without_sink(), seed=1) as world:
        monkeypatch.setattr(  # the node is a world, whose hours pass at once
            export_write, "answers", lambda place, verb, asked, **_: iter_of(world._ask(verb, asked))
        )
        for name in ("o1", "o2", "o3"):
            put(world, name)
        world.settle()
        world.advance("26h")
        arguments = ("--into", tmp_path / "exports", "--table", "orders", "--format", format)
        assert said(capsys, "write", *arguments)[0] == 0
        world.advance("10m")
        put(world, "o1", "paid")
        delete(world, "o2")
        world.use(shop(target))
        world.settle()
        world._ask("snapshot.start", {"handler": "mirror", "source": str(tmp_path / "exports")})
        put(world, "o9")
        world.advance("1m")
        ((value,),) = world._ask("snapshot.status", {})
        assert (value["state"], value["items"], value["share"]) == ("done", 3, 1.0)
        assert items(target) == table_of(world) == {"o1": "paid", "o3": "new", "o9": "new"}


def iter_of(values: list[Any]) -> Iterator[Any]:
    yield from values
