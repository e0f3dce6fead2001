"""The contract of `Store`.

Rules of this file: rows and records only, through the five methods and `Standing`; expected answers come from
a dictionary and plain loops, so that no adapter can be wrong in the same way. Called by tests/contracts and
by users.
"""

import threading
from collections.abc import Callable
from functools import partial
from typing import Final

from tailrace.errors import DamagedData, StoreError
from tailrace.ports import Commit, LogRow, Row, Standing, Store, Trim
from tailrace.testing.contracts.rules import ContractBroken, holds, refused, run, same

KEYS: Final = (
    b"",
    b"\0",
    b"\0\0",
    b"\0a",
    b"a",
    b"a\0",
    b"a\0\xff",
    b"a\1",
    b"aa",
    b"ab",
    b"b" * 2_000,
    b"\xfe",
    b"\xff",
    b"\xff\xff",
    b"\xff\xff\0",
)
"""In order. Prefixes of each other, zero bytes, the highest byte, a long one."""
TABLE: Final = 16
LAST_SEQUENCE: Final = (1 << 63) - 1
Reopen = Callable[[Store], Store]
Damage = Callable[[Store, bytes], Store]
"""Closes a store, flips a bit of every value and image with these first bytes, and opens it again."""


def check_store(
    make: Callable[[], Store],
    *,
    reopen: Reopen | None = None,
    damage: Damage | None = None,
    commits_in_thread: bool = False,
) -> None:
    """Whether a store keeps the contract of `ports.Store`.

    Shape:   `make` gives a new, empty store. `reopen`, for stores that last, closes a store and opens its
             data again. `damage`, for stores that know what they wrote, closes one, flips a bit of every
             value and image that begins with the bytes it is given, and opens its data again.
             `commits_in_thread`: it promises that commits in one other thread and reads may overlap.
    Raises:  ContractBroken, naming the rule.
    """
    run(RULES, make)
    if reopen is not None:
        run([_with_reopen(reopen)], make)
    if damage is not None:
        run([_with_damage(damage)], make)
    if commits_in_thread:
        run([reads_see_whole_commits_of_another_thread], make)


def _with_reopen(reopen: Reopen) -> Callable[[Store], None]:
    def rule(store: Store) -> None:
        data_outlives_the_store(store, reopen)

    rule.__doc__ = data_outlives_the_store.__doc__
    return rule


def _with_damage(damage: Damage) -> Callable[[Store], None]:
    def rule(store: Store) -> None:
        damage_is_never_answered(store, damage)

    rule.__doc__ = damage_is_never_answered.__doc__
    return rule


# ---- rows --------------------------------------------------------------------------------------------------


def rows_are_kept_as_they_are(store: Store) -> None:
    """A row that was committed is read back byte for byte, and one that was not is None."""
    same(store.get(TABLE, b"a"), None, "an empty store's row")
    values = {key: bytes([index]) * index for index, key in enumerate(KEYS)}
    store.commit(Commit([Row(TABLE, key, value) for key, value in values.items()]))
    for key, value in values.items():
        same(store.get(TABLE, key), value, f"the row {key[:9]!r}")
    same(store.get(TABLE, b"absent"), None, "a row that was never written")


def tables_are_apart(store: Store) -> None:
    """The same key in two tables is two rows, and a table's end is not the next table's begin."""
    store.commit(Commit([Row(table, b"k", b"%d" % table) for table in (0, 1, 255, 256, TABLE)]))
    for table in (0, 1, 255, 256, TABLE):
        same(store.get(table, b"k"), b"%d" % table, f"table {table}")
        same(store.query(table, b"", None, 9), [(b"k", b"%d" % table)], f"all of table {table}")
        same(
            store.query(table, b"", None, 9, reverse=True),
            [(b"k", b"%d" % table)],
            f"table {table}, reversed",
        )


