"""`tailrace restore` against a server: a table is what it was, also repeated; others are refused."""

import json
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest

from tailrace.app.loading import load_app
from tailrace.cli.main import run
from tailrace.journal.run.restoring import AT_ONCE
from tailrace.testing import World
from tests.patience import PATIENCE_S
from tests.serving import serving
from tests.terminal import on_terminal

APP = """
from tailrace import App

app = App("shop")
orders = app.table("orders", pk="id")
app.archive(orders, {place!r})
"""


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "any")


def test_a_table_is_restored_from_its_journal(keys: None, tmp_path: Path, capsys: Any) -> None:
    file = tmp_path / "app.py"
    file.write_text(APP.format(place=str(tmp_path / "history")))
    orders = load_app(str(file)).tables["orders"]
    with World(load_app(str(file)), seed=1, sinks="real") as world:
        for number in range(30):
            world.put(orders, {"id": f"o{number}", "n": Decimal(number)})
        world.settle()
        then = str(Decimal(world.clock.now().wall_ms) / 1_000)
        world.advance("1h")
        world.put(orders, {"id": "o1", "n": Decimal(1_000)})
        world.delete(orders, {"id": "o2"})
        world.settle()
    with serving() as server:
        url = f"http://127.0.0.1:{server.port}"
        client = boto3.client("dynamodb", region_name="us-east-1", endpoint_url=url)
        common = ["--app", str(file), "--endpoint", url]

        def restored(*words: str, into: str = "restored") -> int:
            return run(["restore", then, "--into", into, *words, *common])

        assert restored("--yes") == 1
        assert "There is no table restored there" in capsys.readouterr().err
        made = {
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "BillingMode": "PAY_PER_REQUEST",
        }
        client.create_table(TableName="restored", **made)
        other = json.loads(json.dumps(made).replace('"S"', '"N"'))
        client.create_table(TableName="numbers", **other)
        assert restored("--yes", into="numbers") == 1
        assert "has other keys (id N) than orders (id S)" in capsys.readouterr().err
        assert restored() == 1
        assert "with --yes" in capsys.readouterr().err
        assert restored("--dry-run") == 0
        assert "would be put 30" in capsys.readouterr().out
        assert client.scan(TableName="restored")["Count"] == 0
        assert restored("--yes", "--json") == 0
        assert json.loads(capsys.readouterr().out)["counts"] == {"put": 30}
        assert restored("--yes", "--json") == 0
        assert json.loads(capsys.readouterr().out)["counts"] == {"same": 30}
        items = {one["id"]["S"]: one["n"]["N"] for one in client.scan(TableName="restored")["Items"]}
        assert items == {f"o{number}": str(number) for number in range(30)}
        client.put_item(TableName="restored", Item={"id": {"S": "o1"}, "n": {"N": "7"}})
        assert restored("--yes", "--keys", "orders/o1", "--keys", "orders/o2") == 1
        shown = capsys.readouterr()
        assert "left 1" in shown.out
        assert "left: o1" in shown.out
        assert restored("--yes", "--keys", "orders/o1", "--overwrite") == 0
        assert client.get_item(TableName="restored", Key={"id": {"S": "o1"}})["Item"]["n"] == {"N": "1"}


def test_a_program_that_asked_the_past_ends_without_a_word(tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text(APP.format(place=str(tmp_path / "history")))
    app = load_app(str(file))
    with World(app, seed=1, sinks="real") as world:
        world.put(app.tables["orders"], {"id": "a"})
        world.settle()
        then = world.clock.now().wall_ms / 1_000
    program = (
        "from app import app, orders\n"
        f"then = app.as_of({then})\n"
        "assert then.get(orders, {'id': 'a'}) == {'id': 'a'}\n"
        "assert next(iter(then.scan(orders))) == {'id': 'a'}\n"
        "assert then.relation(orders).fetchall()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=PATIENCE_S,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")


INTERRUPTING = """
import os
import signal
from pathlib import Path

from tailrace.journal.run import restoring

count = restoring.Restorer._count


def counted(self, action, key):
    count(self, action, key)
    if self.report.done == 40 and not Path("interrupted").exists():
        Path("interrupted").touch()
        os.kill(os.getpid(), signal.SIGINT)


restoring.Restorer._count = counted
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo terminals of this kind")
def test_ctrl_c_says_how_far_it_was_and_the_same_command_goes_on(keys: None, tmp_path: Path) -> None:
    file = tmp_path / "app.py"
    file.write_text(APP.format(place=str(tmp_path / "history")))
    orders = load_app(str(file)).tables["orders"]
    with World(load_app(str(file)), seed=1, sinks="real") as world:
        for number in range(400):
            world.put(orders, {"id": f"o{number}"})
        world.settle()
        then = str(Decimal(world.clock.now().wall_ms) / 1_000)
    file.write_text(file.read_text() + INTERRUPTING)
    with serving() as server:
        url = f"http://127.0.0.1:{server.port}"
        client = boto3.client("dynamodb", region_name="us-east-1", endpoint_url=url)
        client.create_table(
            TableName="restored",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        typed = ["-m", "tailrace", "restore", then, "--into", "restored", "--yes", "--app", "app.py"]
        code, shown = on_terminal([*typed, "--endpoint", url], cwd=tmp_path)
        assert code == 130, shown
        assert "restoring" in shown
        assert "0 of 400 items" in shown
        cut = re.search(r"cut off after (\d+) of 400 items: (\d+) of them were written", shown)
        assert cut is not None, shown
        done = int(cut[1])
        assert (40 <= done < 400, int(cut[2])) == (True, done)
        assert "the same command again: it passes over what is as it was" in shown
        there = client.scan(TableName="restored")["Count"]
        assert done <= there <= done + AT_ONCE
        again = on_terminal([*typed, "--endpoint", url], cwd=tmp_path)
        assert again.code == 0, again.text
        assert client.scan(TableName="restored")["Count"] == 400
