"""What a handler never saw is named exactly; what it can still see is delivered; and nothing
is kept for ever.
"""

import pytest

from tailrace.app.app import App
from tailrace.app.change import Change
from tailrace.app.table import Table
from tailrace.engine.state import state_of
from tailrace.leases.checkpoint import EARLIER
from tailrace.rows.kinds import CHECKPOINT, KINDS, LEASE, of_mapping, words_of
from tailrace.rows.writes import Write
from tailrace.runtime.watermark import MappingName
from tailrace.testing.world import World
from tailrace.views.at_once import at_once
from tailrace.views.progress import ledgers
from tailrace.worker.forgetting import beside_checkpoints


class Shop:
    """An app with one handler."""

    def __init__(self) -> None:
        self.app = App("shop")
        self.orders: Table = self.app.table("orders", pk="id")

        @self.app.on(self.orders)
        def note(change: Change) -> None: ...

        self.note = note


@pytest.fixture
def shop() -> Shop:
    return Shop()


def newest(world: World) -> int:
    """The number of the newest record."""
    stream = world.engine.stream_of("orders")
    numbers = [
        record.sequence
        for shard in world.engine.shards_of(stream.arn)
        for record in world.engine.log.read(shard, 0, 1_000).records
    ]
    return max(numbers)


def rows(world: World, kind: str) -> list[str]:
    return [row.key for row in world.engine.state.query(KINDS[kind].prefix("shop"))]


def written(world: World, *names: str) -> int:
    for name in names:
        world.put("orders", {"id": name})
    return newest(world)


def switch(world: World) -> None:
    world.engine.update_stream("orders", False)
    world.engine.committer.flush()
    world.engine.update_stream("orders", True, "NEW_AND_OLD_IMAGES")
    world.engine.committer.flush()


def named(world: World) -> list[tuple[int, int]]:
    return [(gap.first, gap.last) for gap in world.gaps()]


def test_a_gap_names_every_record_that_was_lost_and_no_other(shop: Shop) -> None:
    with World(shop.app, seed=1) as world:
        seen = written(world, "seen")
        world.settle()
        world.kill()
        lost = written(world, "lost", "lost too")
        world.advance("29h")
        kept = written(world, "kept")
        world.restart()
        world.settle()
        assert world.delivered(shop.note) == ["seen", "kept"]
        ((first, last),) = named(world)
        assert seen < first <= last < kept
        assert last >= lost


@pytest.mark.parametrize("is_settled", [True, False])
def test_a_gap_spans_shards_that_came_and_vanished_meanwhile(shop: Shop, is_settled: bool) -> None:
    with World(shop.app, seed=1) as world:
        seen = written(world, "seen")
        world.settle()
        if is_settled:
            world.advance("6h")  # the first shard is closed and finished
        world.kill()
        lost = 0
        for day in range(3):
            world.advance("20h")
            lost = written(world, f"lost {day}")
        world.advance("30h")
        kept = written(world, "kept")
        world.restart()
        world.settle()
        assert world.delivered(shop.note) == ["seen", "kept"]
        ((first, last),) = named(world)
        assert seen < first < lost <= last < kept


@pytest.mark.parametrize("shards", [1, 4])
def test_nothing_is_missing_where_nothing_was_written(shop: Shop, shards: int) -> None:
    with World(shop.app, seed=1, shards=shards) as world:
        written(world, *"abcdefgh")
        world.settle()
        world.kill()
        world.advance("100h")
        world.restart()
        written(world, *"ijkl")
        world.settle()
        assert sorted(world.delivered(shop.note)) == sorted("abcdefghijkl")
        assert world.gaps() == []


def test_a_new_handler_misses_nothing_of_what_was_before_it(shop: Shop) -> None:
    with World(seed=1) as world:
        world.use(shop.app)
        world.kill()
        written(world, "old")
        world.advance("40h")
        other = App("other")
        orders = other.table("orders", pk="id")

        @other.on(orders)
        def late(change: Change) -> None: ...

        world.use(other)
        written(world, "new")
        world.settle()
        assert (world.delivered(late), world.gaps()) == (["new"], [])


def test_a_stream_switched_off_and_on_while_nobody_works_is_read_to_its_end_first(shop: Shop) -> None:
    with World(shop.app, seed=1) as world:
        written(world, "seen")
        world.settle()
        world.kill()
        world.put("orders", {"id": "before"})
        world.put("orders", {"id": "both", "n": 1})
        switch(world)
        world.put("orders", {"id": "both", "n": 2})
        world.put("orders", {"id": "after"})
        world.restart()
        world.settle()
        assert world.delivered(shop.note) == ["seen", "before", "both", "both", "after"]
        assert world.gaps() == []


