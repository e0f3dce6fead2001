"""The items of the embedded engine, of a server over HTTP and of the double keep the contract of TableItems,
and the check catches an adapter that does not.

Rules of this file: a canary for each rule, made of the double.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from msgspec.structs import replace

from tailrace.app.app import App
from tailrace.aws.places import Access
from tailrace.engine.engine import Engine, EngineSettings
from tailrace.ports import ItemsPage, TableItems
from tailrace.sources.dialects import TAILRACE
from tailrace.sources.embedded import EmbeddedItems
from tailrace.sources.far_items import FarItems
from tailrace.streams.record import SequenceNumber
from tailrace.tables.mutate import Delete, Put
from tailrace.testing import ScriptedItems, check_table_items
from tailrace.testing.contracts import table_items
from tailrace.testing.contracts.table_items import MadeChange, Writing
from tests.contracts.breaking import breaks
from tests.far_streams import FarTable, far
from tests.serving import Served
from tests.unit.engine.building import with_table

NUMBERS = "n"


def changes_of(engine: Engine, table: str, *, far: bool = False) -> list[MadeChange]:
    """What was written, from the engine's own log."""
    changes = []
    for shard in engine.shards_of(engine.stream_of(table).arn):
        after = 0
        while records := engine.log.read(shard, after, 100).records:
            after = records[-1].sequence
            for record in records:
                number = None if record.new is None else int(record.new.split(b'"N":"')[1].split(b'"')[0])
                wire = SequenceNumber(record.sequence).wire
                sequence = TAILRACE.number(wire) if far else record.sequence
                changes.append(MadeChange(record.key.hex(), number, sequence))
    return sorted(changes, key=lambda change: change.sequence)


# ---- the engine in this process ----------------------------------------------------------------------------


class HereItems(EmbeddedItems):
    """Over an engine of its own, whose one table is `orders`."""

    shards = 3

    def __init__(self) -> None:
        self.engine, self.clock = with_table(settings=EngineSettings(shards=self.shards))

        async def flushed() -> None:
            self.engine.committer.flush()

        super().__init__(self.engine, flushed)

    def close(self) -> None:
        self.engine.close()


def put_here(items: HereItems, name: str, number: int) -> None:
    items.engine.put(Put("orders", {"pk": {"S": name}, NUMBERS: {"N": str(number)}}))
    items.engine.committer.flush()


def remove_here(items: HereItems, name: str) -> None:
    items.engine.delete(Delete("orders", {"pk": {"S": name}}))
    items.engine.committer.flush()


HERE = Writing(put_here, remove_here, lambda items: changes_of(items.engine, "orders"), lambda _: "orders")


def test_the_items_of_an_engine_keep_the_contract() -> None:
    check_table_items(HereItems, HERE)


# ---- over HTTP ---------------------------------------------------------------------------------------------


class OverHttp(FarItems):
    """A table of a running server."""

    def __init__(self, served: Served, access: Access) -> None:
        self.far_table = FarTable(served)
        app = App("shop")
        super().__init__(
            access, [app.table(self.far_table.name, pk="pk"), app.table("no-such-table", pk="pk")]
        )


@pytest.fixture(scope="module", params=[1, 3], ids=["one shard", "three shards"])
def place(request: pytest.FixtureRequest) -> Iterator[tuple[Served, Access]]:
    with far(request.param) as place:
        yield place


def changes_there(items: OverHttp) -> list[MadeChange]:
    served, name = items.far_table.served, items.far_table.name
    return served.call(lambda: changes_of(served.engine, name, far=True))


THERE = Writing(
    lambda items, name, number: items.far_table.put(name, n={"N": str(number)}),
    lambda items, name: items.far_table.delete(name),
    changes_there,
    lambda items: items.far_table.name,
)


def test_the_items_of_another_server_keep_the_contract_also_when_its_shards_split(
    place: tuple[Served, Access],
) -> None:
    served, access = place
    check_table_items(lambda: OverHttp(served, access), THERE)

    def split_and_put(items: OverHttp, name: str, number: int) -> None:
        THERE.put(items, name, number)
        if number == 7:
            items.far_table.roll()

    check_table_items(lambda: OverHttp(served, access), THERE._replace(put=split_and_put))


