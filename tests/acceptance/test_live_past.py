"""The past with the live stream behind it, in real processes: a write that was acknowledged is in the answer,
once, while the archiver stands still.

Rules of this file: a file named `paused` lets the archive take nothing, so that its archiver lags for as long
as a test wants, and journals are asked meanwhile.
"""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tailrace.app.loading import load_app
from tailrace.compose import EngineOptions, Node
from tailrace.engine.settings import EngineSettings
from tailrace.server.http import HttpSettings
from tests.command_line import tailrace
from tests.crash.node import Node as NodeProcess
from tests.crash.node import free_port
from tests.fleet import ENVIRONMENT, TERM, fleet
from tests.patience import eventually

APP = """
from pathlib import Path

from tailrace import App, Change
from tailrace.archives import DirectoryArchive
from tailrace.errors import ArchiveError

HERE = Path({here!r})


class Pausing(DirectoryArchive):
    async def put_if_absent(self, name, data):
        if (HERE / "paused").exists():
            raise ArchiveError("the archive is paused")
        return await super().put_if_absent(name, data)


app = App("shop")
orders = app.table("orders", pk="id")
app.archive(orders, Pausing(HERE / "history"))


def note(who, change, told):
    with (HERE / "seen").open("a") as lines:
        lines.write(f"{{who}} {{change.new['n']}} {{[int(one.new['n']) for one in told]}}\\n")


@app.on(orders)
def thread(change: Change):
    told = app.history(orders, {{"id": change.key}})
    note("thread", change, told)


@app.on(orders)
async def coroutine(change: Change):
    told = await app.async_history(orders, {{"id": change.key}})
    note("coroutine", change, told)


@app.on(orders)
async def blocking(change: Change):
    told = app.history(orders, {{"id": change.key}})
    note("blocking", change, told)
"""
HANDLERS = ("thread", "coroutine", "blocking")
TABLE = {
    "TableName": "orders",
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "BillingMode": "PAY_PER_REQUEST",
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
}


def item(number: int, key: str = "o1") -> dict[str, Any]:
    return {"TableName": "orders", "Item": {"id": {"S": key}, "n": {"N": str(number)}}}


def with_app(folder: Path) -> Path:
    (folder / "app.py").write_text(APP.format(here=str(folder)))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return with_app(tmp_path)


def archived(folder: Path) -> int:
    told = tailrace("journal", "status", "history", "--json", cwd=folder)
    return sum(one["changes"] for one in json.loads(told.stdout or "[]"))


def asked(folder: Path, verb: str, *more: str) -> Any:
    told = tailrace(verb, *more, "--app", "app.py", "--json", cwd=folder, environment=ENVIRONMENT)
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def numbers(folder: Path, *more: str) -> list[int]:
    """What the history of o1 has, as the command line says it."""
    return [int(one["new"]["n"]["N"]) for one in asked(folder, "history", "orders/o1", *more)]


# ---- in one process ----------------------------------------------------------------------------------------


def test_in_a_process_every_acknowledged_write_is_in_the_next_answer_once(folder: Path) -> None:
    app = load_app(str(folder / "app.py"))
    for handler in HANDLERS:
        app.withdraw(handler)
    orders, key = app.tables["orders"], {"id": "o1"}

    async def main() -> None:
        options = EngineOptions(directory=folder / "data", settings=EngineSettings(region=app.region))
        node = Node(options, HttpSettings(port=0), app)
        port = await node.start()
        url = f"http://127.0.0.1:{port}"
        client = boto3.client(
            "dynamodb", region_name=app.region, endpoint_url=url,
            aws_access_key_id="any", aws_secret_access_key="any",
        )  # fmt: skip
        try:
            for number in range(30):
                if number == 20:
                    (folder / "paused").touch()
                await asyncio.to_thread(client.put_item, **item(number))
                if number == 0:  # a journal begins with its archiver
                    while not any((folder / "history").rglob("*.parquet")):
                        await asyncio.sleep(0.02)
                if number % 2:
                    told = await asyncio.to_thread(app.history, orders, key)
                else:
                    told = await app.async_history(orders, key)
                assert [int(one.new["n"]) for one in told] == list(range(number + 1))
        finally:
            await node.stop()

    asyncio.run(main())
    assert 0 < archived(folder) <= 20


# ---- beside a node -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """`tailrace dev` with two changes that are archived, and two for which the archiver stands still."""
    folder = with_app(tmp_path_factory.mktemp("dev"))
    node = NodeProcess(folder, free_port(), ("dev", str(folder / "app.py"), "--no-reload"))
    node.start()
    try:
        node.wait_until_answering()
        for number in range(2):
            node.call("PutItem", item(number))
        eventually(lambda: archived(folder) == 2)
        (folder / "paused").touch()
        for number in range(2, 4):
            node.call("PutItem", item(number))
        yield node
    finally:
        node.stop()


