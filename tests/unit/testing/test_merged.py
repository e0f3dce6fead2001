"""`app.merged` through the whole worker: changes of all shards in order of time, through splits, failures,
kills and restarts.
"""

from random import Random
from typing import Any

import pytest

from tailrace import App, Change, Discard, Drop, Park, Retry
from tailrace.errors import SettingsError
from tailrace.mapping.time_order import ReleasedChange, TimeOrder
from tailrace.sources.far_tables import check_app
from tailrace.testing import World


class Shop:
    """An app with a handler in order of time. Shape: `seen` are numbers and whether they came late."""

    def __init__(self, wait: str = "5s", *, failing: int = -1, **settings: Any) -> None:
        self.app = App("shop")
        self.orders = self.app.table("orders", pk="id")
        self.seen: list[tuple[int, bool]] = []
        self.failing = failing

        @self.app.merged(self.orders, wait=wait, id="audit", **settings)
        def audit(change: Change) -> None:
            assert change.new is not None
            number = int(change.new["n"])
            if number == self.failing:
                raise ValueError("not this one")
            self.seen.append((number, change.is_late))

    @property
    def numbers(self) -> list[int]:
        return [number for number, _ in self.seen]

    def write(self, world: World, first: int, end: int, step: str | int = 1) -> None:
        for number in range(first, end):
            world.put(self.orders, {"id": f"o{number % 11}", "n": number})
            world.advance(step)


@pytest.mark.parametrize("seed", range(6))
def test_changes_of_all_shards_come_in_order_of_time(seed: int) -> None:
    shop = Shop(batch_size=3)
    with World(shop.app, seed=seed, shards=4) as world:
        shop.write(world, 0, 60)
        world.settle()
    assert shop.seen == [(number, False) for number in range(60)]


def test_a_change_waits_for_idle_shards_as_long_as_it_may_and_no_longer() -> None:
    shop = Shop("5s")
    with World(shop.app, seed=1, shards=4) as world:
        world.put(shop.orders, {"id": "o1", "n": 1})
        world.advance(4_999)
        assert shop.seen == []
        world.advance(1)
        assert shop.seen == [(1, False)]


def test_a_table_of_one_shard_waits_for_nobody() -> None:
    shop = Shop("1h")
    with World(shop.app, seed=1, shards=1) as world:
        shop.write(world, 0, 5)
        assert shop.numbers == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("seed", range(6))
def test_the_order_holds_over_splits(seed: int) -> None:
    shop = Shop(batch_size=4)
    with World(shop.app, seed=seed, shards=2) as world:
        shop.write(world, 0, 20)
        world.engine.split_shards("orders")
        shop.write(world, 20, 40)
        world.engine.split_shards("orders")
        shop.write(world, 40, 60)
        world.settle()
    assert shop.seen == [(number, False) for number in range(60)]


@pytest.mark.parametrize("seed", range(6))
def test_a_kill_loses_nothing_and_repeats_from_what_was_saved_in_order(seed: int) -> None:
    shop = Shop("2s", batch_size=5)
    with World(shop.app, seed=seed, shards=3) as world:
        shop.write(world, 0, 30, 100)
        before = len(shop.seen)
        world.restart()
        shop.write(world, 30, 50, 100)
        world.settle()
    after = shop.seen[before:]
    assert sorted({number for number, _ in shop.seen}) == list(range(50))
    unmarked = [number for number, is_late in after if not is_late]
    assert unmarked == sorted(unmarked)
    # What comes again is older than what the other shards had saved, and says so.
    assert all(number < 30 for number, is_late in after if is_late)


def test_a_failing_change_holds_what_is_younger_until_it_is_handled() -> None:
    shop = Shop("1s", failing=7, retry=Retry(3, backoff="1s..10s"))
    with World(shop.app, seed=1, shards=3, allow_failures=True) as world:
        shop.write(world, 0, 20)
        world.advance("10m")
        assert shop.numbers == list(range(7))
        shop.failing = -1
        world.settle()
    assert shop.seen == [(number, False) for number in range(20)]


@pytest.mark.parametrize("retries", [0, 2])
@pytest.mark.parametrize("failing", [0, 7, 19])
def test_a_change_that_is_given_up_lets_the_others_go(failing: int, retries: int) -> None:
    shop = Shop("1s", failing=failing, retry=Retry(retries, backoff="1s..10s"), on_failure=Discard())
    with World(shop.app, seed=1, shards=3, allow_failures=True) as world:
        shop.write(world, 0, 20)
        world.settle()
        (letter,) = world.dead_letters("audit")
        assert letter.attempts == retries + 1
    assert shop.seen == [(number, False) for number in range(20) if number != failing]


