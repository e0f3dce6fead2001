"""`tailrace worker` and snapshots of tables at another server: real processes, one `tailrace serve` for AWS,
with positions or, as AWS answers, without; the mirror's rows are held against a scan of the table.

Rules of this file: rows are read where they lie, from outside of every worker.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import NotFoundError
from opensearchpy import OpenSearch as Reader

from tailrace.streams.dates import micros_of
from tailrace.testing.exporting import ExportForm, full_export, saved
from tailrace.testing.search import SearchServer
from tests.fleet import ENVIRONMENT, KILL, TERM, Command, Fleet, fleet
from tests.patience import BETWEEN_LOOKS_S, eventually, until
from tests.unit.sinks.moto_server import client, moto

APP = """
import asyncio
from itertools import count
from pathlib import Path

from msgspec.structs import replace

from tailrace import App, Snapshots, sinks
from tailrace.sources.far_scan import FarScan

SLOW = Path(__file__).with_name("slow")


pages = count()


async def page(self, table, piece, after, limit=None, read=FarScan.page):
    while next(pages) > 5 and SLOW.exists():  # so that it stands in the middle, on a machine of any speed
        await asyncio.sleep(0.02)
    answer = await read(self, table, piece, after, limit or 20)
    return answer if EXACT else replace(answer, position=None)


