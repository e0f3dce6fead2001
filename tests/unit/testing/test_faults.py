"""Injected faults: what each does to delivery, that a seed repeats them, and that none is injected where none
was asked for.
"""

import asyncio
import socket
import time
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from tailrace import App, Batch, Change, Retry, Unavailable
from tailrace.errors import SettingsError
from tailrace.testing import World
from tailrace.testing.faults import CRASH_NAMES, KINDS, WORKER_POINTS, Faults
from tailrace.testing.waiting import BlockingCall


class Shop:
    """An app whose handlers have an effect outside, one inside a transaction, and one that leaves a mark."""

    def __init__(self) -> None:
        self.app = App("shop")
        self.orders = self.app.table("orders", pk="id")
        self.totals = self.app.table("totals", pk="id", stream=None)
        self.calls: Counter[str] = Counter()
        self.order: dict[str, list[int]] = {}

        @self.app.on(self.orders)
        async def plain(change: Change) -> None:
            self.calls[f"plain {change.key}"] += 1
            self.order.setdefault(change.key, []).append(int(change.new["n"]))

        @self.app.on(self.orders, once=True)
        def once(change: Change) -> None:
            self.calls[f"once {change.key}"] += 1

        @self.app.on(self.orders)
        def counted(change: Change) -> None:
            change.transaction.update(self.totals, {"id": change.key}, "ADD n :one", values={":one": 1})

        @self.app.batch(self.orders)
        def batched(batch: Batch) -> None:
            self.calls["batched"] += len(batch)

        self.plain, self.once, self.counted, self.batched = plain, once, counted, batched


@pytest.fixture
def shop() -> Shop:
    return Shop()


def write(world: World, shop: Shop, keys: int = 3, times: int = 2) -> None:
    """Some changes of some items."""
    for number in range(times):
        for key in range(keys):
            world.put(shop.orders, {"id": f"o{key}", "n": number})


def check(world: World, shop: Shop, keys: int = 3, times: int = 2) -> None:
    """Nothing is lost, and what is applied once is applied once."""
    wanted = sorted(f"o{key}" for key in range(keys) for _ in range(times))
    assert (world.lag(), world.gaps()) == (0, [])
    assert sorted(world.delivered(shop.once)) == wanted
    assert sorted(world.delivered(shop.counted)) == wanted
    for key in range(keys):
        total = world.get(shop.totals, {"id": f"o{key}"})
        assert total is not None
        assert total["n"] == times
    assert Counter(world.delivered(shop.plain)) >= Counter(wanted)
    assert Counter(world.delivered(shop.batched)) >= Counter(wanted)


def test_without_faults_nothing_strikes(shop: Shop) -> None:
    with World(shop.app, seed=1) as world:
        write(world, shop)
        world.settle()
        check(world, shop)
        assert world.struck == []
        assert sorted(world.delivered(shop.plain)) == sorted(world.delivered(shop.once))


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_lost_under_all_faults_at_once(shop: Shop, seed: int) -> None:
    with World(shop.app, seed=seed) as world:
        with world.faults(
            duplicates=0.3, crash="anywhere", reshard="4h", throttle=0.2, outage="10m", slow="30s"
        ):
            write(world, shop)
            world.settle()
        assert world.struck
        check(world, shop)


def test_a_duplicate_is_seen_by_a_handler_and_suppressed_by_a_mark(shop: Shop) -> None:
    with World(shop.app, seed=1) as world:
        with world.faults(duplicates=1):
            world.put(shop.orders, {"id": "a", "n": 1})
            world.settle()
        assert world.delivered(shop.plain) == ["a", "a"]
        assert world.delivered(shop.once) == ["a"]
        assert (shop.calls["plain a"], shop.calls["once a"]) == (2, 1)
        world.put(shop.orders, {"id": "b", "n": 1})
        world.settle()
        assert world.delivered(shop.plain) == ["a", "a", "b"]


AT_A_START = ("lease.taken", "stamp.done")


