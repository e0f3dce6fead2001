"""What rows and records are checked with: a checksum of each, and the number and the sum of them for each
table and each shard.

Theory of operation: the checksum of a row is over its table's number, its key and its value, so that neither
a flipped bit nor a value in another's place goes unseen. What vanishes takes its checksum with it: so the
store also keeps, in the commit that changes them, how many rows with a checksum each table has and what these
add up to. Sums do not depend on the order.
Rules of this file: arithmetic on values and one small table; no decisions. Checksums are for accidents, not
for forgers. Layout: docs/formats/store.md. Called by `stores.sqlite` and `stores.checking`.
"""

import sqlite3
from collections.abc import Iterable
from typing import Final, TypeAlias

from isal.isal_zlib import crc32

ROWS: Final = 0
RECORDS: Final = 1
"""The kinds of sums: of a table's rows, of a shard's records."""
Counted: TypeAlias = tuple[int, int]
"""How many, and what their checksums add up to. Fits SQLite's integers for two thousand million rows."""
NOTHING: Final[Counted] = (0, 0)
READ: Final = "SELECT kind, number, count, total FROM sums"
WRITE: Final = (
    "INSERT INTO sums VALUES(?,?,?,?) ON CONFLICT(kind, number) DO UPDATE SET count=excluded.count, "
    "total=excluded.total"
)
COUNT: Final = {
    ROWS: "SELECT hex(substr(key, 1, 4)), count(*), sum(sum) FROM items WHERE sum IS NOT NULL GROUP BY "
    "substr(key, 1, 4)",
    RECORDS: "SELECT hex(substr(key, 1, 8)), count(*), sum(sum) FROM log WHERE sum IS NOT NULL GROUP BY "
    "substr(key, 1, 8)",
}
UNCOUNTED: Final = "uncounted"
"""A row of `meta`: a node ran without checksums, so that the sums were not kept."""
REMOVE: Final = "DELETE FROM sums WHERE kind=? AND number=?"


def row_sum(table: int, key: bytes, value: bytes) -> int:
    """The checksum of a row. Units: 32 bits, unsigned. Raises: TypeError for a value that is no bytes, which
    is damage too.

    >>> row_sum(16, b"a", b"1") == row_sum(17, b"a", b"1"), row_sum(16, b"a", b"1") == row_sum(16, b"b", b"1")
    (False, False)
    """
    return crc32(value, crc32(key, table))


def record_sum(key: bytes, header: bytes, old: bytes | None, new: bytes | None) -> int:
    """The checksum of a record of the log: its shard and sequence number (the log's key), header, both
    images. Raises: TypeError.
    """
    begin = 0 if old is None else len(old) + 1  # tells an image that is not there from an empty one
    return crc32(b"".join((key, header, old or b"", new or b"")), begin)


def open_sums(connection: sqlite3.Connection, *, is_wanted: bool | None) -> "Sums | None":
    """The sums of a file that is opened for writing; without checksums none are kept, and who wants them next
    counts all rows anew.

    Shape:   None: as the last owner of the file had it.

    Raises:  sqlite3.Error.
    """
    is_counted = connection.execute("SELECT 1 FROM meta WHERE name=?", (UNCOUNTED,)).fetchone() is None
    if is_wanted is None:
        is_wanted = is_counted
    if not is_wanted:
        connection.executescript(
            f"BEGIN IMMEDIATE; DELETE FROM sums; INSERT OR REPLACE INTO meta VALUES('{UNCOUNTED}', 1); COMMIT"
        )
        return None
    if not is_counted:
        connection.execute("BEGIN IMMEDIATE")
        for kind, query in COUNT.items():
            rows = [
                (kind, int(number, 16), count, total) for number, count, total in connection.execute(query)
            ]
            connection.executemany(WRITE, rows)
        connection.execute("DELETE FROM meta WHERE name=?", (UNCOUNTED,))
        connection.execute("COMMIT")
    sums = Sums(connection.execute(READ))
    connection.create_function("sum_replaced", 3, sums.replaced)
    connection.create_function("sum_gone", 2, sums.gone)
    return sums


class Sums:
    """The numbers and sums of all tables and shards, as they are kept and as the commit under way changes
    them.

    Guarantee: `write` writes them in the transaction of that commit; without `committed` after it nothing has
               changed here.
    """

    def __init__(self, rows: Iterable[tuple[int, int, int, int]]) -> None:
        self.counted = {(kind, number): (count, total) for kind, number, count, total in rows}
        self._changing: dict[tuple[int, int], list[int]] = {}
        self._written: dict[tuple[int, int], Counted] = {}

    def begin(self) -> None:
        """Another commit: what one that failed has left is forgotten."""
        self._changing = {}

    def changing(self, kind: int, number: int) -> list[int]:
        """By how many, and by which sum, the commit under way has changed a table's rows or a shard's
        records: to be added to.
        """
        place = (kind, number)
        entry = self._changing.get(place)
        if entry is None:
            entry = self._changing[place] = [0, 0]
        return entry

    def add(self, kind: int, number: int, count: int, total: int) -> None:
        """So many more (or fewer), with this sum."""
        entry = self.changing(kind, number)
        entry[0] += count
        entry[1] += total

    def replaced(self, table: int, old: object, new: int) -> int:
        """SQLite's function in an upsert: the row had the checksum `old`, None if it had none, and has `new`
        from now on.
        """
        if old is not None:
            # As `gone`: SQLite calls this for each row that is written again.
            entry = self._changing[ROWS, table]
            entry[0] -= 1
            if isinstance(old, int):
                entry[1] -= old
        return new

    def gone(self, table: int, old: object) -> int:
        """SQLite's function in a deletion: the row had the checksum `old`. Always true."""
        if old is not None:
            self.add(ROWS, table, -1, -old if isinstance(old, int) else 0)
        return 1

    def write(self, connection: sqlite3.Connection) -> None:
        """Write what has changed. Raises: sqlite3.Error."""
        counted, written, rows = self.counted, dict[tuple[int, int], Counted](), []
        for place, (count, total) in self._changing.items():
            before = counted.get(place, NOTHING)
            after = (before[0] + count, before[1] + total)
            if after != before:
                written[place] = after
                rows.append(place + after)
        self._written = written
        connection.executemany(WRITE, rows)
        if NOTHING in written.values():
            connection.executemany(REMOVE, [place for place, after in written.items() if after == NOTHING])

    def committed(self) -> None:
        """What was written stands."""
        self.counted.update(self._written)
        if NOTHING in self._written.values():
            self.counted = {place: counted for place, counted in self.counted.items() if counted != NOTHING}
