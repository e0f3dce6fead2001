"""Whole tables as of a moment, folded by DuckDB over segments, and what a journal lacks in time.

Theory of operation: the row of each key with the largest version that was created by then; a key that has
none yet was as its next change found it. That is the law of core/past.py where nothing is lost, written as
SQL; tests hold the two against each other. Changes that the live stream alone has are rows of a table beside
the files.
Rules of this file: reads only; what asks DuckDB blocks, and callers run it in a thread, but for what they
await. Texts that go into SQL are quoted here: a relation is asked after its making, and takes no parameters.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from msgspec import Struct

from tailrace.journal.core.change import JournalChange
from tailrace.journal.core.records import SCAN
from tailrace.journal.run.opening import check_installed, told_by_duckdb
from tailrace.runtime.threads import in_thread
from tailrace.streams.version import SEQUENCE_BYTES

COLUMNS: Final = "key, generation, sequence, created_us, event, old, new, origin, shard, ancestry"
LIVE: Final = "tailrace_live"
GIVEN: Final = "tailrace_given"
CHANGES: Final = f"origin IS DISTINCT FROM '{SCAN}'"
MEMORY: Final = "512MB"
LATEST_US: Final = (1 << 63) - 1
AT_ONCE: Final = 2_000
"""So many rows of a long answer are taken at a time."""


class Rows(Struct, frozen=True):
    """What is asked: segments on this machine's disk, and changes that no segment has. Shape: `scratch` is a
    folder for what does not fit into memory; `generation` that of all of them, None: there may be several.
    `inexact_us` is that of `Coverage`.
    """

    paths: tuple[str, ...]
    live: tuple[JournalChange, ...]
    scratch: str
    generation: int | None = None
    inexact_us: int | None = None

    @property
    def sql(self) -> str:
        """All that count: rows of a base without exact versions only where no change tells more."""
        if self.inexact_us is None:
            return self._all
        told = f"SELECT key FROM {self._all} WHERE {CHANGES} AND created_us <= {self.inexact_us}"
        return f"(SELECT {COLUMNS} FROM {self._all} WHERE {CHANGES} OR key NOT IN ({told}))"

    @property
    def _all(self) -> str:
        parts = []
        if self.paths:
            files = ", ".join(_text(path) for path in self.paths)
            parts.append(f"SELECT {COLUMNS} FROM read_parquet([{files}])")
        if self.live or not parts:
            parts.append(f"SELECT {COLUMNS} FROM {LIVE}")
        return f"({' UNION ALL '.join(parts)})"


class PastRelation(Struct, frozen=True):
    """A relation and what keeps it: DuckDB's connection."""

    relation: Any
    connection: Any


def as_of_sql(rows: Rows, at_us: int, told_us: int | None) -> str:
    """One row for each item that was there at a moment: key, generation, sequence, created_us, item.

    Shape:   with `told_us` also those of which the first that is told came later, until then: without a
             version, for it was so when the journal began.
    """
    then = _newest_sql(rows, at_us)
    if told_us is not None:
        then = (
            f"({then}) UNION ALL (SELECT key, NULL, NULL, NULL, "
            f"CASE WHEN origin = '{SCAN}' THEN new ELSE old END "
            f"FROM {rows.sql} WHERE created_us <= {told_us} "
            f"AND key NOT IN (SELECT key FROM {rows.sql} WHERE created_us <= {at_us}) "
            "QUALIFY row_number() OVER (PARTITION BY key ORDER BY generation, sequence, "
            f"origin IS NOT DISTINCT FROM '{SCAN}') = 1)"
        )
    return f"SELECT key, generation, sequence, created_us, item FROM ({then}) WHERE item IS NOT NULL"


def _newest_sql(rows: Rows, at_us: int) -> str:
    """The newest change of each key by then, deletions too. Inside one generation the sequence decides, which
    needs no window.
    """
    if rows.generation is not None:
        return (
            f"SELECT key, {rows.generation} AS generation, max(sequence) AS sequence, "
            "arg_max(created_us, sequence) AS created_us, arg_max_null(new, sequence) AS item "
            f"FROM {rows.sql} WHERE created_us <= {at_us} GROUP BY key"
        )
    return (
        f"SELECT key, generation, sequence, created_us, new AS item FROM {rows.sql} "
        f"WHERE created_us <= {at_us} QUALIFY row_number() OVER "
        "(PARTITION BY key ORDER BY generation DESC, sequence DESC) = 1"
    )