@pytest.mark.parametrize("point", [*CRASH_NAMES, *WORKER_POINTS])
def test_a_worker_that_dies_at_a_point_goes_on_from_its_checkpoint(shop: Shop, point: str) -> None:
    if point.startswith("park"):

        @shop.app.on(shop.orders, retry=Retry(0))
        def poison(change: Change) -> None:
            if change.key == "o1":
                raise ValueError("poison")

    with World(shop.app, seed=3) as world:
        with world.faults(crash=point):
            write(world, shop)
            world.settle()
            if point in AT_A_START:  # the lease was taken before; a split brings new ones
                world.split(shop.orders)
                write(world, shop)
                world.settle()
        assert any(fault.startswith("crash-") for fault in world.struck)
        check(world, shop, times=4 if point in AT_A_START else 2)
        if point.startswith("park"):
            world.allow_failures(poison)


def test_after_its_effect_an_unmarked_handler_is_called_twice_and_a_marked_one_is_delivered_once(
    shop: Shop,
) -> None:
    with World(shop.app, seed=3) as world:
        with world.faults(crash="after-effect"):
            world.put(shop.orders, {"id": "a", "n": 1})
            world.settle()
        called = {name: count for name, count in shop.calls.items() if count > 1}
        assert called, "a process died between the effect and the checkpoint"
        assert len(world.delivered(shop.plain)) == shop.calls["plain a"]
        assert len(world.delivered(shop.batched)) == shop.calls["batched"]
        assert world.delivered(shop.once) == ["a"]
        assert world.delivered(shop.counted) == ["a"]


def test_changes_of_an_item_stay_in_order_but_for_repetitions(shop: Shop) -> None:
    crash = ["before-effect", "after-effect"]
    with World(shop.app, seed=8) as world, world.faults(crash=crash, reshard="1h", throttle=0.3):
        write(world, shop, keys=4, times=6)
        world.settle()
    for numbers in shop.order.values():
        firsts = [number for place, number in enumerate(numbers) if number not in numbers[:place]]
        assert firsts == list(range(6))


def test_shards_split_after_one_of_the_first_writes_and_then_every_so_often(shop: Shop) -> None:
    def shards(world: World) -> int:
        shards = world.engine.shards_of(world.engine.stream_of("orders").arn)
        return sum(not shard.is_closed for shard in shards)

    with World(shop.app, seed=1) as world:
        with world.faults(reshard="4h"):
            write(world, shop)
            assert shards(world) == 2
            world.advance("9h")
            assert shards(world) == 8
            world.advance("9h")
            assert shards(world) == 8
        check(world, shop)
        world.advance("9h")
        assert shards(world) == 8


def test_throttling_takes_time_and_no_attempts(shop: Shop) -> None:
    with World(shop.app, seed=1) as world:
        with world.faults(throttle=0.5):
            write(world, shop)
            world.settle()
        assert {fault.split(".")[0] for fault in world.struck} >= {"throttle-sink", "throttle-state"}
        assert not any(world.dead_letters(handler) for handler in (shop.plain, shop.once, shop.counted))
        check(world, shop)


def test_an_outage_lasts_as_long_as_it_is_told_and_parks_nothing(shop: Shop) -> None:
    with World(shop.app, seed=1) as world:
        start_ms = world.clock.now().wall_ms
        with world.faults(outage="10m"):
            world.put(shop.orders, {"id": "a", "n": 1})
            world.settle()
        assert world.clock.now().wall_ms - start_ms >= 600_000
        assert world.delivered(shop.plain) == ["a"]
        assert world.dead_letters(shop.plain) == []
        assert sorted(world.struck) == [
            "outage-Shop.__init__.<locals>." + name for name in ("batched", "counted", "once", "plain")
        ]


def test_slow_handlers_take_virtual_time(shop: Shop) -> None:
    with World(shop.app, seed=1) as world:
        start_ms = world.clock.now().wall_ms
        with world.faults(slow="30m"):
            write(world, shop)
            world.settle()
        assert world.clock.now().wall_ms - start_ms > 60_000
        check(world, shop)


def test_a_slow_coroutine_meets_its_timeout_before_its_effect_or_after_it() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    sent: list[str] = []

    @app.on(orders, timeout=5, retry=Retry(20, backoff="1s..1s"))
    async def mail(change: Change) -> None:
        sent.append(change.key)

    with World(app, seed=2) as world:
        with world.faults(slow="20s"):
            for number in range(20):
                world.put(orders, {"id": f"o{number}"})
            world.settle()
        assert any("no answer within 5" in failure.error for failure in world.failures(mail))
        assert len(sent) > 20, "sometimes the time-out came after the effect"
        assert sorted(world.delivered(mail)) == sorted(sent)


