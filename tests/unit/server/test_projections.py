"""The `projection` verbs, asked in a world: what is there, whether it is right, rebuilding, swapping."""

import asyncio
from decimal import Decimal
from operator import add
from typing import Any

import pytest

from tailrace import App, Change
from tailrace.errors import SettingsError, TailraceError
from tailrace.rows.writes import Write
from tailrace.server.control import Subject, find_verb
from tailrace.testing import World
from tests.unit.sinks.test_projected import Orders


@pytest.fixture
def orders(world: World) -> Orders:
    made = Orders()
    world.use(made.app)
    world.put(made.Order(id="o1", total=Decimal(10)))
    world.put(made.Order(id="o2", total=Decimal(5)))
    world.put(made.Order(id="o3", country="BE", total=Decimal(7)))
    world.settle()
    return made


def ask(world: World, verb: str, **arguments: Any) -> Any:
    (answer,) = world._ask(f"projection.{verb}", arguments)
    return answer


def broken(world: World, prefix: str, **fields: Any) -> None:
    """Change the first row of a kind behind the projection's back."""
    row = world.engine.state.query(prefix)[0]
    world.engine.state.transact([Write(row.key, {**row.fields, **fields})])
    world.engine.committer.flush()


def test_every_build_is_listed(world: World, orders: Orders) -> None:
    (build,) = ask(world, "ls")
    shown = {
        name: build[name] for name in ("projection", "build", "table", "handler", "served", "filled", "into")
    }
    assert shown == {
        "projection": "sales",
        "build": "1",
        "table": "orders",
        "handler": "sales@v1",
        "served": True,
        "filled": True,
        "into": "state",
    }


def test_groups_are_read_by_their_keys(world: World, orders: Orders) -> None:
    answer = ask(world, "read", projection="sales", keys=['{"S":"NL"}', '{"S":"XX"}'])
    assert answer["groups"] == [{"key": '{"S":"NL"}', "count": 2, "state": {"N": "15"}}]


def test_one_that_does_not_exist_is_answered_with_those_that_do(world: World, orders: Orders) -> None:
    with pytest.raises(TailraceError, match="There is no projection 'sale'"):
        ask(world, "read", projection="sale")


def test_what_is_right_is_verified(world: World, orders: Orders) -> None:
    answer = ask(world, "verify", projection="sales")
    assert (answer["items"], answer["groups"], answer["differing"], answer["in_flight"]) == (3, 2, 0, 0)


def test_a_state_that_is_not_the_fold_of_its_items_is_named(world: World, orders: Orders) -> None:
    broken(world, "projection-group/", state={"N": "8"})
    answer = ask(world, "verify", projection="sales")
    assert answer["differences"] == [
        {"kind": "group", "key": '{"S":"BE"}', "expected": {"N": "7"}, "found": {"N": "8"}, "reason": ""}
    ]


def test_an_item_that_was_never_applied_is_named(world: World, orders: Orders) -> None:
    row = world.engine.state.query("projection-item/")[0]
    world.engine.state.transact([Write(row.key, None)])
    world.engine.committer.flush()
    answer = ask(world, "verify", projection="sales")
    kinds = {difference["kind"]: difference for difference in answer["differences"]}
    assert set(kinds) == {"item", "group"}
    assert kinds["item"]["found"] is None
    assert kinds["item"]["expected"] == row.fields["image"]
    assert "items are counted in it, and" in kinds["group"]["reason"]


def test_an_item_that_is_gone_is_named(world: World, orders: Orders) -> None:
    world.kill()
    world.delete("orders", {"id": "o3"})
    world.engine.state.transact(
        [
            Write(row.key, {**row.fields, "watermark": world.engine.last_sequence})
            for row in world.engine.state.query("checkpoint/")
        ]
    )
    world.engine.committer.flush()
    world.restart()
    world.settle()
    answer = ask(world, "verify", projection="sales")
    (difference,) = answer["differences"]
    assert (difference["kind"], difference["key"], difference["expected"]) == (
        "item",
        '{"id":{"S":"o3"}}',
        None,
    )


def test_what_is_parked_is_named_with_the_next_command(world: World, orders: Orders) -> None:
    orders.fails.add("o1")
    world.update(orders.Order, id="o1", total=Decimal(99))
    world.settle()
    answer = ask(world, "verify", projection="sales")
    reasons = {difference["kind"]: difference["reason"] for difference in answer["differences"]}
    assert reasons["item"] == "parked: tailrace dlq redrive sales@v1"
    world.allow_failures()


