"""Rows in pages: all of them, few in memory, and others have their turn in between."""

import asyncio

import pytest

from tailrace.rows.writes import StateRow, Write
from tailrace.runtime.pages import pages, rows
from tailrace.stores.memory import MemoryStateStore
from tailrace.views.at_once import at_once, listed


class Counting(MemoryStateStore):
    """Notes how many rows each query gave."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.given: list[int] = []
        at_once(self.transact([Write(f"gap/{number:04d}", {"number": number}) for number in range(count)]))

    async def query(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[StateRow]:
        rows = await super().query(prefix, after=after, limit=limit)
        self.given.append(len(rows))
        return rows


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20, 25])
def test_every_row_comes_once_and_no_query_gives_more_than_a_page(count: int) -> None:
    store = Counting(count)
    listing = at_once(listed(rows(store, "gap/", 10)))
    assert [row.fields["number"] for row in listing] == list(range(count))
    assert max(store.given) <= 10


def test_what_is_deleted_while_it_is_read_ends_nothing() -> None:
    store = Counting(25)

    async def read() -> list[int]:
        seen: list[int] = []
        async for page in pages(store, "gap/", 10):
            seen += [row.fields["number"] for row in page]
            await store.transact([Write(row.key, None) for row in page])
        return seen

    assert at_once(read()) == list(range(25))


def test_between_two_pages_others_have_their_turn() -> None:
    store, turns = Counting(40), 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def read() -> None:
        task = asyncio.ensure_future(other())
        await listed(rows(store, "gap/", 10))
        task.cancel()

    asyncio.run(read())
    assert turns >= 4
