"""A journal in a bucket, over moto's S3: written, read, merged and verified, through whatever S3 answers.

Stands for S3: moto looks and writes in two steps, in threads, and here in one (`one_put_at_a_time`).
Rules of this file: what is there is read by control.py too, out of what the bucket has.
"""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
import pytest
from moto.s3.responses import S3Response

from tailrace import App
from tailrace.app.loading import load_app
from tailrace.aws.places import Access
from tailrace.testing import World
from tailrace.testing.world import Unsettled
from tests.command_line import tailrace
from tests.contracts.test_archive_store import account, one_put_at_a_time
from tests.unit.journal.control import ControlJournal, read_control
from tests.unit.sinks.moto_server import client, moto

__all__ = ["account"]

PREFIX: Final = "deep/er"
BUCKETS: Final = count()
APP: Final = """
from tailrace import App
from tailrace.aws.places import Access

app = App("shop")
orders = app.table("orders", pk="id")
app.archive(orders, {place!r}, access=Access("us-east-1", {url!r}))
"""


class Bucket(NamedTuple):
    """A new bucket: moto keeps those of the tests before."""

    name: str
    access: Access

    @property
    def place(self) -> str:
        """What an app says."""
        return f"s3://{self.name}/{PREFIX}"

    def world(self, app: App) -> World:
        """A world that may call the bucket, and nothing else outside."""
        url = str(self.access.endpoint_url)
        return World(app, seed=1, sinks="real", network=url.removeprefix("http://"))

    def journal(self) -> ControlJournal:
        """What is there, read without Tailrace."""
        s3 = client("s3", self.access)
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=f"{PREFIX}/")
        keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
        blobs = {
            key.removeprefix(f"{PREFIX}/"): s3.get_object(Bucket=self.name, Key=key)["Body"].read()
            for key in keys
        }
        (journal,) = read_control(blobs).values()
        return journal


@pytest.fixture
def bucket(account: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    name = f"audit-{next(BUCKETS)}"
    with one_put_at_a_time(monkeypatch), moto() as access:
        client("s3", access).create_bucket(Bucket=name)
        yield Bucket(name, Access(access.region, access.endpoint_url))


def numbers(journal: ControlJournal) -> list[int]:
    return sorted(int(orjson.loads(row["new"])["n"]["N"]) for row in journal.changes)


def test_a_journal_in_a_bucket_is_written_asked_merged_and_verified(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP.format(place=bucket.place, url=bucket.access.endpoint_url))
    app = load_app(str(tmp_path / "app.py"))
    orders = app.tables["orders"]
    with bucket.world(app) as world:
        for number in range(20):
            world.put(orders, {"id": f"o{number % 7}", "n": Decimal(number)})
        world.settle()
        then = str(Decimal(world.clock.now().wall_ms) / 1_000)
        world.advance("1h")
        world.put(orders, {"id": "o1", "n": Decimal(20)})
        world.settle()
        assert app.as_of(float(then)).get(orders, {"id": "o1"}) == {"id": "o1", "n": 15}
        assert [change.new["n"] for change in app.history(orders, {"id": "o1"})] == [1, 8, 15, 20]
    assert numbers(bucket.journal()) == list(range(21))

    def said(*words: str) -> str:
        ended = tailrace(*words, cwd=tmp_path)
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout

    place = (bucket.place, "--endpoint", str(bucket.access.endpoint_url), "--region", "us-east-1")
    (status,) = json.loads(said("journal", "status", *place, "--json"))
    assert (status["changes"], status["rows_of_base"], status["gaps"]) == (21, 7, [])
    verified = said("journal", "verify", *place, "--table", "orders")
    assert "21 changes in 3 segments, a base of 7 items: as written" in verified
    assert "2 segments became 1 (21 rows)" in said("journal", "merge", *place)
    merged = said("journal", "verify", *place, "--table", "orders")
    assert merged.splitlines()[-1] == verified.splitlines()[-1], "merging changes no head"
    assert numbers(bucket.journal()) == list(range(21))
    shown = said("as-of", then, "orders", "--app", "app.py", "--json").splitlines()
    assert sorted(int(json.loads(line)["n"]["N"]) for line in shown) == list(range(13, 20))


def refusing(status: int, code: str) -> Callable[[S3Response], Any]:
    """What S3 answers to whoever writes."""
    words = f"<Error><Code>{code}</Code><Message>because</Message></Error>"
    return lambda _: (status, {"content-type": "application/xml"}, words)


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "AccessDenied"), (503, "SlowDown"), (500, "InternalError"), (404, "NoSuchBucket")],
)
def test_s3_that_takes_nothing_stops_the_archiver_in_words_and_nothing_is_lost(
    status: int, code: str, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.archive(orders, bucket.place, access=bucket.access)
    with bucket.world(app) as world:
        world.put(orders, {"id": "o0", "n": Decimal(0)})
        world.settle()
        with monkeypatch.context() as patched:
            patched.setattr(S3Response, "put_object", refusing(status, code))
            for number in range(1, 10):
                world.put(orders, {"id": f"o{number}", "n": Decimal(number)})
            with pytest.raises(Unsettled, match=f"archive {bucket.place}/: {code}"):
                world.settle("10m")
        world.settle()
        assert world.gaps() == []
        assert world.dead_letters("orders.archive") == []
    assert numbers(bucket.journal()) == list(range(10))