def test_a_rebuild_repairs_what_was_broken(world: World, orders: Orders) -> None:
    broken(world, "projection-group/", state={"N": "8"})
    planned = ask(world, "rebuild", projection="sales", dry_run=True)
    assert (planned["build"], planned["items"], len(ask(world, "ls"))) == (None, 3, 1)
    assert ask(world, "rebuild", projection="sales")["build"] == "1.1"
    world.put(orders.Order(id="o4", country="BE", total=Decimal(1)))
    world.settle()
    (build,) = ask(world, "ls")
    assert (build["build"], build["served"]) == ("1.1", True)
    assert dict(world.projected("sales").items()) == {"NL": Decimal(15), "BE": Decimal(8)}
    assert ask(world, "verify", projection="sales")["differing"] == 0


def test_a_manual_swap_waits_for_a_person_and_both_builds_live_until_then(world: World) -> None:
    made = Orders(swap="manual")
    world.use(made.app)
    world.put(made.Order(id="o1", total=Decimal(10)))
    world.settle()
    ask(world, "rebuild", projection="sales")
    world.settle()
    world.update(made.Order, id="o1", total=Decimal(20))
    world.settle()
    assert [(build["build"], build["served"]) for build in ask(world, "ls")] == [("1", True), ("1.1", False)]
    for build in ("1", "1.1"):
        assert ask(world, "read", projection="sales", build=build)["groups"][0]["state"] == {"N": "20"}
    planned = ask(world, "swap", projection="sales", dry_run=True)
    assert (planned["before"], planned["build"], planned["removes"]) == ("1", "1.1", ["1"])
    assert len(ask(world, "ls")) == 2
    ask(world, "swap", projection="sales")
    assert [(build["build"], build["served"]) for build in ask(world, "ls")] == [("1.1", True)]
    with pytest.raises(TailraceError, match="its newest build, 1"):
        ask(world, "swap", projection="sales")


def test_a_swap_to_what_failed_needs_force(world: World, orders: Orders) -> None:
    orders.fails.add("o1")
    ask(world, "rebuild", projection="sales")
    world.settle()
    with pytest.raises(
        TailraceError, match=r"build 1\.1 is not ready: 1 items could not be filled in; .*o1 is broken"
    ):
        ask(world, "swap", projection="sales")
    ask(world, "swap", projection="sales", force=True)
    assert dict(world.projected("sales").items()) == {"NL": Decimal(5), "BE": Decimal(7)}


def test_a_projection_that_is_declared_no_more_stops_the_start_until_it_is_dropped(
    world: World, orders: Orders
) -> None:
    with pytest.raises(TailraceError, match="'sales' is declared by the app that runs here"):
        ask(world, "drop", projection="sales")
    world.kill()
    without = App("shop")
    orders_of_it = without.table("orders", pk="id")

    @without.on(orders_of_it)
    def seen(change: Change) -> None: ...

    with pytest.raises(
        SettingsError, match="has rows of a projection 'sales' that it no longer declares"
    ) as refused:
        world.use(without)
    assert (
        refused.value.hint
        == "tailrace projection drop sales, or declare it again under its old name, id='sales'"
    )
    (planned,) = drop(world, dry_run=True)
    assert world.engine.state.query("projection")
    (dropped,) = drop(world, dry_run=False)
    assert dropped["rows"] == planned["rows"] > 5
    assert world.engine.state.query("projection") == []
    assert world.engine.state.query("mapping/shop/sales") == []
    world.use(without)
    world.settle()
    assert world.delivered(seen) == ["o1", "o2", "o3"]


def drop(world: World, *, dry_run: bool) -> list[Any]:
    """As the command line asks without a server."""
    subject = Subject(world.engine, world.clock, is_offline=True)

    async def collect() -> list[Any]:
        asked = find_verb("projection.drop").run(subject, {"projection": "sales", "dry_run": dry_run})
        return [value async for value in asked]

    return asyncio.run(collect())


def test_an_applied_change_counts_as_delivered_once(world: World) -> None:
    made = Orders()
    world.use(made.app)
    with world.faults(duplicates=0.9, seed=1):
        for name in ("o1", "o2", "o3"):
            world.put(made.Order(id=name))
        world.settle()
    assert world.struck
    assert world.delivered(made.sales) == ["o1", "o2", "o3"]


