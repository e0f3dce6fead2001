"""Freeing leases: who is meant, who is asked first, and what a worker that lives does then."""

from collections.abc import Iterator
from typing import Any

import pytest

from tailrace import App
from tailrace.cli import leases as command
from tailrace.errors import TailraceError
from tailrace.leases.lease import lease_key, take
from tailrace.rows.kinds import CHECKPOINT, LEASE
from tailrace.testing import World


@pytest.fixture
def world() -> Iterator[World]:
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.on(orders, id="note")(lambda change: None)
    with World(app, seed=3) as world:
        world.put("orders", {"id": "a"})
        world.advance("10s")
        yield world


def ask(world: World, verb: str, **arguments: Any) -> Any:
    return world._ask(f"leases.{verb}", arguments)[-1]


def rows(world: World) -> list[dict[str, Any]]:
    return [dict(row.fields) for row in world.engine.state.query(LEASE.prefix("shop"))]


def left_by_a_dead_worker(world: World) -> None:
    """A lease of a worker that is gone, of a shard that is not read here."""
    world.engine.state.transact([take(lease_key("shop", "old", "shard-9"), None, "gone")[1]])
    world.engine.committer.flush()


def test_leases_are_listed_with_who_lives(world: World) -> None:
    left_by_a_dead_worker(world)
    listed = {value["shard"]: value for value in ask(world, "ls")}
    assert listed["shard-9"]["state"] == "still"
    (mine,) = [value for shard, value in listed.items() if shard != "shard-9"]
    assert (mine["state"], mine["epoch"], mine["app"]) == ("held", 1, "shop")
    words = "\n".join(command.listed(ask(world, "ls")))
    assert "shard-9" in words
    assert "still" in words


def test_the_dead_are_freed_and_those_that_live_are_not(world: World) -> None:
    left_by_a_dead_worker(world)
    assert [value["owner"] for value in ask(world, "release", dead=True, dry_run=True)["released"]] == [
        "gone"
    ]
    assert {row["owner"] for row in rows(world)} > {"gone"}
    answer = ask(world, "release", dead=True)
    assert [value["shard"] for value in answer["released"]] == ["shard-9"]
    assert sorted((row["owner"] == "", row["epoch"]) for row in rows(world)) == [(False, 1), (True, 2)]
    assert ask(world, "release", dead=True)["released"] == []
    assert "nothing is to be freed" in "\n".join(command.told(ask(world, "release", dead=True)))


def test_a_worker_that_works_alone_is_forced_and_begins_anew(world: World) -> None:
    (value,) = ask(world, "ls")
    with pytest.raises(TailraceError, match="it works alone") as refusal:
        ask(world, "release", shard=value["shard"], yes=True)
    assert "--force --yes" in (refusal.value.hint or "")
    with pytest.raises(TailraceError, match="gave a sign of life") as refusal:
        ask(world, "release", shard=value["shard"], force=True)
    assert "--yes" in (refusal.value.hint or "")
    with pytest.raises(TailraceError, match="No worker 'you' gave a sign of life; there are: none"):
        ask(world, "release", shard=value["shard"], to="you")
    assert rows(world)[0]["epoch"] == 1
    ask(world, "release", shard=value["shard"], force=True, yes=True)
    assert (rows(world)[0]["epoch"], rows(world)[0]["owner"]) == (2, "")
    world.put("orders", {"id": "b"})
    world.advance("20m")
    assert list(dict.fromkeys(world.delivered("note"))) == ["a", "b"]
    (row,) = world.engine.state.query(CHECKPOINT.prefix("shop", "note"))
    assert row.fields["epoch"] == 3, "it has begun under a lease of its own again"
    assert world.lag() == 0


def test_a_shard_is_named_alone_or_with_its_stream_and_a_worker_by_its_name(world: World) -> None:
    (value,) = ask(world, "ls")
    full = f"{value['stream']}/{value['shard']}"
    for chosen in ({"shard": full}, {"shard": value["shard"]}, {"worker": value["owner"]}):
        assert len(ask(world, "release", force=True, dry_run=True, **chosen)["released"]) == 1
    with pytest.raises(TailraceError, match="there are: "):
        ask(world, "release", shard="nowhere")
