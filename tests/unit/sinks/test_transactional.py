"""A sink that owns the checkpoint, in worlds with the real worker: what it is committed, in which order,
where it goes on, and what contradicts it.

Rules of this file: the target outlives its sinks, its workers and the state; what is asked is what is in it.
"""

import json
from collections import Counter
from typing import Any

import pytest
from msgspec.structs import replace

from tailrace import App, Change, Discard, Drop, Park, Retry, sinks
from tailrace.errors import SettingsError
from tailrace.ports import Failed, FailedFrom, Failure, Outcome, RecordBatch, TargetPosition
from tailrace.testing import World
from tailrace.testing.sinks import SimulatedTarget, TransactionalMemory

ID = "orders.Kept"


class Kept(TransactionalMemory):
    """Shape: `values` are those of each commit; `away` is whether it answers anything."""

    def __init__(self, target: SimulatedTarget | None = None) -> None:
        super().__init__(target)
        self.commits: list[tuple[int, int]] = []
        self.values: list[Any] = []
        self.away = False
        self.answers: list[Outcome] = []

    def _check(self) -> None:
        if self.away:
            raise OSError("the database is gone")

    async def stamp(self, mapping_id: str, stream: str, shard_id: str, epoch: int) -> TargetPosition:
        self._check()
        return await super().stamp(mapping_id, stream, shard_id, epoch)

    async def commit(self, batch: RecordBatch, position: TargetPosition) -> Outcome:
        self._check()
        if batch.records and self.answers:
            return self.answers.pop(0)
        outcome = await super().commit(batch, position)
        self.commits.append((len(batch.records), position.watermark))
        self.values += batch.values or ()
        return outcome

    @property
    def position(self) -> TargetPosition:
        (position,) = self.target.positions.values()
        return position


class Shop:
    """One table into one such sink."""

    def __init__(self, target: SimulatedTarget | None = None, **settings: Any) -> None:
        self.app = App("shop")
        self.orders = self.app.table("orders", pk="id")
        self.sink = Kept(target)
        self.app.sink(self.orders, self.sink, **settings)


def put(world: World, shop: Shop, *names: str) -> None:
    for name in names:
        world.put(shop.orders, {"id": name})
    world.settle()


def test_changes_are_committed_with_the_position_that_is_behind_them() -> None:
    shop = Shop()
    with World(shop.app, seed=1) as world:
        put(world, shop, "a", "b", "c")
        assert len(shop.sink.target.arrived) == 3
        assert shop.sink.position.watermark == shop.sink.target.arrived[-1]
        assert shop.sink.commits[-1][1] == shop.sink.target.arrived[-1]
        put(world, shop, "d")
        world.kill()
        world.restart()
        put(world, shop, "e")
    assert Counter(shop.sink.target.arrived).most_common(1)[0][1] == 1
    assert len(shop.sink.target.arrived) == 5
    assert shop.sink.position.epoch > 1


@pytest.mark.parametrize("seed", range(8))
def test_whatever_faults_there_are_each_change_is_applied_once(seed: int) -> None:
    shop = Shop(retry=Retry(3), batch_size=3)
    with (
        World(shop.app, seed=seed) as world,
        world.faults(crash="anywhere", duplicates=0.3, throttle=0.1, reshard="4h"),
    ):
        for number in range(40):
            world.put(shop.orders, {"id": f"o{number % 7}", "n": number})
            if number % 13 == 5:
                world.advance("3h")
        world.settle()
    arrived = shop.sink.target.arrived
    assert len(arrived) == len(set(arrived)) == 40


def test_what_is_filtered_moves_the_position_in_its_turn() -> None:
    shop = Shop(where=lambda change: change.new is not None and change.new["id"] == "b")
    with World(shop.app, seed=1) as world:
        put(world, shop, "a", "b", "c", "d")
        assert len(shop.sink.target.arrived) == 1
        assert shop.sink.position.watermark > shop.sink.target.arrived[0]
        assert shop.sink.position.watermark == max(watermark for _, watermark in shop.sink.commits)
        assert world.lag() == 0


def test_a_change_that_is_refused_is_a_letter_before_the_commit_that_passes_it() -> None:
    def transform(change: Change) -> Any:
        if change.new["id"] == "bad":
            raise ValueError("it does not fit")
        return None if change.new["id"] == "none" else change.new["id"]

    shop = Shop(transform=transform, retry=Retry(0))
    with World(shop.app, seed=1) as world:
        for name in ("a", "none", "bad", "b"):
            world.put(shop.orders, {"id": name})
        world.settle()
        (letter,) = world.dead_letters(ID)
        world.allow_failures(ID)
    assert shop.sink.values == ["a", "b"]
    assert len(shop.sink.target.arrived) == 2
    assert "it does not fit" in letter.error