def test_each_app_is_asked_about_its_own_projection(world: World, orders: Orders) -> None:
    other = App("other")
    lines = other.table("lines", pk="id")

    @other.projection(lines, id="sales")
    def count(total: int, line: dict[str, Any], sign: int) -> int:
        return total + sign

    world.use(other)
    world.put(lines, {"id": "l1"})
    world.settle()
    assert dict(other.projected(count)) == {None: 1}
    assert orders.app.projected("sales")["BE"] == 7
    with pytest.raises(
        TailraceError, match="Several projections are called 'sales': other/sales, shop/sales"
    ):
        ask(world, "verify", projection="sales")
    assert ask(world, "verify", projection="other/sales")["items"] == 1


def test_no_order_of_changes_that_share_a_group_breaks_it(world: World) -> None:
    made = Orders(concurrency=4, batch_size=1)
    world.use(made.app)
    world.put(made.Order(id="o1", total=Decimal(1)))
    world.settle()

    def write() -> None:
        world.update(made.Order, id="o1", total=Decimal(2))
        world.put(made.Order(id="o2", total=Decimal(4)))
        world.update(made.Order, id="o1", country="BE")

    explored = world.explore(write, check=lambda: check(world), schedules=150, faults={"duplicates": 0.2})
    assert dict(world.projected("sales")) == {"NL": Decimal(4), "BE": Decimal(2)}
    assert explored


def check(world: World) -> None:
    assert dict(world.projected("sales")) == {"NL": Decimal(4), "BE": Decimal(2)}


def test_a_function_that_changed_without_its_version_is_warned_of(
    world: World, orders: Orders, caplog: pytest.LogCaptureFixture
) -> None:
    world.kill()
    world.use(Orders().app)
    world.settle()
    assert not caplog.records
    assert not ask(world, "ls")[0]["changed"]
    world.kill()
    other = Orders()
    changed = App("shop")
    changed.tables.update(other.app.tables)

    @changed.projection(other.Order, by=other.Order.country, id="sales")
    def sales(total: Decimal, order: Any, sign: int) -> Decimal:
        return total + 2 * sign * order.total

    world.use(changed)
    world.settle()
    assert "its function is another than the one that build 1 was made by" in caplog.text
    assert ask(world, "ls")[0]["changed"]
    ask(world, "rebuild", projection="sales")
    world.settle()
    assert not ask(world, "ls")[0]["changed"]
    assert changed.projected(sales)["BE"] == 14


# ---- groups in parts ---------------------------------------------------------------------------------------


def hot(*, parts: bool = True, version: int = 1) -> App:
    app = App("hot")
    orders = app.table("orders", pk="id")

    @app.projection(orders, by="country", id="sales", version=version, combine=add if parts else None)
    def sales(total: Decimal, order: dict[str, Any], sign: int) -> Decimal:
        return total + sign * order["total"]

    return app


def filled(world: World) -> None:
    """Items of four shards in two groups, of which some have gone or moved."""
    for number in range(24):
        world.put("orders", {"id": f"o{number}", "country": "NL", "total": number})
    world.settle()
    for number in range(0, 24, 3):
        world.put("orders", {"id": f"o{number}", "country": "BE", "total": number})
    for number in range(1, 24, 6):
        world.delete("orders", {"id": f"o{number}"})
    world.settle()


def test_parts_are_read_and_verified_as_the_groups_that_they_are_of() -> None:
    with World(hot(), shards=4) as world:
        filled(world)
        assert len(world.engine.state.query("projection-group/")) > 4
        totals = {"BE": sum(range(0, 24, 3)), "NL": sum(n for n in range(24) if n % 3 and n % 6 != 1)}
        assert dict(world.projected("sales")) == totals
        assert world.projected("sales")["BE"] == totals["BE"]
        assert world.projected("sales").count("NL") == 12
        answer = ask(world, "verify", projection="sales")
        assert (answer["items"], answer["groups"], answer["differing"]) == (20, 2, 0)
        broken(world, "projection-group/", state={"N": "1000"})
        assert ask(world, "verify", projection="sales")["differing"] == 1


def test_parts_without_the_function_that_combines_them_are_refused_in_words() -> None:
    with World(hot(), shards=4) as world:
        filled(world)
        world.kill()
        world.use(hot(parts=False))
        world.settle()
        with pytest.raises(TailraceError, match="build 1 keeps groups in parts, and the app has no combine="):
            ask(world, "read", projection="sales")
        world.kill()
        world.use(hot(parts=False, version=2))
        world.settle()
        assert world.projected("sales").count("NL") == 12