def test_the_same_seed_injects_the_same_and_another_something_else() -> None:
    def struck(world_seed: int, seed: int | None) -> tuple[list[str], list[str]]:
        shop = Shop()
        with World(shop.app, seed=world_seed) as world:
            with world.faults(duplicates=0.3, crash="anywhere", throttle=0.3, seed=seed):
                write(world, shop)
                world.settle()
            return world.struck, [line.split("  ", 1)[1] for line in world.events()]

    assert struck(1, 7) == struck(1, 7)
    assert struck(1, None) != struck(2, None)
    assert struck(1, 7)[0] != struck(1, 8)[0]


def test_only_the_faults_that_are_named_strike(shop: Shop) -> None:
    with World(shop.app, seed=1) as world:
        world.only(["duplicate.2"])
        with world.faults(duplicates=1, throttle=1, crash="anywhere", outage="1h"):
            write(world, shop)
            world.settle()
        assert world.struck == ["duplicate.2"]


def test_whether_an_occasion_strikes_does_not_depend_on_the_others() -> None:
    whole, part = Faults(), Faults(only=frozenset({"duplicate.9"}))
    for faults in (whole, part):
        faults.begin({"duplicates": 0.5}, seed=4)
    struck = [whole.duplicate() is not None for _ in range(20)]
    alone = [part.duplicate() is not None for _ in range(20)]
    assert struck[8]
    assert [index for index, struck in enumerate(alone, start=1) if struck] == [9]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"duplicate": 0.3}, "duplicates"),
        ({"duplicates": 1.5}, "0 to 1"),
        ({"duplicates": "0.5"}, "0 to 1"),
        ({"throttle": -0.1}, "0 to 1"),
        ({"throttle": True}, "0 to 1"),
        ({"crash": "after-dinner"}, "after-effect"),
        ({"crash": "commit.begun"}, "invoke.done"),
        ({"crash": 3}, "where the worker dies"),
        ({"reshard": 4}, "4h"),
        ({"reshard": "4 hours"}, "1h"),
        ({"outage": "0s"}, "longer than nothing"),
        ({"slow": "fast"}, "duration"),
    ],
)
def test_what_is_not_known_is_refused_with_what_there_is(
    shop: Shop, asked: dict[str, Any], words: str
) -> None:
    with World(shop.app, seed=1) as world, pytest.raises(SettingsError) as refused, world.faults(**asked):
        pass
    assert words in str(refused.value)


def test_an_unknown_fault_is_answered_with_all_that_are_known(shop: Shop) -> None:
    with World(shop.app, seed=1) as world, pytest.raises(SettingsError) as refused, world.faults(flood=1):
        pass
    for kind in KINDS:
        assert kind in str(refused.value)


def test_faults_without_a_with_block_are_refused_and_not_silently_left_out(shop: Shop) -> None:
    for goes_on in (World.settle, lambda world: world.advance("1h"), World.check_failures):
        with World(shop.app, seed=1) as world:
            world.faults(duplicates=0.3, crash="anywhere")
            with pytest.raises(SettingsError) as refused:
                goes_on(world)
            assert "faults(duplicates=0.3, crash='anywhere') was called without `with`" in str(refused.value)
            assert "with world.faults(" in str(refused.value.hint)


def test_a_block_of_faults_may_be_made_before_it_is_entered_and_entered_again(shop: Shop) -> None:
    with World(shop.app, seed=1) as world:
        block = world.faults(duplicates=1)
        for order in ("o1", "o2"):
            with block as struck:
                world.put(shop.orders, {"id": order, "n": 1})
                world.settle()
            assert struck["duplicates"]


def test_faults_that_are_not_known_are_refused_where_they_are_written(shop: Shop) -> None:
    with World(shop.app, seed=1) as world:
        with pytest.raises(SettingsError):
            world.faults(flood=1)
        world.settle()


