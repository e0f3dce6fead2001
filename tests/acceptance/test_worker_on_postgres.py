"""Two `tailrace worker` processes with state in a PostgreSQL server: kills, cut connections, a restart; what
is told is told by one of them.
"""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fleet import KILL, TERM, Fleet, check_order, fleet
from tests.patience import eventually
from tests.postgres import PostgresServer, postgres

KEYS = 12
TELLING = """
import os
from datetime import datetime, timezone

from tailrace import App, Change, Discard, Item, Retry, Window

app = App("fleet")
orders = app.table("orders", pk="id")


def say(name: str, line: str) -> None:
    out = os.open(os.environ["SEEN"] + name, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(out, f"{line} {os.getpid()}\\n".encode())
    os.close(out)


class Destination:
    async def deliver(self, failure) -> None:
        say(".told", failure.message.decode().split('"requestId":"')[1].split('"')[0])


class Order(Item, table=orders):
    id: str
    n: int


@app.on(orders, retry=Retry(0), on_failure=Discard(to=Destination()))
def refuse(change: Change) -> None:
    say(".refused", change.new["id"])
    raise ValueError("no")


@app.window(Order, every="1s", by=Order.id)
def seconds(window: Window) -> None:
    say(".windows", f"{window.key} {window.start.timestamp():.0f} {window.revision}")
"""


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres() as server:
        yield server


@pytest.fixture
def ground(server: PostgresServer, tmp_path: Path) -> Iterator[Fleet]:
    """A server with a table of four shards, and a database for state."""
    with fleet(tmp_path, "--memory", "--shards", "4") as ground:
        ground.state = ["--state", server.database()]
        ground.create_state()
        ground.create_table()
        yield ground


def lines(ground: Fleet, name: str) -> list[list[str]]:
    """What was said, without the process."""
    path = Path(f"{ground.seen}.{name}")
    return [line.split()[:-1] for line in path.read_text().splitlines()] if path.exists() else []


def processes(ground: Fleet, name: str) -> list[int]:
    path = Path(f"{ground.seen}.{name}")
    return [int(line.split()[-1]) for line in path.read_text().splitlines()] if path.exists() else []


def test_what_two_workers_share_survives_kills_cuts_and_a_restart_of_the_server(
    server: PostgresServer, ground: Fleet
) -> None:
    first, second = ground.worker(), ground.worker()
    changes = ground.write(KEYS, 0, 3)
    ground.wait(changes)
    assert server.cut() > 0
    changes |= ground.write(KEYS, 3, 5)
    ground.wait(changes)
    server.stop()
    changes |= ground.write(KEYS, 5, 7)
    for worker in (first, second):
        line = json.loads(worker.said("it is tried again"))
        assert "postgresql://tests:***@/" in json.dumps(line), "the password is not told"
    server.start()
    for worker in (first, second):
        worker.said("it can be reached again")
    changes |= ground.write(KEYS, 7, 9)
    ground.wait(changes)
    first.end(KILL)
    changes |= ground.write(KEYS, 9, 11)
    ground.wait(changes)
    check_order(ground.handled())
    after = [handled for handled in ground.handled() if handled.number >= 9]
    assert {handled.process for handled in after} == {second.process.pid}
    code, said = second.end(TERM)
    assert code == 0, said
    repeated = sum(count - 1 for count in Counter(line[:2] for line in ground.handled()).values())
    assert repeated <= 11 * KEYS // 2, "what was under way at a cut, a restart and a kill is all that repeats"


def test_what_two_workers_give_up_and_their_windows_are_told_once_and_by_the_other_when_one_ends(
    ground: Fleet,
) -> None:
    (ground.path / "app.py").write_text(TELLING)
    workers = [ground.worker(), ground.worker()]
    ground.write(KEYS, 0, 1)

    def are_told(count: int) -> bool:
        told, windows = lines(ground, "told"), {line[0] for line in lines(ground, "windows")}
        return len(told) >= count and len(windows) >= count

    def state() -> str:
        return f"{lines(ground, 'told')} {lines(ground, 'windows')} {[w.errors[-3:] for w in workers]}"

    eventually(lambda: are_told(KEYS), state)
    (teller,) = set(processes(ground, "told"))
    (closer,) = set(processes(ground, "windows"))
    ending = next(worker for worker in workers if worker.process.pid == teller)
    other = next(worker for worker in workers if worker is not ending)
    assert ending.end(TERM)[0] == 0
    for key in range(KEYS):
        members = {"TableName": "orders", "Item": {"id": {"S": f"later{key}"}, "n": {"N": "1"}}}
        ground.call("PutItem", members)
    eventually(lambda: are_told(2 * KEYS), state)
    assert max(Counter(map(tuple, lines(ground, "told"))).values()) == 1
    assert max(Counter(map(tuple, lines(ground, "windows"))).values()) == 1
    assert set(processes(ground, "told")[KEYS:]) == {other.process.pid}
    assert closer in {ending.process.pid, other.process.pid}
