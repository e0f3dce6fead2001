"""`tailrace state`: a place is made once, judged by name, and refused when it is something else's.

Rules of this file: every place is a real one, in a server or a file of the test's own.
"""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest

from tailrace.app.sinking import Closes
from tailrace.aws.places import KNOWN
from tailrace.cli.main import run
from tailrace.clocks.manual import ManualClock
from tailrace.errors import SettingsError
from tailrace.rows.writes import Absent, StateRow, Write
from tailrace.stores.dynamodb_layout import FORMAT_ITEM
from tailrace.stores.state_targets import open_state
from tailrace.testing.contracts.rules import finished
from tests.postgres import postgres
from tests.serving import serving


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with serving() as served, pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "any")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        KNOWN.forget(None)
        yield f"http://127.0.0.1:{served.port}"
    KNOWN.forget(None)


@pytest.fixture(scope="module")
def database() -> Iterator[Any]:
    with postgres() as server:
        yield server.database


@pytest.fixture(params=["dynamodb", "postgres", "sqlite"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """A target where nothing is yet, with its options."""
    match request.param:
        case "dynamodb":
            name = f"state-{abs(hash(request.node.name))}"
            return [f"dynamodb:{name}", "--endpoint", request.getfixturevalue("endpoint")]
        case "postgres":
            return [request.getfixturevalue("database")()]
        case _:
            return [f"sqlite:{tmp_path / 'state.db'}"]


def answer(capsys: pytest.CaptureFixture[str], verb: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    code = run(["state", verb, *arguments, "--json"])
    captured = capsys.readouterr()
    return code, json.loads(captured.out or captured.err)


def opened(place: list[str]) -> Any:
    options = {"endpoint_url": place[2]} if len(place) > 1 else {}
    return open_state(place[0], ManualClock(), "me", **options)


def test_a_place_is_made_once_and_judged_and_a_dry_run_makes_nothing(
    place: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = answer(capsys, "check", *place)
    assert (code, said["finding"]) == (1, "absent")
    assert said["hint"].startswith(f"tailrace state create {said['target']}")
    code, said = answer(capsys, "create", *place, "--dry-run")
    assert (code, said["finding"], said["made"]) == (0, "absent", False)
    assert "CREATE TABLE" in said["would"] or '"KeySchema"' in said["would"]
    assert answer(capsys, "check", *place)[1]["finding"] == "absent"
    with pytest.raises(SettingsError, match="tailrace state create"):
        asyncio.run(opened(place))
    code, said = answer(capsys, "create", *place)
    assert (code, said["finding"], said["made"]) == (0, "ready", True)
    code, said = answer(capsys, "create", *place)
    assert (code, said["finding"], said["made"]) == (0, "ready", False)
    assert answer(capsys, "check", *place)[0] == 0
    assert "secret" not in json.dumps(said)


def test_a_place_that_was_made_holds_state(place: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["state", "create", *place]) == 0

    async def story() -> None:
        store, other = await opened(place), await opened(place)
        await store.transact([Write("lease/shop/label/shard", {"owner": "me"}, Absent())])
        assert await other.query("lease/shop/") == [StateRow("lease/shop/label/shard", {"owner": "me"})]
        for opened_store in (store, other):
            if isinstance(opened_store, Closes):
                await finished(opened_store.close())

    asyncio.run(story())
    capsys.readouterr()
    assert run(["state", "create", *place, "--dry-run"]) == 0
    words = capsys.readouterr().out
    assert words.startswith("ready")
    assert "would" not in words


def table(endpoint: str, name: str, *keys: tuple[str, str, str]) -> Any:
    client = boto3.client("dynamodb", endpoint_url=endpoint, region_name="us-east-1")
    client.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": kind} for key, _, kind in keys],
        KeySchema=[{"AttributeName": key, "KeyType": role} for key, role, _ in keys],
    )
    return client


RIGHT = (("pk", "HASH", "S"), ("sk", "RANGE", "S"))


def test_tables_of_something_else_are_refused_by_what_is_wrong(
    endpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table(endpoint, "orders", ("id", "HASH", "S"))
    table(endpoint, "numbers", ("pk", "HASH", "S"), ("sk", "RANGE", "N"))
    users = table(endpoint, "users", *RIGHT)
    users.put_item(TableName="users", Item={"pk": {"S": "user#1"}, "sk": {"S": "profile"}})
    for name, words in (
        ("orders", "its keys are id HASH S; state needs pk HASH S, sk RANGE S"),
        ("numbers", "its keys are pk HASH S, sk RANGE N; state needs pk HASH S, sk RANGE S"),
        ("users", "it holds items that are no state, such as pk 'user#1', sk 'profile'"),
    ):
        for verb in ("check", "create"):
            code, said = answer(capsys, verb, f"dynamodb:{name}", "--endpoint", endpoint)
            assert (code, said["finding"], said["words"]) == (1, "foreign", words)
            assert said["hint"].startswith("name another table: tailrace state create")
    assert users.scan(TableName="users")["Count"] == 1


def test_an_older_and_a_newer_format_are_refused_by_their_numbers(
    endpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    client = table(endpoint, "older", *RIGHT)
    mark = {
        "pk": {"S": "mark"},
        "sk": {"S": "/shop.mail/run/orders/aa"},
        "fields": {"S": '{"v": 1, "sequence": 5}'},
    }
    client.put_item(TableName="older", Item=mark)
    table(endpoint, "newer", *RIGHT).put_item(TableName="newer", Item={**FORMAT_ITEM, "format": {"N": "3"}})
    code, said = answer(capsys, "check", "dynamodb:older", "--endpoint", endpoint)
    assert (code, said["finding"]) == (1, "older")
    assert "format 1" in said["words"]
    assert "tailrace state create dynamodb:TABLE" in said["hint"]
    code, said = answer(capsys, "create", "dynamodb:newer", "--endpoint", endpoint)
    assert (code, said["finding"]) == (1, "newer")
    assert said["words"] == "it has format 3; this version writes 2"


def test_an_empty_table_that_somebody_has_made_is_taken(
    endpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table(endpoint, "empty", *RIGHT)
    assert (
        answer(capsys, "check", "dynamodb:empty", "--endpoint", endpoint)[1]["words"] == "the table is empty"
    )
    code, said = answer(capsys, "create", "dynamodb:empty", "--endpoint", endpoint)
    assert (code, said["finding"], said["made"]) == (0, "ready", True)


def test_the_next_command_names_endpoint_and_region(
    endpoint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--endpoint", endpoint, "--region", "eu-west-1"]
    _, said = answer(capsys, "check", "dynamodb:elsewhere", *where)
    assert (
        said["hint"] == f"tailrace state create dynamodb:elsewhere --region eu-west-1 --endpoint {endpoint}"
    )


def test_a_database_and_a_file_of_something_else_are_refused(
    database: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, path = database(), tmp_path / "orders.db"
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE tailrace_state (id int)")
    file = sqlite3.connect(path)
    file.execute("CREATE TABLE orders (id)")
    file.close()
    for target in (url, f"sqlite:{path}"):
        for verb in ("check", "create"):
            code, said = answer(capsys, verb, target)
            assert (code, said["finding"]) == (1, "foreign")
            assert said["hint"].startswith("name another")


@pytest.mark.parametrize(
    ("target", "options", "words"),
    [
        ("tailrace-state", [], "write dynamodb:TABLE, postgres://USER@HOST/DATABASE or sqlite:PATH"),
        ("dynamodb:", [], "names no place"),
        ("sqlite://x", [], "names no place"),
        ("mysql://me:pw@db/x", [], "me:***@db"),
        ("sqlite:state.db", ["--region", "eu-west-1"], "are of dynamodb:TABLE"),
    ],
)
def test_what_names_no_place_is_refused_with_the_forms_that_there_are(
    target: str, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["state", "check", target, *options]) == 1
    assert words in capsys.readouterr().err


def test_a_server_that_is_away_is_told_without_its_password(capsys: pytest.CaptureFixture[str]) -> None:
    code, said = answer(capsys, "check", "postgres://me:secret@127.0.0.1:9/shop")
    assert code == 1
    assert "see that the server runs" in said["error"]["hint"]
    assert "secret" not in json.dumps(said)
