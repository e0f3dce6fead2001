"""`app.transactions`: what handlers record is committed in another DynamoDB, with its marks, exactly once;
the stream is the embedded engine's.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from tailrace import Depends, sinks
from tailrace.app.app import App
from tailrace.app.change import Change
from tailrace.app.client import AsyncClient, Client
from tailrace.app.retry import Retry
from tailrace.aws.places import KNOWN
from tailrace.compose import EngineOptions, create_tables, open_engine, running_worker
from tailrace.stores.dynamodb_table import create_table
from tailrace.tables.mutate import Put
from tailrace.testing import World
from tests.patience import PATIENCE_S
from tests.serving import serving

KEYS = [{"AttributeName": "id", "AttributeType": "S"}]


class Away:
    """A client whose endpoint cannot be reached while `is_away`."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.is_away = False

    def __getattr__(self, name: str) -> Any:
        if self.is_away and name == "transact_write_items":
            raise EndpointConnectionError(endpoint_url="http://far")
        return getattr(self._client, name)


@pytest.fixture(scope="module")
def far() -> Iterator[Away]:
    """The other DynamoDB, which no clock of a world moves."""
    with serving() as served:
        client: Any = boto3.client(
            "dynamodb",
            endpoint_url=f"http://127.0.0.1:{served.port}",
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
            config=Config(retries={"total_max_attempts": 1}),
        )
        create_table(client, "marks")
        yield Away(client)


def counting(far: Away, table: str, access: sinks.AwsAccess | None = None) -> tuple[App, Any]:
    """An app that adds up orders in a table of the other DynamoDB."""
    far.create_table(
        TableName=table,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=KEYS,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    )
    app = App(f"shop-{table}")
    orders = app.table("orders", pk="id")
    app.transactions(far if access is None else access, "marks")

    @app.on(orders, id="count", retry=Retry(2, backoff="1s..2s"))
    def count(change: Change) -> None:
        assert change.new is not None
        change.transaction.update(
            table,
            {"id": "all"},
            "ADD orders :one, cents :cents",
            values={":one": 1, ":cents": change.new["cents"]},
        )
        if change.new.get("is_wrong"):
            change.transaction.update(
                table, {"id": "other"}, "SET orders = orders + nothing"
            )  # an item without either: refused

    return app, orders


def counted(far: Away, table: str) -> tuple[int, int]:
    item = far.get_item(TableName=table, Key={"id": {"S": "all"}}, ConsistentRead=True).get("Item", {})
    return int(item.get("orders", {"N": "0"})["N"]), int(item.get("cents", {"N": "0"})["N"])


def test_each_change_counts_once_whatever_is_repeated_and_whoever_dies(far: Away) -> None:
    app, orders = counting(far, "once")
    with World(app, seed=3, sinks="real", network="localhost") as world:
        with world.faults(duplicates=0.5, crash="anywhere", seed=3):
            for number in range(30):
                world.put(orders, {"id": f"o{number % 7}", "cents": number})
            world.settle()
        assert world.get("orders", {"id": "o1"})["cents"] == 29
        assert world.gaps() == []
    assert counted(far, "once") == (30, sum(range(30)))


@pytest.fixture
def access(far: Away, monkeypatch: pytest.MonkeyPatch) -> Iterator[sinks.AwsAccess]:
    """Where it is and as whom, for our own client."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")
    KNOWN.forget(None)
    yield sinks.AwsAccess("us-east-1", str(far.meta.endpoint_url))
    KNOWN.forget(None)


def test_an_access_commits_there_as_a_client_does(far: Away, access: sinks.AwsAccess) -> None:
    app, orders = counting(far, "accessed", access)
    world = World(app, seed=3, sinks="real", network="localhost")
    with world, world.faults(duplicates=0.5, crash="anywhere", seed=3):
        for number in range(10):
            world.put(orders, {"id": f"o{number % 7}", "cents": number})
        world.settle()
    assert counted(far, "accessed") == (10, sum(range(10)))


def test_a_worker_on_a_real_loop_commits_there_and_handlers_of_both_kinds_read_there(
    far: Away, access: sinks.AwsAccess, tmp_path: Path
) -> None:
    app, orders = counting(far, "worked", access)
    counts: dict[str, Any] = {}

    @app.on(orders, id="look")
    def look(change: Change, db: Annotated[Client, Depends(app.client)]) -> None:
        db.put("worked", {"id": "looked", "seal": b"\x00\xff"})
        counts["def"] = db.get("worked", {"id": "looked"})

    @app.on(orders, id="await")
    async def wait(change: Change, db: Annotated[AsyncClient, Depends(app.async_client)]) -> None:
        await db.put("worked", {"id": "awaited", "seal": b"\x00\xff"})
        counts["async def"] = await db.get("worked", {"id": "awaited"})

    async def work() -> None:
        options = EngineOptions(tmp_path)
        engine = open_engine(options)
        create_tables(app, engine)
        engine.put(Put("orders", {"id": {"S": "o1"}, "cents": {"N": "5"}}))
        engine.committer.flush()
        engine.close()
        async with running_worker(app, options):
            async with asyncio.timeout(PATIENCE_S):
                while len(counts) < 2 or counted(far, "worked") != (1, 5):
                    await asyncio.sleep(0.01)

    asyncio.run(work())
    assert counts == {
        "def": {"id": "looked", "seal": b"\x00\xff"},
        "async def": {"id": "awaited", "seal": b"\x00\xff"},
    }


def test_an_endpoint_that_is_away_pauses_and_uses_up_no_attempt(far: Away) -> None:
    app, orders = counting(far, "away")
    with World(app, sinks="real", network="localhost") as world:
        far.is_away = True
        for number in range(5):
            world.put(orders, {"id": f"o{number}", "cents": 10})
        world.advance("10m")
        assert counted(far, "away") == (0, 0)
        assert len(world.dlq("count")) == 0
        far.is_away = False
        world.settle()
        assert world.lag() == 0
    assert counted(far, "away") == (5, 50)


def test_a_transaction_that_is_refused_there_changes_nothing_and_is_the_changes_fault(far: Away) -> None:
    app, orders = counting(far, "refused")
    with World(app, sinks="real", network="localhost") as world:
        world.put(orders, {"id": "good", "cents": 1})
        world.put(orders, {"id": "bad", "cents": 1, "is_wrong": True})
        world.settle()
        (letter,) = world.dlq("count")
        assert (letter["key"], letter["attempts"], letter["state"]) == ("bad", 3, "parked")
        assert "ValidationError" in letter["error"]
    assert counted(far, "refused") == (1, 1)


def test_marks_there_are_forgotten_two_days_later_and_those_of_items_with_dead_letters_stay(
    far: Away,
) -> None:
    app, orders = counting(far, "forgotten")

    def marks() -> int:
        kept = far.scan(TableName="marks", ConsistentRead=True)["Items"]
        return sum(item["pk"]["S"].startswith("mark") and app.name in str(item) for item in kept)

    with World(app, seed=3, sinks="real", network="localhost", allow_failures=True) as world:
        for number in range(120):
            world.put(orders, {"id": f"o{number}", "cents": 1})
        world.settle()
        assert marks() == 120
        world.put(orders, {"id": "o7", "cents": "no number"})
        world.advance("47h")
        assert marks() == 120
        world.advance("3h")
        assert marks() == 1
    assert counted(far, "forgotten") == (120, 120)
