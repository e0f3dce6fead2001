"""`tailrace restore` against a server: a table is what it was, also repeated; others are refused."""

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest

from tailrace.app.loading import load_app
from tailrace.cli.main import run
from tailrace.testing import World
from tests.patience import PATIENCE_S
from tests.serving import serving

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
