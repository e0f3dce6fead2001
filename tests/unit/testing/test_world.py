"""The test world: delivery as a user's test sees it, with the production engine, machine and worker."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from tailrace import App, Batch, Change, Item, Retry, Throttled
from tailrace.app.fence import Death
from tailrace.errors import ApiError, SettingsError
from tailrace.testing import Unsettled, World


class Shop:
    """An app with one table and a table for effects; handlers are declared by the tests."""

    def __init__(self) -> None:
        self.app = App("shop")
        self.orders = self.app.table("orders", pk="id")
        self.totals = self.app.table("totals", pk="id", stream=None)


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_a_handler_sees_every_change_in_order(shop: Shop) -> None:
    seen: list[tuple[str, Any, Any]] = []

    @shop.app.on(shop.orders)
    def note(change: Change) -> None:
        seen.append((change.event_name, change.old, change.new))

    with World(shop.app, seed=1) as world:
        world.put(shop.orders, {"id": "o1", "total": Decimal("1.5")})
        world.update(shop.orders, {"id": "o1"}, status="paid")
        world.delete(shop.orders, {"id": "o1"})
        world.settle()
        assert world.lag() == 0
        assert world.delivered(note) == ["o1", "o1", "o1"]
    first = {"id": "o1", "total": Decimal("1.5")}
    second = {**first, "status": "paid"}
    assert seen == [("INSERT", None, first), ("MODIFY", first, second), ("REMOVE", second, None)]


@pytest.mark.parametrize("seed", range(8))
def test_order_holds_for_each_item_under_every_seed(shop: Shop, seed: int) -> None:
    seen: dict[str, list[Decimal]] = {}

    @shop.app.on(shop.orders, concurrency=4, batch_size=3)
    async def note(change: Change) -> None:
        assert change.new is not None
        await asyncio.sleep(0.001 * (int(change.new["n"]) % 3))
        seen.setdefault(change.key, []).append(change.new["n"])

    with World(shop.app, seed=seed, shards=2) as world:
        for number in range(40):
            world.put(shop.orders, {"id": f"o{number % 5}", "n": number})
        world.settle()
    assert sum(map(len, seen.values())) == 40
    assert all(numbers == sorted(numbers) for numbers in seen.values())


def test_the_same_seed_replays_the_same_run() -> None:
    def run(seed: int) -> list[str]:
        shop = Shop()
        seen: list[str] = []

        @shop.app.on(shop.orders, concurrency=4, batch_size=1)
        async def note(change: Change) -> None:
            await asyncio.sleep(0)
            seen.append(change.key)

        with World(shop.app, seed=seed) as world:
            for number in range(12):
                world.put(shop.orders, {"id": f"o{number}"})
            world.settle()
        return seen

    assert run(5) == run(5)
    assert len({tuple(run(seed)) for seed in range(6)}) > 1


def test_a_failing_item_steps_aside_and_comes_back(shop: Shop) -> None:
    failing = {"bad"}
    seen: list[str] = []

    @shop.app.on(shop.orders, retry=Retry(5, backoff="1s..5m"))
    def note(change: Change) -> None:
        if change.key in failing:
            failing.clear()
            raise ValueError("not now")
        seen.append(change.key)

    with World(shop.app, seed=1) as world:
        for key in ("bad", "a", "b"):
            world.put(shop.orders, {"id": key})
        world.settle()
        assert seen == ["a", "b", "bad"]
        assert world.clock.now().monotonic_ms == 1_000


def test_a_record_given_up_is_kept_whole(shop: Shop) -> None:
    @shop.app.on(shop.orders, retry=Retry(2))
    def refuse(change: Change) -> None:
        if change.key == "bad":
            raise ValueError("never")

    with World(shop.app, seed=1) as world:
        world.put(shop.orders, {"id": "bad", "total": 3})
        world.put(shop.orders, {"id": "good"})
        world.settle()
        (letter,) = world.dead_letters(refuse)
        assert (letter.change.new, letter.attempts, letter.condition) == (
            {"id": "bad", "total": Decimal(3)},
            3,
            "RetryAttemptsExhausted",
        )
        assert letter.error == "ValueError: never"
        assert "raise ValueError" in letter.traceback
        assert world.delivered(refuse) == ["good"]
        assert world.lag() == 0


def test_an_outage_uses_up_no_attempt(shop: Shop) -> None:
    calls: list[int] = []

    @shop.app.on(shop.orders, retry=Retry(0))
    def throttled(change: Change) -> None:
        calls.append(1)
        if len(calls) < 6:
            raise Throttled("slow down", retry_after=30)

    with World(shop.app, seed=1) as world:
        world.put(shop.orders, {"id": "o1"})
        world.settle()
        assert world.delivered(throttled) == ["o1"]
        assert world.dead_letters(throttled) == []
        assert world.clock.now().monotonic_ms >= 5 * 30_000


def test_what_never_settles_is_named(shop: Shop) -> None:
    def lambda_handler(event: Any, context: Any) -> None:
        raise RuntimeError("no way")

    shop.app.function(lambda_handler, shop.orders, id="legacy")
    with World(shop.app, seed=4) as world:
        world.put(shop.orders, {"id": "o1"})
        with pytest.raises(
            Unsettled, match=r"seed 4(.|\n)*legacy ← INSERT orders/o1: \d+ attempts, RuntimeError: no way"
        ):
            world.settle(within="1h")
        assert world.lag() > 50 * 60_000


def test_a_transaction_is_applied_once_and_a_crash_repeats_nothing(shop: Shop) -> None:
    @shop.app.on(shop.orders)
    def add(change: Change) -> None:
        change.transaction.update(shop.totals, {"id": "all"}, "ADD n :one", values={":one": 1})

    with World(shop.app, seed=1) as world:
        for number in range(10):
            world.put(shop.orders, {"id": f"o{number % 3}", "n": number})
        world.settle()
        world.restart()
        world.put(shop.orders, {"id": "o0", "n": 99})
        world.settle()
        assert world.get(shop.totals, {"id": "all"}) == {"id": "all", "n": Decimal(11)}
        assert len(world.delivered(add)) == 11


class _Killed(Death):
    """The process is gone."""


@pytest.mark.parametrize(
    ("point", "passing"),
    [
        ("lease.taken", 1), ("stamp.done", 1), ("read.done", 1),
        *((point, passing) for point in ("invoke.begun", "invoke.done", "transaction.done",
            "checkpoint.begun",
                                         "checkpoint.done", "commit.done") for passing in (1, 2, 5)),
    ],
)  # fmt: skip
def test_a_crash_at_any_point_loses_and_repeats_no_effect(shop: Shop, point: str, passing: int) -> None:
    @shop.app.on(shop.orders, batch_size=4)
    def append(change: Change) -> None:
        assert change.new is not None
        change.transaction.update(
            shop.totals,
            {"id": change.key},
            "SET seen = list_append(if_not_exists(seen, :none), :n)",
            values={":none": [], ":n": [change.new["n"]]},
        )

    left = passing
    is_armed = False

    def reached(name: str) -> None:
        nonlocal left
        if is_armed and name == point:
            left -= 1
            if left == 0:
                raise _Killed

    with World(seed=passing, reached=reached) as world:
        world.use(shop.app)
        for number in range(24):
            world.put(shop.orders, {"id": f"o{number % 3}", "n": number})
        is_armed = True
        assert _run_until_killed(world)
        is_armed = False
        world.restart()
        world.settle()
        for key in range(3):
            assert world.get(shop.totals, {"id": f"o{key}"}) == {
                "id": f"o{key}",
                "seen": [Decimal(number) for number in range(key, 24, 3)],
            }


def _run_until_killed(world: World) -> bool:
    try:
        world.settle()
    except BaseException as error:
        if "_Killed" not in "".join(_names(error)):
            raise
        return True
    return False


def _names(error: BaseException) -> list[str]:
    inside = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return [type(error).__name__, *(name for one in inside for name in _names(one))]


def test_a_condition_that_fails_is_a_failure_of_that_record(shop: Shop) -> None:
    @shop.app.on(shop.orders, retry=Retry(1))
    def guarded(change: Change) -> None:
        change.transaction.put(shop.totals, {"id": "one"}, condition="attribute_not_exists(id)")

    with World(shop.app, seed=1) as world:
        world.put(shop.orders, {"id": "a"})
        world.put(shop.orders, {"id": "b"})
        world.settle()
        assert world.delivered(guarded) == ["a"]
        (letter,) = world.dead_letters(guarded)
        assert letter.error.startswith("change.transaction: TransactionCanceledException")


def test_25_hours_bring_rollovers_and_the_trim_and_take_no_time(shop: Shop) -> None:
    @shop.app.on(shop.orders)
    def note(change: Change) -> None: ...

    with World(shop.app, seed=1) as world:
        world.put(shop.orders, {"id": "o1"})
        world.settle()
        world.advance("25h")
        world.put(shop.orders, {"id": "o2"})
        world.settle()
        assert world.delivered(note) == ["o1", "o2"]
        streams = world.client("dynamodbstreams")
        arn = streams.list_streams()["Streams"][0]["StreamArn"]
        shards = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
        assert len(shards) > 3, "shards are closed after four hours"
        assert (world.lag(), world.gaps()) == (0, [])


def test_what_was_trimmed_before_a_handler_saw_it_is_a_gap(shop: Shop) -> None:
    allowed: list[str] = []

    @shop.app.on(shop.orders)
    async def late(change: Change) -> None:
        if not allowed:
            raise Throttled("not open yet", retry_after=60)

    with World(shop.app, seed=1) as world:
        world.put(shop.orders, {"id": "o1"})
        world.advance("25h")
        world.put(shop.orders, {"id": "o2"})
        world.advance("1h")
        allowed.append("yes")
        world.settle()
        assert world.delivered(late) == ["o1", "o2"], "what was read before the trim is not lost"
        assert world.gaps() == []


def test_a_worker_that_slept_through_the_trim_tells_of_the_gap(shop: Shop) -> None:
    @shop.app.on(shop.orders)
    def note(change: Change) -> None: ...

    with World(shop.app, seed=1) as world:
        world.put(shop.orders, {"id": "seen"})
        world.settle()
        world.kill()
        world.put(shop.orders, {"id": "lost"})
        world.advance("29h")
        world.put(shop.orders, {"id": "kept"})
        world.restart()
        world.settle()
        assert world.delivered(note) == ["seen", "kept"]
        assert [gap.handler for gap in world.gaps()] != []


def test_lag_is_the_age_of_the_oldest_change_that_is_not_settled(shop: Shop) -> None:
    @shop.app.on(shop.orders, retry=Retry(10, backoff="10m..10m"))
    def slow(change: Change) -> None:
        raise ValueError("later")

    with World(shop.app, seed=1) as world:
        world.put(shop.orders, {"id": "o1"})
        world.advance("5m")
        world.put(shop.orders, {"id": "o2"})
        world.advance("1m")
        assert world.lag() == 6 * 60_000


def test_a_batch_handler_is_halved_until_the_record_at_fault_is_alone(shop: Shop) -> None:
    sizes: list[int] = []

    @shop.app.batch(shop.orders, retry=Retry(1))
    def tally(batch: Batch) -> None:
        sizes.append(len(batch))
        if any(change.key == "bad" for change in batch):
            raise ValueError("bad one")

    with World(shop.app, seed=1) as world:
        for key in ("a", "bad", "c", "d"):
            world.put(shop.orders, {"id": key})
        world.settle()
        assert sizes[0] == 4
        assert sorted(world.delivered(tally)) == ["a", "c", "d"]
        assert [letter.change.key for letter in world.dead_letters(tally)] == ["bad"]


def test_a_boto3_client_speaks_to_the_same_engine_without_sockets(shop: Shop) -> None:
    @shop.app.on(shop.orders)
    def note(change: Change) -> None: ...

    with World(shop.app, seed=1) as world:
        client = world.client("dynamodb")
        client.put_item(TableName="orders", Item={"id": {"S": "o1"}, "n": {"N": "1"}})
        assert world.get("orders", {"id": "o1"}) == {"id": "o1", "n": Decimal(1)}
        world.settle()
        assert world.delivered(note) == ["o1"]
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.get_item(TableName="nothing", Key={"id": {"S": "o1"}})
        with pytest.raises(SettingsError, match="s3"):
            world.client("s3")


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (lambda world: world.put("orders", {"id": 1.5}), SettingsError),
        (lambda world: world.put("orders", {"other": "x"}), ApiError),
        (lambda world: world.put("nothing", {"id": "x"}), ApiError),
        (lambda world: world.update("orders", {"id": "x"}), SettingsError),
        (lambda world: world.update("orders", {"id": "x"}, "SET a = :a", b=1), SettingsError),
        (lambda world: world.advance(-1), SettingsError),
        (lambda world: world.advance("25 hours"), SettingsError),
        (lambda world: world.delivered("nobody"), SettingsError),
    ],
)
def test_what_cannot_be_is_refused(shop: Shop, act: Any, error: type[Exception]) -> None:
    with World(shop.app) as world, pytest.raises(error):
        act(world)


def test_an_update_may_be_an_expression(shop: Shop) -> None:
    with World(shop.app) as world:
        world.update(shop.orders, {"id": "o1"}, "ADD #n :one", names={"#n": "n"}, values={":one": 1})
        world.update(shop.orders, {"id": "o1"}, "ADD #n :one", names={"#n": "n"}, values={":one": 1})
        assert world.get(shop.orders, {"id": "o1"}) == {"id": "o1", "n": Decimal(2)}


def test_a_failure_is_noted_with_the_seed(shop: Shop) -> None:
    with pytest.raises(AssertionError) as caught, World(shop.app, seed=77):
        raise AssertionError("as if a test had failed")
    assert "World(seed=77)" in caught.value.__notes__[0]


def test_a_world_inside_a_loop_is_refused(shop: Shop) -> None:
    async def main() -> None:
        World(shop.app)

    with pytest.raises(SettingsError, match="plain function"):
        asyncio.run(main())


def test_a_handler_whose_name_vanished_stops_the_start(shop: Shop) -> None:
    @shop.app.on(shop.orders, id="old")
    def note(change: Change) -> None: ...

    renamed = Shop()

    @renamed.app.on(renamed.orders, id="new")
    def other(change: Change) -> None: ...

    with World(shop.app) as world:
        world.kill()
        with pytest.raises(SettingsError, match="'old'") as caught:
            world.use(renamed.app)
        assert "mapping rename" in (caught.value.hint or "")


def test_what_only_counts_may_come_and_go_with_the_typed_handlers() -> None:
    def made(*, typed: bool) -> App:
        app = App("shop")
        shop = app.table("shop", pk="pk", sk="sk")

        class Order(Item, table=shop, pk="ORDER#{id}", sk="META"):
            id: str

        app.on(Order if typed else shop, id="note")(lambda change: None)
        return app

    with World(made(typed=True)) as world:
        world.settle()
        world.kill()
        world.use(made(typed=False))
        world.settle()


def test_a_scan_gives_every_item_in_the_order_of_the_keys_and_the_items_of_one_entity() -> None:
    app = App("shop")
    shop = app.table("shop", pk="pk", sk="sk")

    class Order(Item, table=shop, pk="ORDER#{id}", sk="META"):
        id: str

    with World(app) as world:
        for name in ("b", "a", "c"):
            world.put(Order(id=name))
        world.put(shop, {"pk": "ORDER#a", "sk": "NOTE", "text": "x" * 400_000})
        world.put(shop, {"pk": "ORDER#b", "sk": "NOTE", "text": "x" * 400_000})
        world.put(shop, {"pk": "ORDER#c", "sk": "NOTE", "text": "x" * 400_000})
        assert [order.id for order in world.scan(Order)] == ["a", "b", "c"]
        assert [(item["pk"], item["sk"]) for item in world.scan(shop)] == [
            (f"ORDER#{name}", kind) for name in "abc" for kind in ("META", "NOTE")
        ]


def test_after_a_kill_nothing_goes_on_that_was_ready(shop: Shop) -> None:
    begun: list[str] = []

    @shop.app.on(shop.orders)
    async def note(change: Change) -> None:
        begun.append(change.key)

    for seed in range(5):
        with World(shop.app, seed=seed) as world:
            world.put(shop.orders, {"id": "o1"})
            world.settle()
            begun.clear()
            world.put(shop.orders, {"id": "o2"})
            world.kill()
            assert begun == []
            world.restart()
            world.settle()
            assert begun == ["o2"]


def test_the_first_handler_of_the_tutorial_counts_a_change_inside_one_country() -> None:
    app = App("sums")
    orders = app.table("orders", pk="id")
    app.table("countries", pk="country", stream=None)

    @app.on(orders)
    def count(change: Change) -> None:
        for image, sign in ((change.old, -1), (change.new, 1)):
            if image is not None:
                change.transaction.update(
                    "countries",
                    {"country": image["country"]},
                    "ADD orders :one, turnover :total",
                    values={":one": sign, ":total": sign * image["total"]},
                )

    with World(app, seed=1) as world:
        world.put(orders, {"id": "o1", "country": "NL", "total": 10})
        world.put(orders, {"id": "o1", "country": "NL", "total": 12})
        world.settle()
        assert world.get("countries", {"country": "NL"}) == {"country": "NL", "orders": 1, "turnover": 12}
        assert not world.dead_letters(count)


def test_writes_of_one_item_that_cannot_be_one_fail_the_change_with_the_reason() -> None:
    app = App("sums")
    orders = app.table("orders", pk="id")
    app.table("totals", pk="id", stream=None)

    @app.on(orders, retry=Retry(0))
    def count(change: Change) -> None:
        change.transaction.put("totals", {"id": "all", "n": 1})
        change.transaction.put("totals", {"id": "all", "n": 2}, condition="n = :n", values={":n": 3})

    with World(app, seed=1) as world:
        world.put(orders, {"id": "o1"})
        world.settle()
        (letter,) = world.dead_letters(count)
        assert "{'id': 'all'} of totals" in letter.error
        assert "put, then put" in letter.error
        assert world.get("totals", {"id": "all"}) is None


def test_puts_of_one_item_into_a_table_that_nobody_declared_are_told_what_helps() -> None:
    app = App("sums")
    orders = app.table("orders", pk="id")

    @app.on(orders, retry=Retry(0))
    def count(change: Change) -> None:
        change.transaction.put("elsewhere", {"id": "all", "n": 1})
        change.transaction.put("elsewhere", {"id": "all", "n": 2})

    with World(app, seed=1) as world:
        world.client("dynamodb").create_table(
            TableName="elsewhere",
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        )
        world.put(orders, {"id": "o1"})
        world.settle()
        (letter,) = world.dead_letters(count)
        assert "declare its table with app.table" in letter.error
