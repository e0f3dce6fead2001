"""What changes or needs more than rows, asked of a fleet from a machine that runs no worker."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tailrace.clocks.manual import ManualClock
from tailrace.rows.kinds import PROJECTION_BUILD
from tailrace.stores.state_targets import open_state
from tests.fleet import APP, TERM, Fleet, fleet
from tests.patience import eventually

OTHER = APP.replace("def note(", "def tally(")
PROJECTING = """
from tailrace import App, Item

app = App("fleet")
orders = app.table("orders", pk="id")


class Order(Item, table=orders):
    id: str


@app.projection(Order, by=Order.id, id="seen")
def seen(count: int, order: Order, sign: int) -> int:
    return count + sign
"""
EMPTY = APP.partition("@app.on")[0]


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Fleet]:
    with fleet(tmp_path, "--memory", "--shards", "2") as ground:
        ground.create_state()
        ground.create_table()
        yield ground


def run(ground: Fleet, *arguments: str, json_too: bool = True) -> tuple[int, Any, str]:
    place = (*ground.state, "--app", "app.py", "--endpoint", ground.endpoint)
    code, out, said = ground.run(*arguments, *place, *(("--json",) if json_too else ()))
    return code, json.loads(out or "null") if json_too else out, said


def claims(ground: Fleet) -> list[int]:
    """How long the worker that filled each build might have been silent."""

    async def read() -> list[int]:
        state = await open_state(f"sqlite:{ground.path / 'state.db'}", ManualClock(), "reader")
        rows = await state.query(PROJECTION_BUILD.prefix("fleet"))
        return [row.fields["claim_ms"] for row in rows]

    return asyncio.run(read())


def test_the_shards_of_a_fleet_tell_who_reads_them_and_what_waits_there(ground: Fleet) -> None:
    worker = ground.worker("--lease", "6s")
    ground.wait(ground.write(9, 0, 1))
    name = worker.announced["worker"]

    def settled() -> Any:
        shards = run(ground, "shards", "ls", "orders")[1]["shards"]
        return shards if {shard["owner"] for shard in shards} == {name} and not waiting(shards) else None

    def waiting(shards: Any) -> list[Any]:
        return [shard for shard in shards if shard["waiting"]]

    shards = eventually(settled)
    assert [(shard["closed"], shard["parents"], shard["retention_left_ms"]) for shard in shards] == [
        (False, [], None)
    ] * 2
    worker.end(TERM)
    ground.write(1, 1, 2)
    shards = run(ground, "shards", "ls", "orders")[1]["shards"]
    assert [(shard["owner"], shard["waiting"]) for shard in waiting(shards)] == [(None, ["note"])]
    assert 80_000_000 < waiting(shards)[0]["retention_left_ms"] <= 86_400_000
    words = run(ground, "shards", "ls", "orders", json_too=False)[1]
    assert "RETENTION LEFT" in words
    assert shards[0]["shard"] in words
    code, _, said = run(ground, "shards", "ls", "elsewhere")
    assert (code, "there are: orders" in said) == (1, True)


def test_a_handler_is_renamed_and_dropped_while_no_worker_lives(ground: Fleet) -> None:
    worker = ground.worker("--lease", "6s")
    ground.wait(ground.write(2, 0, 1))
    for verb in (("rename", "note", "tally"), ("drop", "note", "--yes")):
        code, _, said = run(ground, "mapping", *verb)
        assert (code, f"{worker.announced['worker']} gave a sign of life" in said) == (1, True)
        assert f"tailrace leases ls {' '.join(ground.state)}" in json.loads(said)["error"]["hint"]
    worker.end(TERM)
    ground.write(1, 1, 2)
    planned = run(ground, "mapping", "rename", "note", "tally", "--dry-run")[1]
    moved = run(ground, "mapping", "rename", "note", "tally")[1]
    assert (planned["rows"], planned["dry_run"], moved["dry_run"]) == (moved["rows"], True, False)
    (ground.path / "app.py").write_text(OTHER)
    worker = ground.worker("--lease", "6s")
    ground.wait({("o0", 1)})
    assert len(ground.handled()) == 3, "it goes on where it was under its old name"
    worker.end(TERM)
    ground.write(1, 2, 3)
    (ground.path / "app.py").write_text(
        EMPTY + "\n\n@app.on(orders)\ndef other(change: Change) -> None: ...\n"
    )
    code, said = ground.worker("--lease", "6s").end()
    assert (code, "mapping drop tally" in said) == (1, True)
    code, _, said = run(ground, "mapping", "drop", "tally")
    assert (code, "changes in its streams" in said, "--yes" in said) == (1, True, True)
    assert run(ground, "mapping", "drop", "tally", "--dry-run")[1]["waiting_since_ms"]
    assert run(ground, "mapping", "drop", "tally", "--yes")[1]["rows"] > 0
    assert run(ground, "mapping", "ls")[1] == []
    assert ground.worker("--lease", "6s").announced["worker"]
    assert [entry["verb"] for entry in run(ground, "audit")[1]].count("mapping.drop") == 3


def test_a_projection_that_is_declared_no_more_is_dropped_while_no_worker_lives(ground: Fleet) -> None:
    (ground.path / "app.py").write_text(PROJECTING)
    worker = ground.worker("--lease", "6s")
    ground.write(3, 0, 1)
    eventually(lambda: len((run(ground, "projection", "show", "seen")[1] or {}).get("groups", ())) == 3)
    code, _, said = run(ground, "projection", "drop", "seen")
    assert (code, "is declared by the app" in said) == (1, True)
    (ground.path / "app.py").write_text(APP)
    code, _, said = run(ground, "projection", "drop", "seen")
    assert (code, "gave a sign of life" in said) == (1, True)
    worker.end(TERM)
    assert claims(ground) == [6_000], "a filling is given up when the lease of its worker is"
    planned = run(ground, "projection", "drop", "seen", "--dry-run")[1]
    assert (planned["dry_run"], planned["rows"] > 3) == (True, True)
    assert run(ground, "projection", "drop", "seen")[1]["rows"] == planned["rows"]
    assert run(ground, "projection", "ls")[1] == []
    assert ground.worker("--lease", "6s").announced["worker"]


def test_what_is_none_of_a_fleet_says_why_and_what_to_ask_instead(ground: Fleet) -> None:
    code, _, said = run(ground, "sql", "select 1")
    assert (code, "asked where it lies" in said, "tailrace sql --state" in said) == (1, True, False)
    code, _, said = run(ground, "shards", "split", "orders")
    assert (code, "never on request" in said) == (1, True)