FarScan.page = page
app = App("fleet")
orders = app.table("orders", pk="id")
app.sink(orders, sinks.OpenSearch("URL", "orders"), id="copy", snapshot=Snapshots(AUTOMATIC, ask_usd=0))
"""
LEASE = ("--lease", "2s")


class Kept:
    """A fleet whose app keeps a mirror of its table."""

    def __init__(self, ground: Fleet, cluster: SearchServer) -> None:
        self.ground = ground
        self.url = cluster.url
        self.slow = ground.path / "slow"

    def declare(self, *, exact: bool = True, automatic: bool = True) -> None:
        app = APP.replace("EXACT", str(exact)).replace("AUTOMATIC", str(automatic)).replace("URL", self.url)
        (self.ground.path / "app.py").write_text(app)

    def worker(self, *options: str) -> Command:
        worker = self.ground.worker(*LEASE, *options)
        assert worker.announced["handlers"] == {"copy": "orders"}
        return worker

    def fill(self, keys: int) -> None:
        for first in range(0, keys, 25):
            puts = [{"PutRequest": {"Item": item(key, 0)}} for key in range(first, min(first + 25, keys))]
            self.ground.call("BatchWriteItem", {"RequestItems": {"orders": puts}})

    @contextmanager
    def writers(self, keys: int) -> Iterator[None]:
        """Change, delete and put back items as long as this lasts."""
        is_over = threading.Event()

        def write() -> None:
            number = 0
            while not is_over.wait(BETWEEN_LOOKS_S):
                number += 1
                name = {"id": {"S": f"o{number * 7 % keys}"}}
                if number % 5:
                    self.ground.call(
                        "PutItem", {"TableName": "orders", "Item": item(number * 7 % keys, number)}
                    )
                else:
                    self.ground.call("DeleteItem", {"TableName": "orders", "Key": name})

        writing = threading.Thread(target=write)
        writing.start()
        try:
            yield
        finally:
            is_over.set()
            writing.join()

    def table(self) -> dict[str, int]:
        rows: dict[str, int] = {}
        start: dict[str, Any] = {}
        while True:
            page = self.ground.call("Scan", {"TableName": "orders", "ConsistentRead": True, **start})
            rows |= {one["id"]["S"]: int(one["n"]["N"]) for one in page["Items"]}
            if "LastEvaluatedKey" not in page:
                return rows
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def mirror(self) -> dict[str, int]:
        try:
            with Reader(self.url) as reader:
                reader.indices.refresh(index="orders-all")
                hits = reader.search(index="orders", body={"size": 10_000})["hits"]["hits"]
        except NotFoundError:  # it is made with the first write
            return {}
        return {hit["_source"]["id"]: int(hit["_source"]["n"]) for hit in hits}

    def damage(self) -> None:
        """Delete the row of o1, and change that of o2: no change tells it."""
        for key in (1, 2):
            self.ground.call("PutItem", {"TableName": "orders", "Item": item(key, 9)})
        self.is_the_table()
        with Reader(self.url) as reader:
            hits = reader.search(index="orders-all", body={"size": 1_000})["hits"]["hits"]
            ids = {hit["_source"]["id"]: hit["_id"] for hit in hits if "id" in hit["_source"]}
            changes = [{"delete": {"_id": ids["o1"]}}, {"update": {"_id": ids["o2"]}}, {"doc": {"n": 777}}]
            reader.bulk(index="orders-all", body=changes)

    def is_the_table(self) -> None:
        until(lambda: self.mirror() == self.table(), wanted=True)

    def ask(self, *arguments: str, code: int = 0) -> Any:
        place = (*self.ground.state, "--app", "app.py", "--endpoint", self.ground.endpoint)
        got, out, said = self.ground.run(*arguments, *place, "--json")
        assert got == code, out + said
        return json.loads(out) if code == 0 else json.loads(said)["error"]

    def status(self) -> dict[str, Any]:
        values = self.ask("snapshot", "status")
        return dict(values[0]) if values else {"state": "none", "number": 0}

    def until_state(self, state: str, number: int = 1) -> dict[str, Any]:
        return eventually(
            lambda: (
                value if (value := self.status())["state"] == state and value["number"] == number else None
            ),
            lambda: f"it is {self.status()}",
        )


def item(key: int, number: int) -> dict[str, Any]:
    return {"id": {"S": f"o{key}"}, "n": {"N": str(number)}}


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    with SearchServer() as cluster, fleet(tmp_path, "--memory", "--shards", "2") as ground:
        ground.create_state()
        ground.create_table()
        yield Kept(ground, cluster)


# Without positions the same is asked of a reset, below.
@pytest.mark.parametrize("exact", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_snapshot_goes_on_at_another_worker_when_one_is_killed_while_writers_write(
    kept: Kept, exact: bool
) -> None:
    kept.declare(exact=exact)
    kept.fill(400)
    kept.slow.touch()
    first = kept.worker("--start", "end")  # what is there comes by the scan alone
    with kept.writers(400):
        begun = eventually(
            lambda: value if 0 < (value := kept.status()).get("items", 0) < 300 else None,
            lambda: f"it is {kept.status()}",
        )
        assert (begun["state"], begun["worker"]) == ("scanning", first.announced["worker"])
        assert begun["read_units"] > 0
        first.end(KILL)
        killed = kept.status()
        assert killed["items"] < 300
        second = kept.worker()
        kept.slow.unlink()
        done = kept.until_state("done")
        assert done["items"] >= 300
        assert done["ended_ms"] > killed["begun_ms"]
    kept.is_the_table()
    assert second.end(TERM)[0] == 0


def test_a_reset_is_acknowledged_by_all_workers_and_corrects_the_mirror(kept: Kept) -> None:
    kept.declare(exact=False)
    kept.fill(100)
    workers = [kept.worker("--start", "beginning"), kept.worker()]
    kept.until_state("done")
    kept.is_the_table()
    kept.damage()
    assert kept.mirror() != kept.table()

    refused = kept.ask("snapshot", "start", "copy", "--read-price", "0.125", code=1)
    assert "so much is not begun unasked" in refused["message"]
    assert refused["hint"].endswith(f"{kept.ground.endpoint} copy --yes, or with --read-units for a pace")
    planned = kept.ask(
        "snapshot", "start", "copy", "--dry-run", "--read-price", "0.125", "--read-units", "50"
    )
    assert (planned["items"], planned["charged"], planned["read_units"]) == (100, True, 1)
    assert planned["read_units_per_s"] == 50
    with kept.writers(100):
        assert kept.ask("snapshot", "start", "copy", "--yes")[0]["number"] == 2
        done = kept.until_state("done", number=2)
    assert (done["why"], done["share"]) == ("asked", 1.0)
    kept.is_the_table()
    kept.damage()
    values = '{":id":{"S":"o2"}}'
    kept.ask("snapshot", "start", "copy", "--yes", "--where", "id = :id", "--values", values)
    assert kept.until_state("done", number=3)["items"] == 1
    rest = {name: number for name, number in kept.table().items() if name != "o1"}
    assert kept.mirror() == rest, "that o1 is missing is not of the part"
    for worker in workers:
        assert 'tailrace_snapshot_state{handler="copy",state="done"} 1.0' in worker.get("/metrics")[1]
        assert worker.end(TERM)[0] == 0


# Exports in S3 are read by tests/unit/exports and tests/acceptance/test_export_cli.py, too.
@pytest.mark.parametrize("place", ["directory", pytest.param("bucket", marks=pytest.mark.slow)])
def test_an_empty_mirror_is_filled_out_of_exports(
    kept: Kept, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    kept.declare(automatic=False)
    described = kept.ground.call("DescribeTable", {"TableName": "orders"})["Table"]
    # Ten minutes after the stream began: the present is before that, and no clock is read.
    at_us = micros_of(f"{described['LatestStreamLabel']}Z") + 600_000_000
    form = ExportForm(table_id=described["TableId"], prefix="daily")
    files = full_export([item(key, 0) for key in range(40)], at_us, form)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with moto() as access:
        source = str(tmp_path / "exports")
        if place == "directory":
            saved(files, tmp_path / "exports")
        else:
            source = "s3://backups/daily"
            client("s3", access).create_bucket(Bucket="backups")
            for key, data in files.items():
                client("s3", access).put_object(Bucket="backups", Key=key, Body=data)
            monkeypatch.setenv("AWS_ENDPOINT_URL_S3", str(access.endpoint_url))
        worker = kept.worker("--start", "beginning")
        kept.ground.write(1, 7, 8)  # o0 is newer than in the export
        until(lambda: kept.mirror(), wanted={"o0": 7})
        elsewhere = str(tmp_path / "empty") if place == "directory" else "s3://backups/empty"
        (tmp_path / "empty").mkdir()
        missing = kept.ask("snapshot", "start", "copy", "--from", elsewhere, code=1)
        assert missing["message"].startswith(f"{elsewhere} has no export")
        planned = kept.ask("snapshot", "start", "copy", "--from", source, "--dry-run")
        assert (planned["files"], planned["items"], planned["read_units"]) == (2, 40, 0)
        assert planned["words"].startswith(f"reads 1 export from {source}: 2 files, 40 items, ")
        assert kept.ask("snapshot", "start", "copy", "--from", source)[0]["source"] == source
        done = kept.until_state("done")
        assert (done["items"], done["read_units"], done["share"]) == (40, 0, 1.0)
        assert kept.mirror() == {f"o{key}": 0 for key in range(1, 40)} | {"o0": 7}
        again = kept.ask("snapshot", "start", "copy", "--from", source, code=1)
        assert "has rows of exports or of a journal that were read before" in again["message"]
        assert worker.end(TERM)[0] == 0
