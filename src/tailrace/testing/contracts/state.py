"""The contract of `StateStore`.

Rules of this file: conditions are judged on what was there before the transaction, and none of it is written
when one of them does not hold. Called by tests/contracts and by users.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from tailrace.errors import SettingsError, StateConflict
from tailrace.ports import Action, ItemWrite, StateStore
from tailrace.rows.writes import Absent, AbsentOrOlder, Check, Condition, Equals, StateRow, Write
from tailrace.streams.version import MOST_SEQUENCE, Version
from tailrace.testing.contracts.rules import ContractBroken, run_async, same

BIG: Final = (1 << 63) - 1
SECOND: Final = Version(2, 5)

TRUTH: Final[tuple[tuple[dict[str, Any] | None, Condition, bool], ...]] = (
    (None, Absent(), True),
    ({"n": 1}, Absent(), False),
    (None, Equals("n", 1), False),
    ({"n": 1}, Equals("n", 1), True),
    ({"n": 2}, Equals("n", 1), False),
    ({"m": 1}, Equals("n", 1), False),
    ({"n": "1"}, Equals("n", 1), False),
    ({"n": "a"}, Equals("n", "a"), True),
    ({"n": "a"}, Equals("n", "b"), False),
    ({"n": BIG}, Equals("n", BIG), True),
    ({"n": BIG}, Equals("n", BIG - 1), False),
    (None, AbsentOrOlder(SECOND), True),
    ({"n": 1}, AbsentOrOlder(SECOND), True),
    ({"version": Version(2, 4).text}, AbsentOrOlder(SECOND), True),
    ({"version": SECOND.text}, AbsentOrOlder(SECOND), False),
    ({"version": Version(2, 6).text}, AbsentOrOlder(SECOND), False),
    ({"version": Version(1, BIG).text}, AbsentOrOlder(SECOND), True),
    ({"version": Version(3, 0).text}, AbsentOrOlder(SECOND), False),
    ({"sequence": BIG}, AbsentOrOlder(SECOND), True),
    ({"sequence": 9}, AbsentOrOlder(Version(1, 10)), True),
    ({"sequence": 10}, AbsentOrOlder(Version(1, 10)), False),
    ({"sequence": BIG}, AbsentOrOlder(Version(1, BIG)), False),
    ({"sequence": BIG}, AbsentOrOlder(Version(1, MOST_SEQUENCE)), True),
    ({"version": Version(1, MOST_SEQUENCE - 1).text}, AbsentOrOlder(Version(1, MOST_SEQUENCE)), True),
)
"""A row's fields (None: no row), a condition, and whether it holds."""


def check_state_store(make: Callable[[], StateStore], *, has_tables: bool = False) -> None:
    """Whether a state store keeps the contract of `ports.StateStore`.

    Shape:   `make` gives a new, empty store; it is called inside a running loop. `has_tables`: it takes
             writes to users' tables too.
    Raises:  ContractBroken, naming the rule.
    """
    run_async(RULES if has_tables else (*RULES, writes_to_tables_are_refused), make)


async def rows_are_kept_as_they_are(store: StateStore) -> None:
    """A row comes back with all its fields, one that was not written is None, and deleting removes it."""
    fields = {
        "v": 1,
        "text": "ä/%\n",
        "big": BIG,
        "none": None,
        "is": True,
        "list": [[1, 2], "x"],
        "map": {"a": {}},
    }
    same(await store.get("a/b"), None, "a row that was never written")
    await store.transact([Write("a/b", fields), Write("a/ü", {})])
    same(await store.get("a/b"), StateRow("a/b", fields), "the row")
    same(await store.get("a/ü"), StateRow("a/ü", {}), "a row without fields")
    await store.transact([Write("a/b", {"v": 2})])
    same(await store.get("a/b"), StateRow("a/b", {"v": 2}), "the row replaced, not merged")
    await store.transact([Write("a/b", None), Write("a/never", None)])
    same(await store.get("a/b"), None, "the row deleted")


async def what_is_given_is_a_copy(store: StateStore) -> None:
    """Changing a mapping that was written or read changes nothing in the store."""
    fields = {"n": 1}
    await store.transact([Write("a", fields)])
    fields["n"] = 2
    row = await store.get("a")
    if row is not None and isinstance(row.fields, dict):
        row.fields["n"] = 3
    same(await store.get("a"), StateRow("a", {"n": 1}), "the row")


async def queries_follow_the_prefix(store: StateStore) -> None:
    """A query gives every row whose key starts with the prefix, in key order, and no other."""
    keys = [
        "lease/b",
        "lease/a",
        "lease",
        "lease0",
        "leas",
        "lease/a/b",
        "mark/a",
        "lease/ü",
        "lease/\U0010ffff",
    ]
    await store.transact([Write(key, {"key": key}) for key in keys])
    for prefix in ("lease/", "lease", "lease/a", "", "mark/a", "nothing"):
        expected = [StateRow(key, {"key": key}) for key in sorted(keys) if key.startswith(prefix)]
        same(await store.query(prefix), expected, f"query({prefix!r})")


