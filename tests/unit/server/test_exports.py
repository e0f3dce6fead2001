"""The verb behind `tailrace export write`: whole tables as of one moment, told once they are durable."""

import asyncio
from typing import Any

import pytest

from tailrace.engine.engine import Engine
from tailrace.errors import StoreError, TailraceError
from tailrace.server import exports
from tailrace.server.control import find_verb
from tailrace.stores.memory import MemoryStore
from tailrace.tables.definition import TableDefinition
from tests.unit.server.admin import START_MS, Ground


def ids(pages: list[Any]) -> list[str]:
    return sorted(item["pk"]["S"] for page in pages for item in page["items"])


def test_every_table_is_told_with_its_items_and_a_moment_for_all() -> None:
    ground = Ground()
    ground.engine.create_table(TableDefinition("cart", "pk", "S"))
    for name in ("a", "b"):
        ground.put(name)
    first, cart, second, shop = ground.all("export.items")
    assert (first["table"], cart) == ("cart", {"items": [], "is_last": True})
    described = ground.engine.describe_table("shop")
    assert second == {
        "table": "shop",
        "arn": described["TableArn"],
        "table_id": described["TableId"],
        "to_us": first["to_us"],
        "items": 2,
        "bytes": 6,
    }
    assert first["to_us"] == (START_MS + 1_001) * 1_000  # a millisecond behind the last write
    assert (ids([shop]), shop["is_last"]) == (["a", "b"], True)


@pytest.mark.parametrize("count", [0, 1, 3, 4, 5])
def test_pages_are_bounded_and_the_last_one_says_so(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PAGE_ITEMS", 2)
    ground = Ground()
    for number in range(count):
        ground.put(f"k{number}")
    _, *pages = ground.all("export.items", tables=["shop"])
    assert [len(page["items"]) for page in pages] == [2] * (count // 2) + [count % 2]
    assert [page["is_last"] for page in pages] == [False] * (count // 2) + [True]
    assert ids(pages) == [f"k{number}" for number in range(count)]


def test_large_items_make_small_pages() -> None:
    ground = Ground()
    for number in range(3):
        ground.put(f"k{number}", body="x" * (exports.PAGE_BYTES // 2))
    _, *pages = ground.all("export.items")
    assert [len(page["items"]) for page in pages] == [2, 1]


def test_what_is_written_between_two_pages_is_not_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PAGE_ITEMS", 1)
    ground = Ground()
    for name in ("a", "b", "c"):
        ground.put(name)

    async def read() -> list[Any]:
        pages = []
        async for value in find_verb("export.items").run(ground.subject, {}):
            if "is_last" in value:  # type: ignore[operator]
                pages.append(value)
                for name in ("a", "b", "c"):
                    ground.put(name, later="yes")
                ground.put(f"new {len(pages)}")
        return pages

    pages = asyncio.run(read())
    assert ids(pages) == ["a", "b", "c"]
    assert all("later" not in item for page in pages for item in page["items"])


def test_tables_can_be_counted_alone_and_chosen() -> None:
    ground = Ground()
    ground.engine.create_table(TableDefinition("cart", "pk", "S"))
    told = ground.all("export.items", count_only=True)
    assert [one["table"] for one in told] == ["cart", "shop"]
    told = ground.all("export.items", count_only=True, tables=["shop", "shop"])
    assert [one["table"] for one in told] == ["shop"]


def test_a_table_that_is_not_there_is_named_beside_those_that_are() -> None:
    ground = Ground()
    with pytest.raises(TailraceError, match="There is no table 'nothing'; there are: shop"):
        ground.all("export.items", tables=["shop", "nothing"])
    ground.engine.delete_table("shop")
    with pytest.raises(TailraceError, match="There is no table here"):
        ground.all("export.items")


def test_nothing_is_told_that_a_failed_commit_takes_back() -> None:
    ground = Ground()
    ground.put("a")

    async def failing() -> None:
        raise StoreError("the disk is full")

    ground.subject.flushed = failing
    with pytest.raises(StoreError, match="the disk is full"):
        ground.all("export.items")


def test_what_was_held_is_given_back_when_the_client_goes() -> None:
    closed: list[str] = []

    class Told(MemoryStore):
        def standing(self) -> Any:
            held = super().standing()
            held.close = lambda: closed.append("closed")  # type: ignore[method-assign]
            return held

    ground = Ground()
    ground.engine = ground.subject.embedded = Engine(Told(), ground.clock)
    ground.engine.create_table(TableDefinition("shop", "pk", "S"))

    async def leave() -> None:
        values = find_verb("export.items").run(ground.subject, {})
        await anext(values)
        assert closed == []
        await values.aclose()

    asyncio.run(leave())
    assert closed == ["closed"]