def test_a_stream_that_is_off_is_read_to_its_end(shop: Shop) -> None:
    with World(shop.app, seed=1) as world:
        written(world, "seen")
        world.settle()
        world.put("orders", {"id": "last"})
        world.engine.update_stream("orders", False)
        world.engine.committer.flush()
        world.advance("1h")
        assert world.delivered(shop.note) == ["seen", "last"]


def test_what_went_with_a_stream_that_was_switched_off_is_a_gap(shop: Shop) -> None:
    with World(shop.app, seed=1) as world:
        seen = written(world, "seen")
        world.settle()
        world.kill()
        lost = written(world, "lost")
        switch(world)
        world.advance("30h")
        kept = written(world, "kept")
        world.restart()
        world.settle()
        assert world.delivered(shop.note) == ["seen", "kept"]
        ((first, last),) = named(world)
        assert seen < first <= lost <= last < kept


def test_what_was_read_of_a_stream_that_was_switched_off_is_no_gap(shop: Shop) -> None:
    with World(shop.app, seed=1) as world:
        written(world, "seen")
        world.settle()
        world.kill()
        switch(world)
        world.advance("30h")
        written(world, "kept")
        world.restart()
        world.settle()
        assert (world.delivered(shop.note), world.gaps()) == (["seen", "kept"], [])


def test_rows_of_vanished_shards_go_and_their_counts_stay(shop: Shop) -> None:
    with World(shop.app, seed=1) as world:
        for day in range(10):
            for hour in range(0, 24, 4):
                written(world, f"{day} {hour}")
                world.advance("4h")
        world.settle()
        listed = len(world.engine.shards_of(world.engine.stream_of("orders").arn))
        assert listed < 10
        for kind in ("checkpoint", "lease"):
            assert len(rows(world, kind)) <= listed + 3, kind
        assert len(rows(world, "ledger")) == 1, "one for all that are forgotten"
        name = MappingName("shop", shop.app.mappings[0].id, "orders")
        kept = at_once(ledgers(state_of(world.engine), name))
        assert (EARLIER, EARLIER) in kept
        assert sum(ledger.totals.get("handled", 0) for ledger in kept.values()) == 60
        assert world.gaps() == []


def test_a_gap_is_told_after_its_shard_is_forgotten(shop: Shop) -> None:
    with World(shop.app, seed=1) as world:
        written(world, "seen")
        world.settle()
        world.kill()
        written(world, "lost")
        world.advance("29h")
        world.restart()
        world.settle()
        before = named(world)
        for hour in range(20):
            written(world, f"later {hour}")
            world.advance("4h")
        assert len(before) == 1
        assert named(world) == before


@pytest.mark.parametrize("seed", range(5))
def test_a_handler_follows_every_item_over_splits(seed: int) -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    seen: dict[str, list[int]] = {}

    @app.on(orders, concurrency=4)
    def note(change: Change) -> None:
        assert change.new is not None
        seen.setdefault(change.key, []).append(int(change.new["n"]))

    with World(app, seed=seed) as world:
        for number in range(24):
            for name in "abcdef":
                world.put(orders, {"id": name, "n": number})
            if number in (8, 16):
                assert world.split(orders) == 2 ** (number // 8)
                world.advance("1m")
        world.settle()
        assert seen == {name: list(range(24)) for name in "abcdef"}


def test_leases_of_finished_shards_are_not_renewed(shop: Shop) -> None:
    with World(shop.app, seed=1) as world:
        for hour in range(5):
            written(world, f"at {hour}")
            world.advance("4h")
        held = [row for row in world.engine.state.query(LEASE.prefix("shop")) if row.fields["owner"]]
        assert len(held) == 1


def test_a_row_of_every_kind_that_goes_with_its_shard_goes_with_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    novel = of_mapping("novel", expires="with its shard")
    monkeypatch.setitem(KINDS, novel.name, novel)
    with World(shop.app, seed=1) as world:
        written(world, "a")
        world.settle()
        (checkpoint,) = rows(world, "checkpoint")
        beside = [kind.key(*words_of(checkpoint)[1:]) for kind in (CHECKPOINT, *beside_checkpoints())]
        assert len(beside) == 3
        world.engine.state.transact([Write(beside[-1], {"v": 1})])
        world.advance("60h")
        assert {key: world.engine.state.get(key) for key in beside} == dict.fromkeys(beside)