def changed_sql(rows: Rows, since_us: int, until_us: int) -> str:
    """All changes of the keys that have one between two moments, by key and version."""
    return (
        f"SELECT {COLUMNS} FROM {rows.sql} WHERE key IN (SELECT key FROM {rows.sql} "
        f"WHERE created_us > {since_us} AND created_us <= {until_us}) ORDER BY key, generation, sequence"
    )


def keyed_sql(rows: Rows, first: bytes, end: bytes | None) -> str:
    """All changes of a range of keys, by key and version: key, generation, sequence, old, new, and whether
    it is of the base.
    """
    is_state = f"origin IS NOT DISTINCT FROM '{SCAN}'"
    return (
        f"SELECT key, generation, sequence, old, new, {is_state} FROM {rows.sql} "
        f"WHERE {_range(first, end)} ORDER BY key, generation, sequence, {is_state}"
    )


def newest_sql(rows: Rows, first: bytes, end: bytes | None) -> str:
    """The newest change of each key of a range, deletions too, by key: as `keyed_sql`."""
    return (
        f"SELECT key, generation, sequence, NULL, item, false FROM ({_newest_sql(rows, LATEST_US)}) "
        f"WHERE {_range(first, end)} ORDER BY key"
    )


def count_sql(rows: Rows, *, is_of_keys: bool) -> str:
    """How many changes there are, or keys."""
    return f"SELECT count({'DISTINCT key' if is_of_keys else '*'}) FROM {rows.sql}"


def _range(first: bytes, end: bytes | None) -> str:
    begin = f"key >= from_hex('{first.hex()}')" if first else "true"
    return begin if end is None else f"{begin} AND key < from_hex('{end.hex()}')"


def timed_sql(rows: Rows, until_us: int) -> str:
    """All changes before a moment in the order of time, those of one item by version: as `COLUMNS`."""
    return (
        f"SELECT {COLUMNS} FROM {rows.sql} WHERE {CHANGES} AND created_us < {until_us} "
        "ORDER BY generation, created_us, sequence, shard"
    )


def count_between_sql(
    rows: Rows, until_us: int, since_us: int | None = None, keys: Sequence[bytes] = ()
) -> str:
    """How many changes there are before a moment, and from another one on, of some keys; none are all."""
    named = ", ".join(f"from_hex('{key.hex()}')" for key in keys)
    of_keys = f" AND key IN ({named})" if keys else ""
    since = "" if since_us is None else f" AND created_us >= {since_us}"
    return f"SELECT count(*) FROM {rows.sql} WHERE {CHANGES} AND created_us < {until_us}{since}{of_keys}"


def first_sql(rows: Rows, until_us: int) -> str:
    """What the journal found when it began: key and image of each item that was there, by its first change
    before a moment, or by the base.
    """
    is_base = f"origin IS NOT DISTINCT FROM '{SCAN}'"
    first = (
        f"SELECT key, CASE WHEN {is_base} THEN new ELSE old END AS item FROM {rows.sql} "
        f"WHERE {is_base} OR created_us < {until_us} QUALIFY row_number() OVER "
        f"(PARTITION BY key ORDER BY {is_base}, generation, sequence) = 1"
    )
    return f"SELECT key, item FROM ({first}) WHERE item IS NOT NULL ORDER BY key"


def last_sql(rows: Rows, at_us: int) -> str:
    """When the last change by a moment was, in microseconds."""
    return f"SELECT max(created_us) FROM {rows.sql} WHERE created_us <= {at_us} AND {CHANGES}"