def later_rows_win(store: Store) -> None:
    """Rows take effect in the order of the commit: the last one of a key stays, None deletes."""
    store.commit(
        Commit(
            [Row(TABLE, b"a", b"1"), Row(TABLE, b"a", b"2"), Row(TABLE, b"b", b"1"), Row(TABLE, b"b", None)]
        )
    )
    same((store.get(TABLE, b"a"), store.get(TABLE, b"b")), (b"2", None), "put twice; put and deleted")
    store.commit(
        Commit(
            [Row(TABLE, b"a", None), Row(TABLE, b"b", None), Row(TABLE, b"b", b""), Row(TABLE, b"c", None)]
        )
    )
    same((store.get(TABLE, b"a"), store.get(TABLE, b"b")), (None, b""), "deleted; deleted and put empty")
    same(store.query(TABLE, b"", None, 9), [(b"b", b"")], "what is left")


def ranges_are_exact(store: Store) -> None:
    """A query gives the rows with first <= key < last, in order or reversed, up to its limit."""
    store.commit(Commit([Row(TABLE, key, key[:3]) for key in reversed(KEYS)]))
    store.commit(Commit([Row(TABLE - 1, b"\xff", b"x"), Row(TABLE + 1, b"", b"x")]))
    bounds: tuple[bytes | None, ...] = (*KEYS, b"`", b"zz", None)
    for first in (*KEYS, b"`", b"zz"):
        for last in bounds:
            within = [(key, key[:3]) for key in KEYS if first <= key and (last is None or key < last)]
            for limit in (1, 2, len(KEYS) + 1):
                where = f"query({first[:9]!r}, {last and last[:9]!r}, {limit}"
                same(store.query(TABLE, first, last, limit), within[:limit], f"{where})")
                reverse = store.query(TABLE, first, last, limit, reverse=True)
                same(reverse, within[::-1][:limit], f"{where}, reverse=True)")


def reads_are_never_old(store: Store) -> None:
    """A read sees every commit that returned before it, and an answer does not change afterwards."""
    store.commit(Commit([Row(TABLE, b"%03d" % index, b"old") for index in range(300)]))
    before = store.query(TABLE, b"", None, 100)
    store.commit(Commit([Row(TABLE, b"%03d" % index, b"new") for index in range(300)]))
    same({value for _, value in before}, {b"old"}, "the answer given before the commit")
    same({value for _, value in store.query(TABLE, b"", None, 300)}, {b"new"}, "the answer after it")


# ---- logs --------------------------------------------------------------------------------------------------


def records_are_kept_in_order(store: Store) -> None:
    """A shard's records come back whole, in the order of their numbers, after a number and up to a limit."""
    sequences = (1, 2, 9, 10, 255, 256, 1 << 32, 1 << 62, LAST_SEQUENCE)
    images: tuple[bytes | None, ...] = (None, b"", b"{}")
    rows = [
        LogRow(shard, sequence, b"h%d" % sequence, images[index % 3], images[(index + shard) % 3])
        for shard in (7, 8)
        for index, sequence in enumerate(sequences)
    ]
    for row in rows:
        store.commit(Commit(log=[row]))
    for shard in (7, 8):
        mine = [row for row in rows if row.shard == shard]
        for after in (0, *sequences, 3, 1 << 40):
            for limit in (1, 3, 99):
                expected = [row for row in mine if row.sequence > after][:limit]
                same(store.read_log(shard, after, limit), expected, f"read_log({shard}, {after}, {limit})")
                before = [row for row in reversed(mine) if row.sequence < after][:limit]
                where = f"read_log({shard}, {after}, {limit}, reverse=True)"
                same(store.read_log(shard, after, limit, reverse=True), before, where)
    same(store.read_log(6, 0, 9), [], "a shard without records")
    same(store.read_log(6, LAST_SEQUENCE, 9, reverse=True), [], "the same, reversed")