def test_faults_do_not_nest(shop: Shop) -> None:
    with World(shop.app, seed=1) as world, world.faults(duplicates=0.1), pytest.raises(SettingsError):
        world.faults(throttle=0.1).__enter__()


@pytest.mark.parametrize("seed", [1, 3, 4])
def test_what_is_written_after_a_worker_died_beside_one_that_starts_is_there(seed: int) -> None:
    apps = [App("one"), App("two")]
    for app in apps:
        app.on(app.table("orders", pk="id"), id="seen")(lambda change: None)
    with World(apps[0], seed=seed) as world:
        world.use(apps[1])
        world.settle()
        with world.faults(crash="anywhere"):
            world.restart()
            world.put("orders", {"id": "o1"})
            world.settle()
        assert world.get("orders", {"id": "o1"}) == {"id": "o1"}


def test_a_crash_takes_what_other_handlers_were_doing_with_it() -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    ended: list[str] = []

    @app.on(orders)
    async def long(change: Change) -> None:
        await asyncio.sleep(60)
        ended.append(change.key)

    @app.on(orders)
    async def short(change: Change) -> None:
        await asyncio.sleep(1)

    with World(app, seed=1) as world, world.faults(crash="after-effect"):
        world.put(orders, {"id": "a"})
        world.advance("30s")
        assert ended == []
        world.settle()
    assert ended


def test_time_sleep_passes_virtual_time_and_is_pointed_out_in_a_coroutine() -> None:
    real = time.sleep
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders)
    def waits(change: Change) -> None:
        time.sleep(3_600)

    @app.on(orders.removed)
    async def blocks(change: Change) -> None:
        time.sleep(3_600)

    with World(app, seed=1) as world:
        start_ms = world.clock.now().wall_ms
        world.put(orders, {"id": "a"})
        world.settle()
        assert world.clock.now().wall_ms - start_ms == 3_600_000
        world.delete(orders, {"id": "a"})
        with pytest.warns(BlockingCall, match="await asyncio.sleep"):
            world.settle()
    assert time.sleep is real


def test_a_handler_that_is_unavailable_itself_is_no_injected_fault(shop: Shop) -> None:
    down = iter([True, True])

    @shop.app.on(shop.orders)
    def flaky(change: Change) -> None:
        if next(down, False):
            raise Unavailable("the other side is not there")

    with World(shop.app, seed=1) as world:
        world.put(shop.orders, {"id": "a", "n": Decimal(1)})
        world.settle()
        assert world.delivered(flaky) == ["a"]
        assert world.struck == []


@pytest.mark.parametrize("seed", range(4))
def test_what_is_parked_is_put_back_while_the_worker_dies(seed: int) -> None:
    app = App("shop")
    orders = app.table("orders", pk="id")
    counts = app.table("counts", pk="id", stream=None)
    broken = {"o1"}

    @app.on(orders, retry=Retry(1, backoff="1s..2s"))
    def count(change: Change) -> None:
        if change.key in broken:
            raise ValueError("not yet")
        change.transaction.update(counts, {"id": change.key}, "ADD n :one", values={":one": 1})

    with World(app, seed=seed) as world:
        with world.faults(crash="anywhere", throttle=0.2, reshard="1h", duplicates=0.3):
            for number in range(3):
                for key in range(8):
                    world.put(orders, {"id": f"o{key}", "n": number})
            world.settle()
            assert {letter.change.key for letter in world.dead_letters(count)} == broken
            broken.clear()
            for _ in range(20):  # a redrive stops when the store is throttled; its caller asks again
                world.dlq(count).redrive()
                world.advance("10m")
            world.settle()
        assert world.dead_letters(count) == []
        assert {item["id"]: item["n"] for item in world.scan(counts)} == {f"o{key}": 3 for key in range(8)}


