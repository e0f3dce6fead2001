"""Restoring items: what is written and under which condition, repeated, cut off, and beside other writers."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
import pytest

from tailrace import App
from tailrace.clocks.manual import ManualClock
from tailrace.errors import ApiError, Throttled
from tailrace.journal.core.restoring import MOST_CONDITIONS, restore_step
from tailrace.journal.run.restoring import TOLD, Restorer
from tailrace.tables.schema import TableSchema
from tailrace.testing import World
from tailrace.values.types import Item

SCHEMA = TableSchema("orders", 0, "", "id", "S")
A: Item = {"id": {"S": "a"}, "n": {"N": "1"}}
A2: Item = {"id": {"S": "a"}, "n": {"N": "2"}}


def step(wanted: Item | None, current: Item | None, overwrite: bool = False) -> Any:
    return restore_step("orders", ["id"], wanted, current, overwrite=overwrite)


def test_what_is_as_it_was_is_passed_over_and_what_is_not_there_is_put_if_it_still_is_not() -> None:
    assert step(A, A).operation == ""
    assert step(None, None, overwrite=True).action == "same"
    made = step(A, None)
    assert (made.action, made.members["ConditionExpression"]) == ("put", "attribute_not_exists(#key)")


@pytest.mark.parametrize(("wanted", "action"), [(A, "replace"), (None, "delete")])
def test_another_item_is_left_unless_it_may_be_overwritten_while_it_is_what_was_read(
    wanted: Item | None, action: str
) -> None:
    assert step(wanted, A2).action == "differs"
    made = step(wanted, A2, overwrite=True)
    assert made.action == action
    assert made.members["ConditionExpression"] == "#a0 = :a0 AND #a1 = :a1"
    assert made.members["ExpressionAttributeValues"] == {":a0": {"S": "a"}, ":a1": {"N": "2"}}


@pytest.mark.parametrize(("more", "action"), [(0, "replace"), (1, "differs")])
def test_an_item_with_more_attributes_than_a_condition_can_name_is_left(more: int, action: str) -> None:
    wide: Item = {"id": {"S": "a"}, **{f"x{n}": {"N": "1"} for n in range(MOST_CONDITIONS - 1 + more)}}
    assert step(A, wide, overwrite=True).action == action


# ---- against the engine ------------------------------------------------------------------------------------


class Table:
    """A table of a world, as a restore calls it. Shape: `before` is called before each write."""

    def __init__(self, world: World) -> None:
        self.client = world.client("dynamodb")
        self.writes = 0
        self.fails: list[Exception] = []
        self.before: Any = None

    async def call(self, operation: str, members: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.fails:
            raise self.fails.pop()
        if operation == "GetItem":
            answer: Mapping[str, Any] = self.client.get_item(**members)
            return answer
        if self.before is not None:
            self.before(self.client)
        self.writes += 1
        call = self.client.put_item if operation == "PutItem" else self.client.delete_item
        try:
            return call(**members)  # type: ignore[no-any-return]
        except self.client.exceptions.ConditionalCheckFailedException as error:
            raise ApiError("ConditionalCheckFailedException", str(error)) from error

    def restore(self, items: dict[str, Item | None], **chosen: bool) -> dict[str, int]:
        async def given() -> AsyncIterator[tuple[bytes, bytes | None]]:
            for key, item in items.items():
                image = None if item is None else orjson.dumps(item)
                yield SCHEMA.key_bytes({"id": {"S": key}}), image

        async def run() -> dict[str, int]:
            choices = {"overwrite": False, "dry_run": False, **chosen}
            clock = ManualClock()
            self.restorer = Restorer(self.call, "orders", SCHEMA, clock, **choices)
            restoring = asyncio.ensure_future(self.restorer.restore(given()))
            while not restoring.done():
                clock.advance(1_000)
                await asyncio.sleep(0)
            return dict((await restoring).counts)

        return asyncio.run(run())

    def item(self, key: str) -> Item | None:
        item: Item | None = self.client.get_item(TableName="orders", Key={"id": {"S": key}}).get("Item")
        return item


@pytest.fixture
def table() -> Any:
    app = App("shop")
    app.table("orders", pk="id")
    with World(app, seed=1) as world:
        yield Table(world)


WANTED: dict[str, Item | None] = {f"k{n}": {"id": {"S": f"k{n}"}, "n": {"N": str(n)}} for n in range(40)}


def test_a_restore_puts_what_was_and_repeated_writes_nothing(table: Table) -> None:
    assert table.restore(WANTED) == {"put": 40}
    assert table.item("k7") == WANTED["k7"]
    assert table.restore(WANTED) == {"same": 40}
    assert table.writes == 40


def test_one_that_was_cut_off_goes_on_where_it_was(table: Table) -> None:
    table.fails = []

    def die(_: Any) -> None:
        if table.writes == 10:
            raise KeyError("killed")

    table.before = die
    with pytest.raises(KeyError):
        table.restore(WANTED)
    table.before = None
    assert table.restore(WANTED) == {"put": 30, "same": 10}


def test_what_differs_is_left_and_named_and_replaced_when_told(table: Table) -> None:
    table.restore(WANTED)
    others = {key: {"id": {"S": key}, "n": {"N": "99"}} for key in WANTED}
    assert table.restore(others) == {"differs": 40}
    assert len(table.restorer.report.left) == TOLD
    assert table.item("k7") == WANTED["k7"]
    assert table.restore({"k1": None, "k2": others["k2"]}, overwrite=True) == {"delete": 1, "replace": 1}
    assert (table.item("k1"), table.item("k2")) == (None, others["k2"])


def test_a_dry_run_counts_and_writes_nothing(table: Table) -> None:
    assert table.restore(WANTED, dry_run=True) == {"put": 40}
    assert (table.writes, table.item("k7")) == (0, None)


def test_who_writes_meanwhile_wins(table: Table) -> None:
    def other(client: Any) -> None:
        client.put_item(TableName="orders", Item={"id": {"S": "k7"}, "n": {"N": "1000"}})

    table.before = other
    assert table.restore({"k7": WANTED["k7"]}) == {"overtaken": 1}
    assert table.item("k7") == {"id": {"S": "k7"}, "n": {"N": "1000"}}


@pytest.mark.parametrize("fails", [[], [Throttled("slower")]])
@pytest.mark.parametrize("wanted", [{"id": {"S": "k7"}, "n": {"N": "1"}}, None])
def test_who_only_adds_an_attribute_meanwhile_wins_too(
    table: Table, wanted: Item | None, fails: list[Exception]
) -> None:
    there: Item = {"id": {"S": "k7"}, "n": {"N": "0"}}
    table.restore({"k7": there})

    def add(client: Any) -> None:
        table.before = None
        table.fails = [*fails]  # of the call that puts it back
        names, values = {"#m": "more"}, {":m": {"S": "of somebody else"}}
        client.update_item(
            TableName="orders", Key={"id": {"S": "k7"}}, UpdateExpression="SET #m = :m",
            ExpressionAttributeNames=names, ExpressionAttributeValues=values,
        )  # fmt: skip

    table.before = add
    assert table.restore({"k7": wanted}, overwrite=True) == {"overtaken": 1}
    assert table.item("k7") == {**there, "more": {"S": "of somebody else"}}
    assert table.restore({"k7": wanted}, overwrite=True) == {"replace" if wanted else "delete": 1}


def test_what_was_put_back_is_not_put_over_what_came_still_later(table: Table) -> None:
    table.restore({"k7": WANTED["k7"]})
    last: Item = {"id": {"S": "k7"}, "n": {"N": "1000"}}

    def add(client: Any) -> None:
        table.before = lambda client: client.put_item(TableName="orders", Item=last)
        client.put_item(TableName="orders", Item={**(WANTED["k7"] or {}), "more": {"N": "1"}})

    table.before = add
    assert table.restore({"k7": None}, overwrite=True) == {"overtaken": 1}
    assert table.item("k7") == last


def test_a_set_is_the_same_in_whatever_order_a_table_gives_it(table: Table) -> None:
    wanted: Item = {"id": {"S": "k7"}, "s": {"SS": ["a", "b"]}, "m": {"M": {"n": {"NS": ["9", "10"]}}}}
    given = {"id": {"S": "k7"}, "s": {"SS": ["b", "a"]}, "m": {"M": {"n": {"NS": ["10", "9"]}}}}
    table.client.get_item = lambda **members: {"Item": given}
    assert table.restore({"k7": wanted}, overwrite=True) == {"same": 1}


def test_what_is_throttled_is_asked_again_and_a_refusal_ends_it(table: Table) -> None:
    table.fails = [Throttled("slower", retry_after=1.0), Throttled("slower")]
    assert table.restore({"k7": WANTED["k7"]}) == {"put": 1}
    table.fails = [ApiError("AccessDeniedException", "no")]
    with pytest.raises(ApiError, match="no"):
        table.restore(WANTED)
    table.fails = [Throttled("slower")] * 100
    with pytest.raises(Throttled):
        table.restore({"k7": WANTED["k7"]})