def trims_are_exact(store: Store) -> None:
    """A trim removes the records of its shard up to and including its number, and nothing else."""
    store.commit(Commit(log=[_record(shard, sequence) for shard in (1, 2, 3) for sequence in range(1, 6)]))
    store.commit(Commit(log=[_record(2, 9)], trims=[Trim(2, 3), Trim(4, 100)]))
    same(_numbers(store, 2), [4, 5, 9], "the trimmed shard")
    same((_numbers(store, 1), _numbers(store, 3)), ([1, 2, 3, 4, 5],) * 2, "its neighbours")
    store.commit(Commit(trims=[Trim(2, LAST_SEQUENCE)]))
    same(_numbers(store, 2), [], "the shard trimmed to its end")


# ---- commits -----------------------------------------------------------------------------------------------


def a_failed_commit_leaves_nothing(store: Store) -> None:
    """A commit is all or nothing: one that repeats a record raises StoreError, and nothing of it is there."""
    store.commit(Commit([Row(TABLE, b"a", b"1")], [_record(1, 5), _record(1, 6)]))
    again = Commit(
        [Row(TABLE, b"a", b"2"), Row(TABLE, b"b", b"2")], [_record(1, 7), _record(1, 5)], [Trim(1, 6)]
    )
    refused(StoreError, lambda: store.commit(again), "a record's number used twice")
    same(store.query(TABLE, b"", None, 9), [(b"a", b"1")], "the rows after it")
    same(_numbers(store, 1), [5, 6], "the records after it")
    store.commit(Commit([Row(TABLE, b"b", b"3")], [_record(1, 7)]))
    same((store.get(TABLE, b"b"), _numbers(store, 1)), (b"3", [5, 6, 7]), "the commit that follows")


def rows_records_and_trims_are_one(store: Store) -> None:
    """Rows, records and trims of a commit appear together; asking for a sync changes nothing that is seen."""
    store.commit(Commit([Row(TABLE, b"a", b"1")], [_record(1, 1)], sync=True))
    store.commit(Commit([Row(TABLE, b"a", None)], [_record(1, 2)], [Trim(1, 1)], sync=True))
    same((store.get(TABLE, b"a"), _numbers(store, 1)), (None, [2]), "after two synced commits")
    store.commit(Commit())
    same(_numbers(store, 1), [2], "after an empty commit")


def standing_rows_stay(store: Store) -> None:
    """Rows that are held as of a moment (`ports.Standing`, for stores that can) are those of that moment."""
    if not isinstance(store, Standing):
        return
    rows = [Row(TABLE, key, b"before") for key in KEYS]
    store.commit(Commit([*rows, Row(TABLE + 1, b"", b"another table's")]))
    held = store.standing()
    store.commit(Commit([Row(TABLE, b"a", b"after"), Row(TABLE, b"aa", None), Row(TABLE, b"new", b"after")]))
    before = [(key, b"before") for key in KEYS]
    same(held.query(TABLE, b"", 100), before, "the rows of the moment")
    same(held.query(TABLE, b"", 3), before[:3], "the first three of them")
    same(held.query(TABLE, KEYS[5] + b"\0", 4), before[6:10], "four of them behind a key")
    held.close()
    held.close()
    same(store.get(TABLE, b"new"), b"after", "a row that was written while a moment was held")


def closing_is_repeatable(store: Store) -> None:
    """A store may be closed twice."""
    store.commit(Commit([Row(TABLE, b"a", b"1")]))
    store.close()
    store.close()


def data_outlives_the_store(store: Store, reopen: Reopen) -> None:
    """What was committed is there when the store is opened again."""
    store.commit(Commit([Row(TABLE, b"a", b"1"), Row(TABLE, b"b", b"1")], [_record(1, 1), _record(1, 2)]))
    store.commit(Commit([Row(TABLE, b"b", None)], [_record(1, 3)], [Trim(1, 1)]))
    again = reopen(store)
    try:
        same(again.query(TABLE, b"", None, 9), [(b"a", b"1")], "its rows")
        same(_numbers(again, 1), [2, 3], "its records")
    finally:
        again.close()


