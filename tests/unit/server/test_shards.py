"""The verbs about shards."""

import pytest

from tailrace.errors import TailraceError
from tests.unit.server.admin import Ground


def test_shards_are_listed_and_split() -> None:
    ground = Ground()
    (before,) = ground.ask("shards.ls", table="shop")["shards"]
    assert (before["closed"], before["share"], before["parent"]) == (False, 1.0, None)
    said = ground.ask("shards.split", table="shop")
    assert said["split"] == [before["shard"]]
    assert [(shard["share"], shard["parent"]) for shard in said["shards"]] == [(0.5, before["shard"])] * 2
    assert len(ground.ask("shards.ls", table="shop")["shards"]) == 3


def test_a_dry_run_splits_nothing() -> None:
    ground = Ground()
    said = ground.ask("shards.split", table="shop", dry_run=True)
    assert (len(said["split"]), len(said["shards"])) == (1, 1)
    assert len(ground.shards()) == 1


@pytest.mark.parametrize("verb", ["shards.ls", "shards.split"])
def test_a_table_is_needed(verb: str) -> None:
    with pytest.raises(TailraceError, match="name of a table"):
        Ground().ask(verb)