def test_the_command_line_reads_on_in_the_stream_of_a_node(dev: NodeProcess) -> None:
    folder = dev.directory
    assert numbers(folder, *dev.place) == [0, 1, 2, 3]
    assert numbers(folder, "--url", f"http://localhost:{dev.port}") == [0, 1, 2, 3]
    assert numbers(folder, *dev.place, "--no-stream") == [0, 1]
    assert numbers(folder) == [0, 1], "no node runs in the directory that is the default"
    blamed = asked(folder, "blame", "orders/o1", "--path", "n", *dev.place)
    assert [one["value"] for one in blamed] == [{"N": "3"}]
    now = str(asked(folder, "history", "orders/o1", *dev.place)[-1]["created_us"] / 1_000_000)
    known = asked(folder, "as-of", now, "--key", "orders/o1", *dev.place)
    assert (known["item"]["n"], known["later"]) == ({"N": "3"}, "")
    alone = asked(folder, "as-of", now, "--key", "orders/o1", "--no-stream")
    assert alone["item"]["n"] == {"N": "1"}
    assert "does not have yet" in alone["later"]
    first = str(asked(folder, "history", "orders/o1", "--no-stream")[0]["created_us"] / 1_000_000)
    changed = asked(folder, "diff", first, now, "orders", *dev.place)
    assert (changed["before"]["n"], changed["after"]["n"]) == ({"N": "0"}, {"N": "3"})


def test_the_endpoint_of_an_engine_is_refused_for_a_journal_that_was_written_beside_it(
    dev: NodeProcess,
) -> None:
    typed = ("history", "orders/o1", "--app", "app.py", "--endpoint", f"http://localhost:{dev.port}")
    told = tailrace(*typed, cwd=dev.directory, environment=ENVIRONMENT)
    assert told.returncode == 0, told.stderr
    assert len(told.stdout.splitlines()) == 2
    assert "The live stream was not read: the journal was written beside the engine" in told.stderr
    assert "--data or --url asks the engine" in told.stderr


def test_another_table_of_that_name_beside_which_the_question_is_asked_is_left_out(
    dev: NodeProcess, tmp_path: Path
) -> None:
    other = NodeProcess(tmp_path / "other", free_port(), ("serve",))
    other.directory.mkdir()
    other.start()
    try:
        other.wait_until_answering()
        other.call("CreateTable", TABLE)
        other.call("PutItem", item(99))
        told = tailrace("history", "orders/o1", "--app", "app.py", *other.place, cwd=dev.directory)
        assert len(told.stdout.splitlines()) == 2
        assert "there is a table 'orders' of its own there, and the journal is of another one" in told.stderr
    finally:
        other.stop()


def test_handlers_read_what_they_are_called_for(dev: NodeProcess) -> None:
    folder = dev.directory

    def seen() -> dict[tuple[str, str], set[int]]:
        text = (folder / "seen").read_text() if (folder / "seen").exists() else ""
        told = (line.split(" ", 2) for line in text.rpartition("\n")[0].splitlines())
        return {(who, number): set(json.loads(had)) for who, number, had in told}

    wanted = [(who, str(number)) for who in HANDLERS for number in range(4)]
    eventually(lambda: set(wanted) <= seen().keys())
    for who in ("thread", "coroutine"):
        assert seen()[who, "3"] == {0, 1, 2, 3}
    assert seen()["blocking", "3"] == {0, 1}, "the stream's part would wait for itself"
    assert "await app.async_history" in dev.log.read_text()


# ---- a worker elsewhere ------------------------------------------------------------------------------------


def test_the_journal_of_a_worker_is_read_on_at_its_endpoint_and_beside_its_server(folder: Path) -> None:
    text = (folder / "app.py").read_text().partition("@app.on(orders)\nasync def blocking")[0]
    with fleet(folder, "--data", str(folder / "data")) as ground:
        (ground.path / "app.py").write_text(text)
        ground.create_state()
        ground.create_table()
        for number in range(2):
            ground.call("PutItem", item(number))
        worker = ground.worker()
        eventually(lambda: archived(folder) == 2)
        (folder / "paused").touch()
        for number in range(2, 4):
            ground.call("PutItem", item(number))
        places = (("--endpoint", ground.endpoint), ("--data", str(folder / "data")))
        told = [asked(folder, "history", "orders/o1", *place) for place in places]
        assert [[int(one["new"]["n"]["N"]) for one in entries] for entries in told] == [[0, 1, 2, 3]] * 2
        assert told[0] == told[1], "times and versions are those of the wire in both"
        written = [3]

        def is_seen() -> bool:
            """Whether handlers have seen what the archive does not have; each answer may be a second old, so
            they are called once more until they have.
            """
            text = (folder / "seen").read_text() if (folder / "seen").exists() else ""
            lines = text.rpartition("\n")[0].splitlines()
            handled = [line for line in lines for who in HANDLERS[:2] if f"{who} {written[-1]} " in line]
            if len(handled) < 2:
                return False
            if all(any(f"{who} " in line and " 1, 2" in line for line in lines) for who in HANDLERS[:2]):
                return True
            written.append(written[-1] + 1)
            ground.call("PutItem", item(written[-1]))
            return False

        eventually(is_seen)
        ended = written[-1] + 1
        (folder / "paused").unlink()
        eventually(lambda: archived(folder) == ended)
        for place in (*places, ("--no-stream",)):
            assert asked(folder, "history", "orders/o1", *place)[:4] == told[0]
            assert numbers(folder, *place) == list(range(ended))
        assert worker.end(TERM)[0] == 0
