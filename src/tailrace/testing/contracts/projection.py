"""The contract of `ProjectionStore`.

Rules of this file: rows come back as they were written, a commit is judged by the rows as they are, and is
written whole or not at all. Called by tests/contracts and by users.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from tailrace.errors import StateConflict
from tailrace.ports import ProjectionStore
from tailrace.projections.core.rows import BUCKETS, AppliedItem, GroupState, RowChange, bucket_of
from tailrace.streams.version import Version
from tailrace.testing.contracts.rules import holds, run_async, same

LARGE: Final = (1 << 63) - 1
ITEM: Final = AppliedItem(
    "6f31",
    Version(1, LARGE - 1),
    '{"S":"N/L%\\n\\"ü"}',
    {"pk": {"S": "o1"}, "total": {"N": "12345678901234567890.123456789"}, "b": {"B": "AQI="}},
    1_700_000_000_000,
)
GROUP: Final = GroupState(
    '{"S":"N/L%\\n\\"ü"}', 1, 1, {"M": {"total": {"N": "1.5"}, "names": {"L": [{"S": "a"}]}}}, 7
)


def check_projection_store(make: Callable[[], ProjectionStore]) -> None:
    """Whether a store of projections keeps the contract of `ports.ProjectionStore`.

    Shape:   `make` gives a new, empty store; it is called inside a running loop.
    Raises:  ContractBroken, naming the rule.
    """
    run_async(RULES, make)


async def rows_are_kept_as_they_are(store: ProjectionStore) -> None:
    """A row comes back whole, one that was not written is not there, and deleting removes it."""
    tombstone = AppliedItem("6f32", Version(1, 5))
    same(await store.items([ITEM.key]), [], "an item that was never written")
    same(await store.groups([GROUP.key]), [], "a group that was never written")
    await store.commit([RowChange(None, ITEM), RowChange(None, tombstone), RowChange(None, GROUP)])
    same(_sorted(await store.items([ITEM.key, "6f39", tombstone.key])), [ITEM, tombstone], "the items")
    same(await store.groups([GROUP.key, '{"S":"BE"}']), [GROUP], "the group")
    later = AppliedItem(ITEM.key, Version(1, LARGE))
    await store.commit([RowChange(ITEM, later), RowChange(GROUP, None), RowChange(tombstone, None)])
    same(
        await store.items([ITEM.key, tombstone.key]),
        [later],
        "the items after one was replaced and one deleted",
    )
    same(await store.groups(), [], "the groups after the one was deleted")


async def everything_can_be_read(store: ProjectionStore) -> None:
    """Every item is in its own bucket and in no other, and all groups are read without naming them."""
    items = [AppliedItem(f"{number:04x}", Version(1, number + 1)) for number in range(300)]
    groups = [GroupState(f'{{"N":"{number}"}}', 1, 1, {"N": "1"}) for number in range(120)]
    for rows in (items, groups):
        for start in range(0, len(rows), 50):
            await store.commit([RowChange(None, row) for row in rows[start : start + 50]])
    in_buckets: list[AppliedItem] = []
    for number in range(BUCKETS):
        bucket = await store.bucket(number)
        same({bucket_of(row.key) for row in bucket} - {number}, set(), f"strangers in bucket {number}")
        in_buckets += bucket
    same(_sorted(in_buckets), items, "the items of all buckets")
    same(sorted(await store.groups(), key=lambda row: int(row.key[6:-2])), groups, "the groups")


async def what_was_written_meanwhile_is_a_conflict(store: ProjectionStore) -> None:
    """A row that is not as it was read is a conflict: it is there already, it is gone, it is another."""
    second = GroupState(GROUP.key, 2, 1, {"N": "2"})
    await store.commit([RowChange(None, ITEM), RowChange(None, GROUP)])
    stale: list[RowChange] = [
        RowChange(None, ITEM),
        RowChange(None, GROUP),
        RowChange(second, GROUP),
        RowChange(second, None),
        RowChange(AppliedItem(ITEM.key, Version(1, 4)), ITEM),
        RowChange(AppliedItem("6f39", Version(1, 4)), None),
        RowChange(GroupState('{"S":"BE"}', 1, 1, {"N": "1"}), GroupState('{"S":"BE"}', 2, 1, {"N": "1"})),
    ]
    for change in stale:
        holds(await _conflicts(store, [change]), f"a conflict for {change}")
    same(await store.groups(), [GROUP], "the groups")
    await store.commit([RowChange(GROUP, second)])
    same(await store.groups(), [second], "the groups after the change that was not stale")


async def commits_are_all_or_nothing(store: ProjectionStore) -> None:
    """When one row is not as it was read, nothing is written."""
    other = AppliedItem("6f39", Version(1, 1))
    await store.commit([RowChange(None, ITEM), RowChange(None, GROUP)])
    second = GroupState(GROUP.key, 2, 2, {"N": "2"})
    changes = [
        RowChange(None, other),
        RowChange(ITEM, None),
        RowChange(GroupState(GROUP.key, 9, 1, {"N": "1"}), second),
    ]
    holds(await _conflicts(store, changes), "a conflict")
    holds(await _conflicts(store, changes[::-1]), "a conflict, the other way round")
    same(await store.items([ITEM.key, other.key]), [ITEM], "the items after it")
    same(await store.groups(), [GROUP], "the groups after it")


async def one_of_many_writers_wins(store: ProjectionStore) -> None:
    """Of many that change the same group at the same time, exactly one succeeds."""
    await store.commit([RowChange(None, GROUP)])
    writers = [
        _conflicts(
            store,
            [
                RowChange(None, AppliedItem(f"{number:02x}", Version(1, 1))),
                RowChange(GROUP, GroupState(GROUP.key, 2, number, {"N": "1"})),
            ],
        )
        for number in range(8)
    ]
    lost = await asyncio.gather(*writers)
    same(lost.count(False), 1, "how many succeeded")
    same([row.count for row in await store.groups()], [lost.index(False)], "the count of the one who did")
    same(len(await store.items([f"{number:02x}" for number in range(8)])), 1, "the items of the one who did")


async def as_many_rows_as_it_says(store: ProjectionStore) -> None:
    """A commit may hold as many rows as the store says: at least an item and two groups."""
    holds(store.rows_at_once >= 3, f"rows_at_once is {store.rows_at_once}")
    many = [AppliedItem(f"{number:04x}", Version(1, 1)) for number in range(store.rows_at_once)]
    await store.commit([RowChange(None, row) for row in many])
    same(len(await store.items([row.key for row in many])), len(many), "the rows")
    await store.serve()
    await store.serve()
    same(len(await store.items([row.key for row in many])), len(many), "the rows when they are served")


def _sorted(rows: Sequence[AppliedItem]) -> list[AppliedItem]:
    return sorted(rows, key=lambda row: row.key)


async def _conflicts(store: ProjectionStore, changes: Sequence[RowChange]) -> bool:
    try:
        await store.commit(changes)
    except StateConflict:
        return True
    return False


RULES: Final[tuple[Callable[[ProjectionStore], Awaitable[None]], ...]] = (
    rows_are_kept_as_they_are,
    everything_can_be_read,
    what_was_written_meanwhile_is_a_conflict,
    commits_are_all_or_nothing,
    one_of_many_writers_wins,
    as_many_rows_as_it_says,
)