def damage_is_never_answered(store: Store, damage: Damage) -> None:
    """What is not what was committed is a DamagedData that names it, and the rest is read."""
    rows = [Row(TABLE, b"a", b"good"), Row(TABLE, b"b", b"flip"), Row(TABLE, b"c", b"good")]
    log = [
        LogRow(1, 1, b"h", None, b"good"),
        LogRow(1, 2, b"h", b"flip", b"good"),
        LogRow(1, 3, b"h", b"x", b"flip"),
    ]
    store.commit(Commit(rows, log))
    again = damage(store, b"flip")
    try:
        for method, read in (
            ("get", lambda: again.get(TABLE, b"b")),
            ("query", lambda: again.query(TABLE, b"", None, 9)),
        ):
            error = refused(DamagedData, read, f"{method} of a damaged row")
            same((error.table, error.key), (TABLE, b"b"), f"what the error of {method} names")
        same(again.get(TABLE, b"a"), b"good", "a row beside it")
        same(again.query(TABLE, b"c", None, 9), [(b"c", b"good")], "the rows behind it")
        for after in (1, 2):
            error = refused(DamagedData, partial(again.read_log, 1, after, 9), "a damaged record")
            same((error.shard, error.sequence), (1, after + 1), "the record that the error names")
            last = partial(again.read_log, 1, after + 2, 1, reverse=True)
            error = refused(DamagedData, last, "a damaged last record")
            same((error.shard, error.sequence), (1, after + 1), "the last record that the error names")
        same([row.sequence for row in again.read_log(1, 0, 1)], [1], "the record before it")
    finally:
        again.close()


def reads_see_whole_commits_of_another_thread(store: Store) -> None:
    """While another thread commits, a read sees a commit whole or not, and what is done stays seen."""
    rounds = 60
    done, stopped = threading.Event(), threading.Event()
    failed: list[BaseException] = []

    def write() -> None:
        try:
            for number in range(1, rounds + 1):
                if stopped.is_set():
                    return
                value = b"%04d" % number
                rows = [Row(TABLE, b"%02d" % index, value) for index in range(20)]
                store.commit(Commit(rows, [_record(1, number)]))
        except BaseException as error:  # told by the thread that waits for this one
            failed.append(error)
        finally:
            done.set()

    writer = threading.Thread(target=write)
    writer.start()
    latest = 0
    try:
        while not done.is_set():
            latest = _one_look(store, latest)
    finally:
        stopped.set()  # the store is closed next, and no thread may be writing then
        writer.join()
    if failed:
        raise failed[0]
    same(_one_look(store, latest), rounds, "the last commit that is seen")


def _one_look(store: Store, latest: int) -> int:
    rows = store.query(TABLE, b"", None, 20)
    values = {value for _, value in rows}
    if len(values) > 1 or len(rows) not in (0, 20):
        raise ContractBroken(f"one query saw parts of several commits: {sorted(values)}")
    seen = int(values.pop()) if values else 0
    holds(seen >= latest, f"a query saw commit {seen} after one had seen {latest}")
    numbers = _numbers(store, 1)
    same(numbers, list(range(1, len(numbers) + 1)), "the records")
    holds(len(numbers) >= seen, f"the rows of commit {seen} were there before its record")
    return seen


def _record(shard: int, sequence: int) -> LogRow:
    return LogRow(shard, sequence, b"header", None, b"{}")


def _numbers(store: Store, shard: int) -> list[int]:
    return [row.sequence for row in store.read_log(shard, 0, 1_000)]


RULES: Final[tuple[Callable[[Store], None], ...]] = (
    rows_are_kept_as_they_are,
    tables_are_apart,
    later_rows_win,
    ranges_are_exact,
    reads_are_never_old,
    records_are_kept_in_order,
    trims_are_exact,
    a_failed_commit_leaves_nothing,
    rows_records_and_trims_are_one,
    standing_rows_stay,
    closing_is_repeatable,
)
