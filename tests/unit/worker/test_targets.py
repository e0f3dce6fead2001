"""Targets that were emptied or restored from a backup, while no worker ran or while one wrote to them, in
worlds with the real worker: what they had of open and finished shards comes again, or is told.
"""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from tailrace import App, sinks
from tailrace.ports import Outcome, RecordBatch, TargetPosition
from tailrace.runtime.delivering import Settling
from tailrace.testing import World
from tailrace.testing.sinks import SimulatedTarget, TransactionalMemory
from tailrace.worker import targets

ID = "orders.Kept"


class Kept(TransactionalMemory):
    """Shape: `away` is whether it answers anything; `of_keys` are the changes of each item as they came."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.of_keys: dict[bytes, list[int]] = {}

    async def write(self, batch: RecordBatch) -> Outcome:
        for record in batch.records:
            self.of_keys.setdefault(record.key, []).append(record.sequence)
        return await super().write(batch)

    async def positions(self, mapping_id: str) -> Sequence[TargetPosition]:
        if self.away:
            raise OSError("the database is gone")
        return await super().positions(mapping_id)


class Shop:
    """One table into one such sink."""

    def __init__(self, **settings: Any) -> None:
        self.app = App("shop")
        self.orders = self.app.table("orders", pk="id")
        self.sink = Kept()
        self.app.sink(self.orders, self.sink, **settings)
        self.count = 0

    def put(self, world: World) -> None:
        for number in range(6):
            self.count += 1
            world.put(self.orders, {"id": f"o{number}", "n": self.count})
        world.settle()

    def split(self, world: World) -> None:
        world.split(self.orders)
        self.put(world)


def emptied(target: SimulatedTarget) -> None:
    target.arrived.clear()
    target.positions.clear()


def lived(shop: Shop, world: World) -> Callable[[], None]:
    """Shards are finished, a backup is made, more are finished. Returns: what restores the backup."""
    shop.put(world)
    shop.split(world)
    target = shop.sink.target
    backup = list(target.arrived), dict(target.positions)
    shop.split(world)
    shop.split(world)
    assert len(target.arrived) == len(set(target.arrived)) == 24

    def restore() -> None:
        target.arrived, target.positions = list(backup[0]), dict(backup[1])

    return restore


@pytest.mark.parametrize("is_emptied", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_what_a_target_has_lost_of_finished_shards_comes_again_once_and_in_order(
    is_emptied: bool, seed: int
) -> None:
    shop = Shop()
    with World(shop.app, seed=seed) as world:
        restore = lived(shop, world)
        world.kill()
        if is_emptied:
            emptied(shop.sink.target)
        else:
            restore()
        shop.sink.of_keys.clear()
        world.restart()
        shop.put(world)
        arrived = shop.sink.target.arrived
        assert len(arrived) == len(set(arrived)) == 30
        for changes in shop.sink.of_keys.values():
            assert changes == sorted(changes), "what was finished comes before what continues it"
        assert world.gaps() == []
        world.kill()
        world.restart()
        shop.put(world)
    assert len(shop.sink.target.arrived) == 36, "once it is read again, nothing comes twice"


@pytest.mark.parametrize("is_emptied", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_target_that_is_restored_while_it_is_written_lacks_nothing_after_the_next_commit(
    is_emptied: bool, seed: int
) -> None:
    """No shard is taken anew, so every position of the backup has the epoch of its worker still."""
    shop = Shop()
    with World(shop.app, seed=seed) as world:
        restore = lived(shop, world)
        if is_emptied:
            emptied(shop.sink.target)
        else:
            restore()
        shop.sink.of_keys.clear()
        shop.put(world)
        arrived = shop.sink.target.arrived
        assert len(arrived) == len(set(arrived)) == 30
        for changes in shop.sink.of_keys.values():
            assert changes == sorted(changes), "what was finished comes before what continues it"
        assert world.gaps() == []
        shop.put(world)
    assert len(shop.sink.target.arrived) == 36, "once it is read again, nothing comes twice"


def one_shard_restored() -> list[int]:
    """A backup of before the last of three commits is restored under one epoch. Returns: what arrived."""
    shop = Shop()
    with World(shop.app, seed=1) as world:
        shop.put(world)
        target = shop.sink.target
        backup = list(target.arrived), dict(target.positions)
        shop.put(world)
        target.arrived, target.positions = backup
        shop.put(world)
        assert world.gaps() == []
    return shop.sink.target.arrived


def test_a_shard_goes_on_where_its_target_was_restored_to_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    arrived = one_shard_restored()
    assert caplog.text.count("it was emptied or restored, and what it lost is read again") == 1
    assert len(arrived) == 18
    assert arrived == sorted(set(arrived))


def test_canary_a_worker_that_does_not_say_what_it_knows_leaves_a_hole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = Settling.position_at

    def wrong(self: Settling, through: int) -> TargetPosition | None:
        position = right(self, through)
        return position and structs.replace(position, after=0)

    monkeypatch.setattr(Settling, "position_at", wrong)
    assert len(one_shard_restored()) == 12


def test_canary_a_target_that_is_compared_once_lacks_its_finished_shards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(targets.Targets, "compare_again", lambda self, mapping_id: None)
    shop = Shop()
    with World(shop.app, seed=1) as world:
        restore = lived(shop, world)
        restore()
        shop.put(world)
        assert world.gaps() == [], "nothing says so"
    assert len(shop.sink.target.arrived) < 30


def test_canary_without_the_comparison_what_was_finished_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "lost_shards", lambda finished, positions: [])
    shop = Shop()
    with World(shop.app, seed=1) as world:
        restore = lived(shop, world)
        world.kill()
        restore()
        world.restart()
        shop.put(world)
        assert world.gaps() == [], "nothing says so"
    assert len(shop.sink.target.arrived) < 30


def test_a_target_that_is_away_is_compared_before_anything_is_read() -> None:
    shop = Shop()
    with World(shop.app, seed=1) as world:
        restore = lived(shop, world)
        world.kill()
        restore()
        had = list(shop.sink.target.arrived)
        shop.sink.away = True
        world.restart()
        world.put(shop.orders, {"id": "late"})
        world.advance("30s")
        assert shop.sink.target.arrived == had
        assert "the database is gone" in json.dumps(world._ask("status", {}))
        shop.sink.away = False
        world.settle()
    arrived = shop.sink.target.arrived
    assert len(arrived) == len(set(arrived)) == 25


def test_of_shards_that_are_gone_what_the_target_has_lost_is_a_gap(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shop = Shop()
    with World(shop.app, seed=1) as world:
        shop.put(world)
        shop.split(world)
        _, _, oldest = next(iter(shop.sink.target.positions))
        first = list(shop.sink.target.arrived)[:6]
        world.advance("23h")
        shop.put(world)
        world.kill()
        world.advance("2h")
        before = list(shop.sink.target.arrived)
        emptied(shop.sink.target)
        world.restart()
        shop.put(world)
        (gap,) = [gap for gap in world.gaps() if gap.shard_id == oldest]
        assert gap.first <= first[0] <= first[-1] <= gap.last
        again = shop.sink.target.arrived
        assert 0 < len(set(before).intersection(again)) < len(before)
        for number in set(before).difference(again):
            assert any(gap.first <= number <= gap.last for gap in world.gaps())
    assert "and the stream has it no more: tailrace gaps" in caplog.text


def test_show_tells_where_the_target_stands_beside_the_state_or_why_not() -> None:
    shop = Shop()
    with World(shop.app, seed=1) as world:
        shop.put(world)

        def shown() -> tuple[Any, Any]:
            ((handler,),) = world._ask("checkpoint.show", {"handler": ID})
            (shard,) = handler["shards"]
            return handler["target"], shard

        target, shard = shown()
        assert target == {"error": None}
        assert shard["target"] == {"watermark": shard["watermark"], "epoch": shard["epoch"]}
        had = dict(shop.sink.target.positions)
        shop.sink.target.positions.clear()
        target, shard = shown()
        assert (target, shard["target"]) == ({"error": None}, None)
        shop.sink.target.positions = had
        shop.sink.away = True
        target, shard = shown()
        assert target == {"error": "it does not answer: OSError: the database is gone"}
        assert shard["target"] is None


# ---- a mirror ----------------------------------------------------------------------------------------------


class MirroredShop:
    """One table, mirrored into a file of DuckDB."""

    def __init__(self, file: Path, **settings: Any) -> None:
        self.file = file
        self.app = App("shop")
        self.orders = self.app.table("orders", pk="id")
        self.app.sink(self.orders, sinks.DuckDB(str(file), "orders"), id="mirror", **settings)

    def write(self, world: World, n: int) -> None:
        for number in range(6):
            world.put(self.orders, {"id": f"o{n}-{number}", "n": n})
        world.put(self.orders, {"id": "newest", "n": n})
        world.delete(self.orders, {"id": f"o{n}-0"})
        world.settle()

    def rows(self) -> list[tuple[str, int]]:
        import duckdb

        with duckdb.connect(str(self.file), read_only=True) as connection:
            return sorted(connection.execute("select id, n from orders").fetchall())

    def items(self, world: World) -> list[tuple[str, int]]:
        return sorted((item["id"], int(item["n"])) for item in world.scan(self.orders))


@pytest.mark.parametrize("is_emptied", [False, True])
def test_a_file_that_was_restored_or_removed_equals_the_table_again(tmp_path: Path, is_emptied: bool) -> None:
    shop = MirroredShop(tmp_path / "shop.duckdb")
    with World(shop.app, seed=1) as world:
        shop.write(world, 1)
        world.split(shop.orders)
        shop.write(world, 2)
        world.kill()
        shutil.copy(shop.file, tmp_path / "backup")
        world.restart()
        shop.write(world, 3)
        world.split(shop.orders)
        shop.write(world, 4)
        world.kill()
        shop.file.unlink()
        if not is_emptied:
            shutil.copy(tmp_path / "backup", shop.file)
        world.restart()
        shop.write(world, 5)
        items = shop.items(world)
        assert world.gaps() == []
        world.kill()
    assert len(items) == 26
    assert shop.rows() == items


def test_a_mirror_that_was_removed_is_given_the_whole_table_where_the_stream_has_no_more(
    tmp_path: Path,
) -> None:
    shop = MirroredShop(tmp_path / "shop.duckdb", snapshot=True)
    with World(shop.app, seed=1) as world:
        shop.write(world, 1)
        world.split(shop.orders)
        shop.write(world, 2)
        world.advance("23h")
        world.kill()
        world.advance("2h")
        shop.file.unlink()
        world.restart()
        shop.write(world, 3)
        world.advance("10m")
        items = shop.items(world)
        assert world.gaps() == [], "the snapshot has filled them"
        world.kill()
    assert len(items) == 16
    assert shop.rows() == items