async def queries_come_in_pages(store: StateStore) -> None:
    """A query gives the rows after a key, at most as many as were asked for, as a page of the whole."""
    keys = sorted(["lease/a", "lease/b", "lease/b/1", "lease/c", "lease/ü", "leases", "mark/a"])
    await store.transact([Write(key, {"v": 1}) for key in keys])
    for prefix in ("lease/", "lease", ""):
        for after in ("", "lease/", "lease/b", "lease/bb", "lease/ü", "zz"):
            for limit in (1, 2, 100):
                expected = [key for key in keys if key.startswith(prefix) and key > after][:limit]
                page = [row.key for row in await store.query(prefix, after=after, limit=limit)]
                same(page, expected, f"query({prefix!r}, after={after!r}, limit={limit})")


async def queries_have_no_end(store: StateStore) -> None:
    """A query gives all rows, however many there are."""
    keys = [f"many/{index:05d}" for index in range(2_500)]
    for start in range(0, len(keys), 100):
        await store.transact([Write(key, {"v": 1}) for key in keys[start : start + 100]])
    same([row.key for row in await store.query("many/")], keys, "the keys")


async def counts_are_of_what_a_query_gives(store: StateStore) -> None:
    """A count is how many rows the query of that prefix gives, however many there are."""
    keys = [
        "lease",
        "lease/a",
        "lease/a/b",
        "leases",
        "mark/ü",
        *(f"many/{index:05d}" for index in range(1_500)),
    ]
    for start in range(0, len(keys), 100):
        await store.transact([Write(key, {"v": 1}) for key in keys[start : start + 100]])
    await store.transact([Write("lease/a", None), Write("lease/never", None)])
    for prefix in ("lease/", "lease", "lease/a/", "mark/ü", "nothing/", "many/"):
        same(await store.count(prefix), len(await store.query(prefix)), f"count({prefix!r})")


async def conditions_are_judged(store: StateStore) -> None:
    """Each condition holds exactly when it says so, on a write and on a check."""
    for index, (fields, condition, is_held) in enumerate(TRUTH):
        key = f"row/{index}"
        await store.transact([Write(key, fields)])
        same(await _is_held(store, Check(key, condition)), is_held, f"{condition} checked on {fields}")
        same(await store.get(key), None if fields is None else StateRow(key, fields), "the row, only checked")
        same(await _is_held(store, Write(key, {"new": 1}, condition)), is_held, f"{condition} on {fields}")
        expected = {"new": 1} if is_held else fields
        same(await store.get(key), None if expected is None else StateRow(key, expected), "the row after it")


async def transactions_are_all_or_nothing(store: StateStore) -> None:
    """When one condition does not hold nothing is written, and the conflict names the first that does not."""
    await store.transact([Write("lease", {"epoch": 3})])
    writes: list[Action] = [
        Write("checkpoint", {"watermark": 9}),
        Check("lease", Equals("epoch", 2)),
        Write("lease", None),
        Write("dead", {}, Equals("never", 1)),
    ]
    same(await _conflict(store, writes), 1, "the index of the conflict")
    same([row.key for row in await store.query("")], ["lease"], "the rows after it")
    writes[1] = Check("lease", Equals("epoch", 3))
    same(await _conflict(store, writes), 3, "the index of the conflict in the last place")
    same([row.key for row in await store.query("")], ["lease"], "the rows after it")
    await store.transact(writes[:3])
    same([row.key for row in await store.query("")], ["checkpoint"], "the rows when all conditions hold")


async def one_of_many_takers_wins(store: StateStore) -> None:
    """Of many that take the same absent row at the same time, exactly one succeeds."""
    takers = [_is_held(store, Write("lease", {"owner": number}, Absent())) for number in range(8)]
    won = await asyncio.gather(*takers)
    same(sum(won), 1, "how many succeeded")
    same(await store.get("lease"), StateRow("lease", {"owner": won.index(True)}), "the row")


async def writes_to_tables_are_refused(store: StateStore) -> None:
    """A write to a user's table is refused with SettingsError before anything is written."""
    item = ItemWrite("Put", {"TableName": "t", "Item": {"pk": {"S": "a"}}})
    try:
        await store.transact([Write("a", {"v": 1}), item])
    except SettingsError:
        same(await store.get("a"), None, "the row beside it")
        return
    raise ContractBroken("nothing was raised")


async def _is_held(store: StateStore, write: Action) -> bool:
    return await _conflict(store, [write]) is None


async def _conflict(store: StateStore, writes: Sequence[Action]) -> int | None:
    try:
        await store.transact(writes)
    except StateConflict as conflict:
        return conflict.index
    return None


RULES: Final[tuple[Callable[[StateStore], Awaitable[None]], ...]] = (
    rows_are_kept_as_they_are,
    what_is_given_is_a_copy,
    queries_follow_the_prefix,
    queries_come_in_pages,
    queries_have_no_end,
    counts_are_of_what_a_query_gives,
    conditions_are_judged,
    transactions_are_all_or_nothing,
    one_of_many_takers_wins,
)