NOT_WRITTEN: list[Outcome] = [
    Failed(), FailedFrom(7, Failure()), Failed({9: Failure()}), Failed({1: Failure()}),
    FailedFrom(1, Failure()),
]  # fmt: skip


@pytest.mark.parametrize("outcome", NOT_WRITTEN, ids=repr)
def test_only_written_is_written(outcome: Outcome) -> None:
    shop = Shop(retry=Retry(5))
    shop.sink.answers = [outcome]
    with World(shop.app, seed=1) as world:
        for name in ("a", "b", "c"):
            world.put(shop.orders, {"id": name})
        world.settle()
        world.allow_failures(ID)
    assert len(shop.sink.target.arrived) == len(set(shop.sink.target.arrived)) == 3


def test_a_target_that_is_away_is_told_and_nothing_is_read() -> None:
    shop = Shop()
    shop.sink.away = True
    with World(shop.app, seed=1) as world:
        world.put(shop.orders, {"id": "a"})
        world.advance("30s")
        told = json.dumps(world._ask("status", {}))
        assert "its target does not say where it stands: OSError: the database is gone" in told
        assert shop.sink.target.arrived == []
        shop.sink.away = False
        world.settle()
    assert len(shop.sink.target.arrived) == 1


def test_a_target_that_knows_a_later_epoch_than_the_state_is_taken_anew() -> None:
    """The state was lost: its epochs begin anew, and each take raises them."""
    shop = Shop()
    with World(shop.app, seed=1) as world:
        put(world, shop, "a")
        for place, position in shop.sink.target.positions.items():
            shop.sink.target.positions[place] = replace(position, epoch=position.epoch + 5)
        put(world, shop, "b")
    assert len(shop.sink.target.arrived) == 2


def test_an_emptied_target_is_given_again_what_the_stream_has() -> None:
    shop = Shop()
    with World(shop.app, seed=1) as world:
        put(world, shop, "a", "b")
        shop.sink.target.arrived.clear()
        shop.sink.target.positions.clear()
        put(world, shop, "c")
        assert len(shop.sink.target.arrived) == 3
        assert world.gaps() == []


def test_a_target_restored_from_a_backup_goes_on_where_that_ends() -> None:
    shop = Shop()
    with World(shop.app, seed=1) as world:
        put(world, shop, "a", "b")
        backup = list(shop.sink.target.arrived), dict(shop.sink.target.positions)
        world.kill()
        world.restart()
        put(world, shop, "c", "d")
        shop.sink.target.arrived, shop.sink.target.positions = backup
        put(world, shop, "e")
    assert len(shop.sink.target.arrived) == len(set(shop.sink.target.arrived)) == 5


def test_what_a_handler_returns_is_written_without_a_position() -> None:
    app, sink = App("shop"), Kept()
    orders = app.table("orders", pk="id")

    @app.on(orders)
    def note(change: Change) -> dict[str, Any]:
        return {"id": change.new["id"]}

    app.sink(note, sink)
    (mapping,) = app.mappings
    assert mapping.settings.order == "key"
    with World(app, seed=1) as world:
        world.put(orders, {"id": "a"})
        world.settle()
    assert (len(sink.target.arrived), sink.target.positions, sink.commits) == (1, {}, [])


def test_its_mapping_has_the_order_of_the_whole_shard_and_discards() -> None:
    (mapping,) = Shop().app.mappings
    settings = mapping.settings
    assert (settings.order, settings.on_failure, settings.is_transactional) == ("shard", "discard", True)
    to = sinks.Directory("letters")
    (mapping,) = Shop(on_failure=Discard(to)).app.mappings
    assert mapping.destination is to


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"on_failure": Park.key}, "on_failure: Park("),
    ({"on_failure": Park.shard}, "on_failure: ParkShard()"),
    ({"on_failure": Drop}, "on_failure: Drop"),
    ({"concurrency": 2}, "concurrency: 2 is not allowed with order='shard'"),
    ({"maximum_record_age_ms": 60_000}, "maximum_record_age_ms: 60000"),
    ({"bisect_batch_on_function_error": False}, "bisect_batch_on_function_error: False"),
    ({"tumbling_window_ms": 1_000}, "TumblingWindowInSeconds: 1 is not allowed with order='shard'"),
    ({"keys_at_once": 2}, "keys_at_once is not allowed with Kept"),
    ({"max_ranges": 2}, "max_ranges is not allowed with Kept"),
]


@pytest.mark.parametrize(("settings", "words"), REFUSED, ids=lambda value: str(value)[:30])
def test_what_contradicts_a_position_beside_the_rows_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        Shop(**settings)
    assert words in str(refusal.value)
