"""A table's changes as they happen."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast

from tailrace.server.control import find_verb
from tests.patience import PATIENCE_S
from tests.unit.server.admin import Ground


def names(values: list[Any]) -> list[tuple[str, str]]:
    return [(value["event_name"], value["keys"]["pk"]["S"]) for value in values]


async def take(stream: AsyncGenerator[object, None], count: int) -> list[Any]:
    return [await asyncio.wait_for(anext(stream), PATIENCE_S) for _ in range(count)]


def begin(ground: Ground, **arguments: object) -> AsyncGenerator[object, None]:
    return find_verb("tail").run(ground.subject, {"table": "shop", **arguments})


def test_offline_it_shows_what_is_kept_and_ends() -> None:
    ground = Ground()
    ground.put("o1", status="new")
    ground.put("o1", status="paid")
    ground.delete("o1")
    ground.subject.is_offline = True
    values = ground.all("tail", table="shop")
    assert names(values) == [("INSERT", "o1"), ("MODIFY", "o1"), ("REMOVE", "o1")]
    assert values[1]["old"] == {"pk": {"S": "o1"}, "status": {"S": "new"}}
    assert values[1]["new"] == {"pk": {"S": "o1"}, "status": {"S": "paid"}}
    assert values[1]["at"] == "2023-11-14T22:13:21.000Z"
    assert len({value["event_id"] for value in values}) == 3


def test_it_begins_now_and_is_woken_by_commits() -> None:
    async def run() -> None:
        ground = Ground()
        ground.put("before")
        stream = begin(ground)
        first = asyncio.ensure_future(take(stream, 1))
        for _ in range(5):
            await asyncio.sleep(0)  # until it waits for a commit
        ground.put("after")
        assert names(await first) == [("INSERT", "after")]
        ground.put("a")
        ground.put("b")
        assert names(await take(stream, 2)) == [("INSERT", "a"), ("INSERT", "b")]
        await stream.aclose()

    asyncio.run(run())


def test_from_the_start_it_shows_everything_then_goes_on() -> None:
    async def run() -> None:
        ground = Ground()
        for number in range(250):
            ground.put(f"o{number}")
        stream = begin(ground, from_start=True)
        assert len(await take(stream, 250)) == 250
        ground.put("later")
        assert names(await take(stream, 1)) == [("INSERT", "later")]
        await stream.aclose()

    asyncio.run(run())


def test_every_items_changes_come_in_order_across_rollovers() -> None:
    ground = Ground(shards=2)
    for number in range(200):
        ground.put(f"o{number % 7}", n=str(number))
        if number % 60 == 59:
            ground.clock.advance(5 * 3_600_000)
            for _ in ground.engine.housekeeping():
                ground.engine.committer.flush()
    ground.subject.is_offline = True
    values = cast(list[Any], ground.all("tail", table="shop"))
    assert len(ground.shards()) > 2
    assert len(values) == 200
    for item in range(7):
        seen = [int(value["new"]["n"]["S"]) for value in values if value["keys"]["pk"]["S"] == f"o{item}"]
        assert seen == sorted(seen)


def test_a_new_stream_of_the_table_is_followed() -> None:
    async def run() -> None:
        ground = Ground()
        stream = begin(ground, from_start=True)
        ground.put("first")
        assert names(await take(stream, 1)) == [("INSERT", "first")]
        ground.engine.update_stream("shop", False)
        ground.engine.committer.flush()
        ground.put("unseen")
        ground.clock.advance(1_000)
        ground.engine.update_stream("shop", True, "KEYS_ONLY")
        ground.engine.committer.flush()
        ground.put("second")
        assert names(await take(stream, 1)) == [("INSERT", "second")]
        await stream.aclose()

    asyncio.run(run())
