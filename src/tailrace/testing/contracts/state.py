"""The contract of `StateStore`.

Theory of operation: most rules work with one store. Those of state_writers.py have two over the same rows,
as two workers have, and write with both at once.
Rules of this file: conditions are judged on what was there before the transaction, and none of it is written
when one of them does not hold. Called by tests/contracts and by users.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from typing import Any, Final

from tailrace.errors import InternalError, SettingsError, StateConflict
from tailrace.ports import Action, ItemWrite, StateStore
from tailrace.rows.bounds import MOST_BYTES, MOST_TOGETHER
from tailrace.rows.kinds import CHECKPOINT, DEADLETTER, HEAD, PARKED
from tailrace.rows.writes import Absent, AbsentOrOlder, Check, Condition, Equals, StateRow, Write
from tailrace.streams.version import MOST_SEQUENCE, Version
from tailrace.testing.contracts.rules import ContractBroken, run_async, same
from tailrace.testing.contracts.state_writers import RULES_OF_TWO, WriterPair

BIG: Final = (1 << 63) - 1
KEY_BYTES: Final = 2_048 + 1_024
"""What the keys of an item may have, partition key and sort key together."""
IMAGE_BYTES: Final = 400 * 1_024
WINDOW_BYTES: Final = 1 << 20
"""The state of a tumbling window."""
MOST_ROWS: Final = 100
"""Of one transaction."""
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


def check_state_store(
    make: Callable[[], StateStore],
    *,
    has_tables: bool = False,
    again: Callable[[Any], StateStore] | None = None,
) -> None:
    """Whether a state store keeps the contract of `ports.StateStore`.

    Shape:   `make` gives a new, empty store; it is called inside a running loop. `has_tables`: it takes
             writes to users' tables too. `again(store)` gives another store over the same rows, as another
             worker has it; without it the same one writes twice at once.
    Raises:  ContractBroken, naming the rule.
    """

    def pair() -> WriterPair:
        first = make()
        return WriterPair(first, first if again is None else again(first))

    of_one = RULES if has_tables else (*RULES, writes_to_tables_are_refused)
    run_async((*map(_on_one, of_one), *RULES_OF_TWO), pair)


def _on_one(rule: Callable[[StateStore], Awaitable[None]]) -> Callable[[WriterPair], Awaitable[None]]:
    @wraps(rule)
    async def on_one(pair: WriterPair) -> None:
        await rule(pair.one)

    return on_one


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


async def long_keys_are_kept_apart(store: StateStore) -> None:
    """Rows of items whose keys have 2,048 + 1,024 bytes are apart from each other, in key order, in pages."""
    shared = "a5" * (KEY_BYTES - 2)
    items = [f"{shared}{number:04x}" for number in (0x9C01, 0x0000, 0xFFFF, 0x4D00)] + ["a5", shared, "ff"]
    keys = sorted(
        [HEAD.key("shop", "mail", item) for item in items]
        + [PARKED.key("shop", "mail", item, Version(1, n).text) for item in items for n in (1, 2, 1 << 70)]
    )
    for start in range(0, len(keys), 10):
        await store.transact([Write(key, {"key": key}, Absent()) for key in keys[start : start + 10]])
    for key in keys:
        same(await store.get(key), StateRow(key, {"key": key}), "a row of an item with a long key")
    long = items[2]
    for prefix in (
        HEAD.prefix("shop", "mail"),
        PARKED.prefix("shop", "mail"),
        PARKED.prefix("shop", "mail", long),
        f"parked/shop/mail/{shared[:5_000]}",
        f"parked/shop/mail/{shared[:300]}",
    ):
        expected = [key for key in keys if key.startswith(prefix)]
        same([row.key for row in await store.query(prefix)], expected, f"the keys of {len(prefix)} letters")
        same(await store.count(prefix), len(expected), f"the count for {len(prefix)} letters")
        seen: list[str] = []
        for _ in range(len(expected) + 1):
            page = await store.query(prefix, after=seen[-1] if seen else "", limit=2)
            seen += [row.key for row in page]
        same(seen, expected, f"the keys of {len(prefix)} letters, in pages of two")
    head = HEAD.key("shop", "mail", long)
    same(await _conflict(store, [Write(head, None, Equals("key", keys[0]))]), 0, "another row's condition")
    await store.transact([Write(head, None, Equals("key", head))])
    same(await store.get(head), None, "the row deleted")


async def large_rows_are_kept_whole(store: StateStore) -> None:
    """Letters with two images of 400 KB and a window's state of 1 MB come back whole, and go."""
    image = ('ä"' * IMAGE_BYTES)[: IMAGE_BYTES * 2 // 3]
    letters = {
        DEADLETTER.key("shop", "mail", Version(1, number).text): {
            "v": 3,
            "old": image,
            "new": f"{number}{image}",
        }
        for number in (1, 2)
    }
    checkpoint = CHECKPOINT.key("shop", "mail", "label", "shard-1")
    saved = {"v": 4, "epoch": 3, "window": [0, 60_000, "w" * WINDOW_BYTES]}
    await store.transact([Write(key, fields, Absent()) for key, fields in letters.items()])
    await store.transact([Write(checkpoint, saved)])
    prefix = DEADLETTER.prefix("shop", "mail")
    same(await store.get(checkpoint), StateRow(checkpoint, saved), "a window's state")
    rows = await store.query(prefix)
    same(rows == [StateRow(key, fields) for key, fields in letters.items()], True, "the letters are whole")
    smaller = {**saved, "window": None}
    await store.transact([Write(checkpoint, {**saved, "epoch": 4}, Equals("epoch", 3))])
    same(
        await _conflict(store, [Write(checkpoint, smaller, Equals("epoch", 3))]), 0, "a save of another epoch"
    )
    same(
        await store.get(checkpoint),
        StateRow(checkpoint, {**saved, "epoch": 4}),
        "the state of the next epoch",
    )
    await store.transact([Write(checkpoint, smaller, Equals("epoch", 4))])
    same(await store.get(checkpoint), StateRow(checkpoint, smaller), "the row when the window is closed")
    await store.transact([Write(key, None, Equals("v", 3)) for key in letters])
    same((await store.query(prefix), await store.count(prefix)), ([], 0), "the letters when they are deleted")


async def a_hundred_rows_are_one_transaction(store: StateStore) -> None:
    """A transaction of a hundred rows, each with its condition, is written whole or not at all."""
    keys = [f"row/{number:03d}" for number in range(MOST_ROWS)]
    await store.transact([Write(key, {"n": 1}, Absent()) for key in keys])
    same(len(await store.query("row/")), MOST_ROWS, "how many rows there are")
    writes: list[Action] = [
        Check(key, Equals("n", 1)) if number % 2 else Write(key, {"n": 2}, Equals("n", 1))
        for number, key in enumerate(keys)
    ]
    last = len(writes) - 1
    wrong: list[Action] = [*writes[:last], Check(keys[last], Equals("n", 3))]
    same(await _conflict(store, wrong), last, "the index of the conflict in the last of a hundred")
    same({row.fields["n"] for row in await store.query("row/")}, {1}, "the rows after it")
    await store.transact(writes)
    expected = [1 if number % 2 else 2 for number in range(MOST_ROWS)]
    same(
        [row.fields["n"] for row in await store.query("row/")], expected, "the rows when all conditions hold"
    )


async def a_row_may_be_named_twice(store: StateStore) -> None:
    """Conditions on a row that is named twice are judged on what was there before; its last write stays."""
    await store.transact([Write("a", {"n": 1})])
    twice: list[Action] = [
        Check("a", Equals("n", 1)),
        Write("a", {"n": 2}),
        Write("a", {"n": 3}, Equals("n", 1)),
    ]
    await store.transact(twice)
    same(await store.get("a"), StateRow("a", {"n": 3}), "the row")
    same(await _conflict(store, twice) in (0, 2), True, "a conflict of one of its conditions")
    same(await store.get("a"), StateRow("a", {"n": 3}), "the row after it")


async def what_no_transaction_takes_is_refused(store: StateStore) -> None:
    """A row more than a hundred is refused, a hundredth where some row or all of them are large: nothing is
    written.
    """
    small: list[Action] = [Write(f"row/{number:03d}", {"n": 1}) for number in range(MOST_ROWS)]
    large = [*small[:-1], Write("row/large", {"image": "x" * MOST_BYTES})]
    share = "x" * (MOST_TOGETHER // MOST_ROWS)
    together = [Write(f"row/{number:03d}", {"image": share}) for number in range(MOST_ROWS)]
    refused: list[list[Action]] = [[*small, Check("row/more", Absent())], large, [*together]]
    for writes in refused:
        try:
            await store.transact(writes)
        except InternalError:
            same(await store.count("row/"), 0, "how many rows were written")
        else:
            raise ContractBroken(f"a transaction of {len(writes)} rows was taken")
    again = Write("row/000", {"n": 2}, Absent())
    await store.transact([*small, again])
    same(await store.count("row/"), MOST_ROWS, "rows of a hundred, of which one is named twice")


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
    long_keys_are_kept_apart,
    large_rows_are_kept_whole,
    a_hundred_rows_are_one_transaction,
    a_row_may_be_named_twice,
    what_no_transaction_takes_is_refused,
    one_of_many_takers_wins,
)
