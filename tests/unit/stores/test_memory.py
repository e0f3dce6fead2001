"""The stores in memory, beyond the contract."""

import asyncio

import pytest

from tailrace.errors import StateConflict
from tailrace.ports import Commit, LogRow
from tailrace.rows.writes import Equals, Write
from tailrace.stores.memory import MemoryStateStore, MemoryStore


def test_records_that_come_out_of_order_are_kept_in_order() -> None:
    store = MemoryStore()
    for sequence in (5, 9, 7, 1):
        store.commit(Commit(log=[LogRow(1, sequence, b"h", None, None)]))
    assert [row.sequence for row in store.read_log(1, 0, 9)] == [1, 5, 7, 9]


def test_a_written_value_inside_a_field_cannot_be_changed_afterwards() -> None:
    async def main() -> object:
        store = MemoryStateStore()
        ranges = [[1, 2]]
        await store.transact([Write("a", {"ranges": ranges})])
        ranges[0].append(3)
        row = await store.get("a")
        return row and row.fields["ranges"]

    assert asyncio.run(main()) == [[1, 2]]


def test_a_conflict_says_which_row_and_which_condition() -> None:
    async def main() -> None:
        await MemoryStateStore().transact([Write("lease/x", {}, Equals("epoch", 3))])

    with pytest.raises(StateConflict, match=r"lease/x.*epoch"):
        asyncio.run(main())