@pytest.mark.parametrize("seed", range(12))
def test_whatever_happens_all_come_and_what_is_out_of_order_says_so(seed: int) -> None:
    random, lives = Random(seed), 1
    policy = random.choice((Park.shard, Discard()))
    app, total = App("shop"), 0
    orders = app.table("orders", pk="id")
    told: list[tuple[int, Change]] = []
    failures: dict[int, int] = {}

    @app.merged(
        orders, wait=random.choice(("0ms", "50ms", "2s")), id="audit", batch_size=random.choice((1, 3, 10)),
        retry=Retry(3, backoff="1s..5s"), on_failure=policy,
    )  # fmt: skip
    def audit(change: Change) -> None:
        number = int(change.raw_new["n"]["N"])  # type: ignore[index]
        if failures.get(number, 0):
            failures[number] -= 1
            raise ValueError("not now")
        told.append((lives, change))

    with World(app, seed=seed, shards=random.randint(1, 4), allow_failures=True) as world:
        for _ in range(random.randint(20, 50)):
            chance = random.random()
            for _ in range(random.randint(1, 4) if chance < 0.7 else 0):
                failures[total] = random.choice((0, 0, 0, 0, 0, 0, 0, 1, 2))
                world.put(orders, {"id": f"o{random.randint(0, 9)}", "n": total})
                total += 1
            if 0.7 <= chance < 0.76:
                world.engine.split_shards("orders")
            elif 0.76 <= chance < 0.84:
                world.restart()
                lives += 1
            world.advance(random.choice((0, 1, 10, 100, 3_000)))
        world.settle()
    assert {int(change.raw_new["n"]["N"]) for _, change in told if change.raw_new} == set(range(total))
    for life in range(1, lives + 1):
        youngest_us, newest = -1, dict[str, int]()
        for change in [change for when, change in told if when == life]:
            record = change.record
            assert change.is_late or record.created_us >= youngest_us
            assert record.sequence > newest.get(change.key, 0)
            youngest_us, newest[change.key] = max(youngest_us, record.created_us), record.sequence


def test_a_change_that_is_put_back_later_is_late() -> None:
    # Of its item nothing newer has been handled, else it would be overtaken.
    shop = Shop("1s", failing=12, retry=Retry(1, backoff="1s..10s"), on_failure=Discard())
    with World(shop.app, seed=1, shards=3, allow_failures=True) as world:
        shop.write(world, 0, 20)
        world.settle()
        shop.failing = -1
        shop.app.dlq("audit").redrive()
        world.settle()
        shop.write(world, 20, 25)
        world.settle()
    assert shop.seen[19:] == [(12, True), *((number, False) for number in range(20, 25))]


def test_an_order_that_does_not_wait_for_a_failing_change_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(order: TimeOrder, released: ReleasedChange, now: object, *, comes_again: bool) -> None:
        order.withdraw(released.batch)

    monkeypatch.setattr(TimeOrder, "failed", forget)
    shop = Shop("1s", failing=7, retry=Retry(3, backoff="1s..10s"))
    with World(shop.app, seed=1, shards=3, allow_failures=True) as world:
        shop.write(world, 0, 20)
        world.advance("10m")
        assert max(shop.numbers) > 7


def test_only_what_where_wants_is_handed_over() -> None:
    app, seen = App("shop"), list[int]()
    orders = app.table("orders", pk="id")

    @app.merged(orders, wait="1s", where=lambda change: change.new["n"] % 2 == 0)
    def even(change: Change) -> None:
        assert change.new is not None
        seen.append(int(change.new["n"]))

    with World(app, seed=1, shards=3) as world:
        for number in range(20):
            world.put(orders, {"id": f"o{number}", "n": number})
            world.advance(1)
        world.settle()
    assert seen == list(range(0, 20, 2))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"wait": "2h"}, "from 0ms to 1h"),
        ({"wait": "soon"}, "merged: wait="),
        ({"on_failure": Park.key}, "on_failure: 'park' is not allowed with order='shard'"),
        ({"on_failure": Drop}, "on_failure: 'drop' is not allowed with order='shard'"),
        ({"maximum_record_age_ms": 60_000}, "no record is too old"),
        ({"ordered_by": "partition"}, "it is for 'key'"),
    ],
)
def test_what_contradicts_the_order_is_refused_where_it_is_declared(
    settings: dict[str, Any], says: str
) -> None:
    with pytest.raises(SettingsError, match=says):
        Shop(**settings)


def test_a_fleet_refuses_it_in_words() -> None:
    with pytest.raises(SettingsError, match=r"'audit' is given the changes of all shards.*share them"):
        check_app(Shop().app, has_marks=True)