# ---- the double --------------------------------------------------------------------------------------------


def scripted_changes(items: ScriptedItems) -> list[MadeChange]:
    return [
        MadeChange(key, None if image is None else int(image["n"]["N"]), number)
        for key, image, number in items.writes
    ]


DOUBLE = Writing(
    lambda items, name, number: items.write(name, {"n": {"N": str(number)}}),
    lambda items, name: items.write(name, None),
    scripted_changes,
    lambda _: "orders",
)


def test_the_double_keeps_the_contract() -> None:
    check_table_items(ScriptedItems, DOUBLE)


# ---- canaries ----------------------------------------------------------------------------------------------


class Changed(ScriptedItems):
    """Pages that are not what they should be."""

    def change(self, page: ItemsPage, segment: tuple[int, int] | None) -> ItemsPage:
        return page

    async def page(
        self, table: str, after: Mapping[str, Any] | None, limit: int, segment: tuple[int, int] | None = None
    ) -> ItemsPage:
        return self.change(await super().page(table, after, limit, segment), segment)


class TellsTheEndOfTime(Changed):
    def change(self, page: ItemsPage, segment: tuple[int, int] | None) -> ItemsPage:
        return replace(page, position=10**20)


class LeavesOutTheLast(Changed):
    def change(self, page: ItemsPage, segment: tuple[int, int] | None) -> ItemsPage:
        return replace(page, items=page.items[:-1] if page.after is None else page.items)


class IsOneChangeBehind(Changed):
    """What a position that is told a moment too late is: the page lacks what was written meanwhile."""

    def change(self, page: ItemsPage, segment: tuple[int, int] | None) -> ItemsPage:
        return replace(page, position=page.position - 1 if page.position else 0)


class KeepsTheFirstPosition(Changed):
    first: int | None = None

    def change(self, page: ItemsPage, segment: tuple[int, int] | None) -> ItemsPage:
        if self.first is None or page.after is None:
            self.first = page.position
        return replace(page, position=self.first)


class GivesOtherItemsTheSecondTime(Changed):
    times = 0

    def change(self, page: ItemsPage, segment: tuple[int, int] | None) -> ItemsPage:
        self.times += 1
        return replace(page, items=page.items[1:] if self.times == 2 else page.items)


class HasNoSegments(ScriptedItems):
    async def page(
        self, table: str, after: Mapping[str, Any] | None, limit: int, segment: tuple[int, int] | None = None
    ) -> ItemsPage:
        return await super().page(table, after, limit)


class AnswersForAnyTable(ScriptedItems):
    async def page(
        self, table: str, after: Mapping[str, Any] | None, limit: int, segment: tuple[int, int] | None = None
    ) -> ItemsPage:
        return await super().page("orders", after, limit, segment)


CANARIES: list[tuple[Callable[[], TableItems], Callable[..., object]]] = [
    (TellsTheEndOfTime, table_items.an_empty_table_has_an_empty_page),
    (LeavesOutTheLast, table_items.every_item_comes_once),
    (IsOneChangeBehind, table_items.a_page_is_as_of_its_position),
    (KeepsTheFirstPosition, table_items.each_page_has_a_position_of_its_own),
    (GivesOtherItemsTheSecondTime, table_items.a_page_may_be_asked_for_again),
    (HasNoSegments, table_items.segments_are_apart_and_together_everything),
    (AnswersForAnyTable, table_items.a_table_that_is_not_there_is_refused),
]


@pytest.mark.parametrize(("make", "rule"), CANARIES)
def test_a_broken_adapter_is_caught(make: Callable[[], TableItems], rule: Callable[..., object]) -> None:
    breaks(rule, lambda: check_table_items(make, DOUBLE))


def test_every_rule_has_a_canary() -> None:
    assert {rule for _, rule in CANARIES} == set(table_items.RULES)