def around_sql(rows: Rows, shard: str, first: int, last: int) -> str:
    """When a shard has its last change before a range of sequence numbers, and its first one after it."""
    before, after = (f"'{_hex(number)}'" for number in (first, last))
    return (
        f"SELECT max(created_us) FILTER (WHERE hex(sequence) < {before}), "
        f"min(created_us) FILTER (WHERE hex(sequence) > {after}) FROM {rows.sql} WHERE shard = {_text(shard)}"
    )


class FoldQuery:
    """One question to DuckDB. Blocks; used by one thread at a time."""

    def __init__(self, rows: Rows, sql: str) -> None:
        self.connection = connected(rows)
        with _said():
            self._answer = self.connection.execute(sql)

    def some(self, count: int) -> list[tuple[Any, ...]]:
        """The next rows; none at the end. Raises: Unavailable."""
        with _said():
            rows: list[tuple[Any, ...]] = self._answer.fetchmany(count)
        return rows

    def close(self) -> None:
        """End it. Repeatable."""
        self.connection.close()


def all_rows(rows: Rows, sql: str) -> list[tuple[Any, ...]]:
    """A whole answer, where it is short. Raises: Unavailable."""
    asked = FoldQuery(rows, sql)
    try:
        return asked.some(1_000_000)
    finally:
        asked.close()


async def asked_rows(rows: Rows, sql: str, at_once: int = AT_ONCE) -> AsyncGenerator[tuple[Any, ...]]:
    """Every row of an answer, with flat memory: some of them at a time, in a thread. Raises: Unavailable."""
    asked = await in_thread(FoldQuery, rows, sql)
    try:
        while some := await in_thread(asked.some, at_once):
            for row in some:
                yield row
    finally:
        asked.close()


def connected(rows: Rows) -> Any:
    """A connection of DuckDB that knows what the live stream has. Raises: Unavailable."""
    check_installed()
    import duckdb

    connection = duckdb.connect(
        ":memory:", config={"threads": 1, "memory_limit": MEMORY, "temp_directory": rows.scratch}
    )
    connection.execute(
        f"CREATE TEMP TABLE {LIVE} (key BLOB, generation BIGINT, sequence BLOB, created_us BIGINT, "
        "event VARCHAR, old BLOB, new BLOB, origin VARCHAR, shard VARCHAR, ancestry VARCHAR)"
    )
    if rows.live:
        connection.register(GIVEN, _table_of(rows.live))
        connection.execute(f"INSERT INTO {LIVE} SELECT {COLUMNS} FROM {GIVEN}")
        connection.unregister(GIVEN)
    return connection


def _table_of(changes: Sequence[JournalChange]) -> Any:
    """The same as columns: DuckDB takes rows one by one a thousand times as slowly."""
    import pyarrow as pa

    types = {"generation": pa.int64(), "created_us": pa.int64()}
    types |= dict.fromkeys(("key", "sequence", "old", "new"), pa.binary())
    rows = [
        (
            change.key, change.version.generation, _packed(change.version.sequence), change.created_us,
            change.event, change.old, change.new, change.origin, change.shard, change.ancestry,
        )
        for change in changes
    ]  # fmt: skip
    columns = zip(COLUMNS.split(", "), zip(*rows, strict=True), strict=True)
    return pa.table({name: pa.array(values, types.get(name, pa.string())) for name, values in columns})


def relation_of(rows: Rows, at_us: int, told_us: int | None) -> PastRelation:
    """A table as of a moment as a relation: `item` is DynamoDB JSON as text. Raises: Unavailable."""
    connection = connected(rows)
    then = as_of_sql(rows, at_us, told_us)
    shown = f"SELECT key, generation, sequence, created_us, decode(item) AS item FROM ({then})"
    with _said():
        return PastRelation(connection.sql(shown), connection)


def _said() -> AbstractContextManager[None]:
    """What DuckDB raises as readers of journals say it."""
    return told_by_duckdb(
        "the journal's segments cannot be read",
        "ask again; if it stays so: tailrace journal verify PLACE --table TABLE",
    )


def _packed(sequence: int) -> bytes:
    return sequence.to_bytes(SEQUENCE_BYTES, "big")


def _hex(sequence: int) -> str:
    return _packed(sequence).hex().upper()


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