def test_a_coroutine_that_connects_is_pointed_out_and_a_thread_is_not(shop: Shop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()

        @shop.app.on(shop.orders)
        def in_a_thread(change: Change) -> None:
            socket.create_connection(address).close()

        @shop.app.on(shop.orders.removed)
        async def on_the_loop(change: Change) -> None:
            socket.create_connection(address).close()

        with World(shop.app, seed=1, network="localhost") as world:
            world.put(shop.orders, {"id": "a", "n": 1})
            world.settle()
            world.delete(shop.orders, {"id": "a"})
            with pytest.warns(BlockingCall, match="a connection to"):
                world.advance("1s")
    assert "connect" not in vars(socket.socket)


# ---- duplicates and what struck ----------------------------------------------------------------------------


def called_under(seed: int, count: int = 20, **asked: Any) -> tuple[list[Any], dict[str, int]]:
    """The keys that a handler was called for in one batch, and what struck."""
    called: list[Any] = []
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders, batch_size=100)
    def note(change: Change) -> None:
        called.append(change.key)

    with World(app, seed=seed) as world:
        with world.faults(**asked) as struck:
            for number in range(count):
                world.put(orders, {"id": f"o{number:02}"})
            world.settle()
        return called, dict(struck)


@pytest.mark.parametrize("seed", range(5))
def test_duplicates_strike_some_changes_of_a_batch_and_not_the_whole_batch(seed: int) -> None:
    called, struck = called_under(seed, duplicates=0.3)
    repeated = {key for key, count in Counter(called).items() if count == 2}
    assert len(called) == 20 + len(repeated)
    assert 0 < len(repeated) < 20
    assert struck == {"duplicates": len(repeated)}


@pytest.mark.parametrize("seed", range(20))
def test_duplicates_strike_at_least_once_where_there_is_a_record(seed: int) -> None:
    called, struck = called_under(seed, count=1, duplicates=0.001)
    assert (called, struck) == (["o00"] * 2, {"duplicates": 1})


def test_where_there_is_no_record_a_block_says_that_nothing_struck() -> None:
    assert called_under(1, count=0, duplicates=0.5, crash="after-effect", throttle=0.0) == (
        [],
        {"duplicates": 0, "crash": 0},
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_change_never_comes_again_without_the_later_ones_of_its_item(seed: int) -> None:
    given: list[int] = []
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders)
    def note(change: Change) -> None:
        given.append(int(change.new["n"]))

    with World(app, seed=seed) as world, world.faults(duplicates=0.3):
        for number in range(10):
            world.put(orders, {"id": "a", "n": number})
        world.settle()
    assert given[:10] == list(range(10))
    again = given[10:]
    assert again == list(range(10 - len(again), 10)), "from the first that comes again on, in order"


def test_a_function_gets_a_batch_again_as_a_whole() -> None:
    sizes: list[int] = []
    app = App("shop")
    orders = app.table("orders", pk="id")
    app.function(lambda event, context: sizes.append(len(event["Records"])), orders, id="legacy")
    with World(app, seed=1) as world, world.faults(duplicates=0.3):
        for number in range(10):
            world.put(orders, {"id": f"o{number}"})
        world.settle()
    assert sizes == [10, 10]


def test_what_fails_the_second_time_has_failed_and_nothing_else() -> None:
    seen: Counter[str] = Counter()
    app = App("shop")
    orders = app.table("orders", pk="id")

    @app.on(orders, retry=Retry(0))
    def note(change: Change) -> None:
        seen[change.key] += 1
        if seen[change.key] > 1:
            raise ValueError("twice")

    with World(app, seed=1) as world:
        with world.faults(duplicates=0.3) as struck:
            for number in range(10):
                world.put(orders, {"id": f"o{number}"})
            world.settle()
        twice = {key for key, count in seen.items() if count > 1}
        assert {letter.change.key for letter in world.dead_letters(note)} == twice
        assert 0 < len(twice) == struck["duplicates"] < 10


def test_every_fault_says_how_often_it_struck(shop: Shop) -> None:
    with World(shop.app, seed=3) as world:
        with world.faults(
            duplicates=0.3, crash="anywhere", reshard="4h", throttle=0.2, outage="10m", slow="30s"
        ) as struck:
            write(world, shop)
            world.settle()
        assert list(struck) == ["duplicates", "crash", "reshard", "throttle", "outage", "slow"]
        assert all(struck.values())
        assert sum(struck.values()) == len(world.struck)
        assert f"faults that struck: {struck}" in world.events()[-1]
        with world.faults(duplicates=0.3) as later:
            pass
        assert (dict(later), sum(struck.values())) == ({"duplicates": 0}, len(world.struck))
        assert world.strikes == str(struck)
