"""A projection's rows in a DuckDB file: `into=sinks.DuckDB("shop.duckdb", "sales")` makes a view `sales`.

Theory of operation: two tables hold the rows of every build as they are (keys, states and images as
DynamoDB's JSON, exact), `sales_groups` and `sales_items`; the view `sales` shows the groups of the build that
is served in SQL's own types. A commit is one transaction of the file: it looks at the rows that are to
change, and writes them when all are as they were read.
Rules of this file: the file's one connection and its lock are those of `DuckDB`; in a thread. Format 1,
docs/formats/projections.md. Made by `DuckDB.projection_store`.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import orjson

from tailrace.app.projection import Projection
from tailrace.errors import StateConflict
from tailrace.projections.core.rows import AppliedItem, GroupState, ProjectedRow, RowChange, bucket_of
from tailrace.runtime.threads import in_thread
from tailrace.streams.version import NOTHING, row_version
from tailrace.values.types import Item

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

T = TypeVar("T")
ROWS_AT_ONCE: Final = 300
ITEM_COLUMNS: Final = (
    'build VARCHAR, key VARCHAR, sequence HUGEINT, version VARCHAR, bucket SMALLINT, "group" '
    "VARCHAR, image VARCHAR, at_ms BIGINT"
)
GROUP_COLUMNS: Final = (
    "build VARCHAR, key VARCHAR, version HUGEINT, count BIGINT, state VARCHAR, at_ms BIGINT"
)
TYPES: Final = {"S": "VARCHAR", "N": "DECIMAL(38,9)", "BOOL": "BOOLEAN"}


class File(Protocol):
    """The file that the rows are in, with its one connection: `DuckDB`."""

    table: str

    def transact(self, work: "Callable[[DuckDBPyConnection], T]") -> T:
        """Do something in one transaction; when it raises, nothing of it was done."""


class DuckDbProjectionStore:
    """The ProjectionStore port over a DuckDB file."""

    rows_at_once = ROWS_AT_ONCE

    def __init__(self, file: File, projection: Projection, name: str) -> None:
        self._file = file
        self._projection = projection
        self._name = name
        self._items = _name(f"{file.table}_items")
        self._groups = _name(f"{file.table}_groups")
        self._is_made = False

    async def items(self, keys: Sequence[str]) -> list[AppliedItem]:
        """The rows of these items."""
        return await self._do(
            lambda connection: self._items_where(connection, "key IN (SELECT unnest(?))", list(keys))
        )

    async def bucket(self, number: int) -> list[AppliedItem]:
        """The rows of one bucket."""
        return await self._do(lambda connection: self._items_where(connection, "bucket = ?", number))

    async def groups(self, keys: Sequence[str] | None = None) -> list[GroupState]:
        """The rows of groups."""
        if keys is None:
            return await self._do(lambda connection: self._groups_where(connection, "?", True))
        return await self._do(
            lambda connection: self._groups_where(connection, "key IN (SELECT unnest(?))", list(keys))
        )

    async def commit(self, changes: Sequence[RowChange]) -> None:
        """All of it or nothing. Raises: StateConflict, Unavailable, SinkError."""
        await self._do(lambda connection: self._commit(connection, changes))

    async def serve(self) -> None:
        """Let the view show this build."""
        await self._do(lambda connection: connection.execute(self.view))

    @property
    def view(self) -> str:
        """The statement that makes the view."""
        keys = self._projection.by.columns
        shown = [
            f"{_value('key', f'L[{index}]' if len(keys) > 1 else '', kinds)} AS {_name(name)}"
            for index, (name, kinds) in enumerate(keys)
        ]
        shown += [
            f"{_value('state', path, kinds)} AS {_name(name)}" for name, path, kinds in self._state_columns()
        ]
        build = "'" + self._name.replace("'", "''") + "'"
        return (
            f"CREATE OR REPLACE VIEW {_name(self._file.table)} AS SELECT {', '.join(shown)}, count "
            f"AS items FROM {self._groups} "
            f"WHERE build = {build} AND count > 0"
        )

    def _state_columns(self) -> list[tuple[str, str, frozenset[str]]]:
        state = self._projection.state
        if state.members is None:
            return [("state", "", state.kinds)]
        return [
            (name, f"M.{_member(member.attribute)}", member.codec.kinds)
            for name, member in state.members.items()
        ]

    async def _do(self, work: "Callable[[DuckDBPyConnection], T]") -> T:
        def here(connection: "DuckDBPyConnection") -> T:
            if not self._is_made:
                for table, columns in ((self._items, ITEM_COLUMNS), (self._groups, GROUP_COLUMNS)):
                    connection.execute(
                        f"CREATE TABLE IF NOT EXISTS {table} ({columns}, PRIMARY KEY (build, key))"
                    )
                # A table of before versions has a sequence number, of the first generation, in their place.
                connection.execute(f"ALTER TABLE {self._items} ADD COLUMN IF NOT EXISTS version VARCHAR")
            answer = work(connection)
            self._is_made = True
            return answer

        return await in_thread(self._file.transact, here)

    # ---- inside a transaction ------------------------------------------------------------------------------

    def _items_where(self, connection: "DuckDBPyConnection", where: str, value: Any) -> list[AppliedItem]:
        rows = connection.execute(
            f'SELECT key, version, sequence, "group", image, at_ms FROM {self._items} WHERE build = '
            f"? AND {where}",
            [self._name, value],
        ).fetchall()
        return [
            AppliedItem(
                key,
                row_version({"version": version, "sequence": sequence}) or NOTHING,
                group,
                _loaded(image),
                at_ms,
                version is None,
            )
            for key, version, sequence, group, image, at_ms in rows
        ]

    def _groups_where(self, connection: "DuckDBPyConnection", where: str, value: Any) -> list[GroupState]:
        rows = connection.execute(
            f"SELECT key, version, count, state, at_ms FROM {self._groups} WHERE build = ? AND {where}",
            [self._name, value],
        ).fetchall()
        return [
            GroupState(key, version, count, orjson.loads(state), at_ms)
            for key, version, count, state, at_ms in rows
        ]

    def _commit(self, connection: "DuckDBPyConnection", changes: Sequence[RowChange]) -> None:
        for table, kind, stamp in (
            (self._items, AppliedItem, "coalesce(version, sequence::VARCHAR)"),
            (self._groups, GroupState, "version"),
        ):
            chosen = [change for change in changes if isinstance(change.row, kind)]
            if not chosen:
                continue
            present = dict(
                connection.execute(
                    f"SELECT key, {stamp} FROM {table} WHERE build = ? AND key IN (SELECT unnest(?))",
                    [self._name, [change.row.key for change in chosen]],
                ).fetchall()
            )
            for change in chosen:
                if present.get(change.row.key) != _stamp(change.before):
                    raise StateConflict(
                        f"{table}: {change.row.key} was written meanwhile", index=changes.index(change)
                    )
            if present:  # replaced, never updated: see sinks/sql/duckdb.py
                connection.execute(
                    f"DELETE FROM {table} WHERE build = ? AND key IN (SELECT unnest(?))",
                    [self._name, [*present]],
                )
            self._put(connection, table, [change.after for change in chosen if change.after is not None])

    def _put(self, connection: "DuckDBPyConnection", table: str, rows: Sequence[ProjectedRow]) -> None:
        columns = ITEM_COLUMNS if table == self._items else GROUP_COLUMNS
        names, types = zip(*(column.split(" ") for column in columns.split(", ")), strict=True)
        if not rows:
            return
        values = [self._values(row) for row in rows]
        parameters = [[row[place] for row in values] for place in range(len(names))]
        unnested = ", ".join(f"unnest(?::{kind}[])" for kind in types)
        connection.execute(f"INSERT INTO {table} ({', '.join(names)}) SELECT {unnested}", parameters)

    def _values(self, row: ProjectedRow) -> list[Any]:
        if isinstance(row, AppliedItem):
            image = None if row.image is None else orjson.dumps(row.image).decode()
            return [
                self._name,
                row.key,
                None,
                row.version.text,
                bucket_of(row.key),
                row.group,
                image,
                row.at_ms,
            ]
        return [self._name, row.key, row.version, row.count, orjson.dumps(row.state).decode(), row.at_ms]


def _stamp(row: ProjectedRow | None) -> int | str | None:
    """What a row's stamp reads as. Items have texts, those of before versions the one of their number."""
    if row is None:
        return None
    return str(row.stamp) if isinstance(row, AppliedItem) else row.stamp


def _loaded(image: str | None) -> Item | None:
    if image is None:
        return None
    item: Item = orjson.loads(image)
    return item


def _value(column: str, path: str, kinds: frozenset[str]) -> str:
    """An attribute value in SQL's own type; what is none of these stays JSON."""
    place = "$" + (f".{path}" if path else "")
    own = kinds - {"NULL"}
    if len(own) == 1 and (kind := next(iter(own))) in TYPES:
        text = f"json_extract_string({column}, {_text(f'{place}.{kind}')})"
        return text if kind == "S" else f"TRY_CAST({text} AS {TYPES[kind]})"
    if own <= {"S", "N", "B", "BOOL"} or own == frozenset(
        ("S", "N", "B", "BOOL", "M", "L", "SS", "NS", "BS")
    ):
        texts = ", ".join(
            f"json_extract_string({column}, {_text(f'{place}.{kind}')})" for kind in ("S", "N", "BOOL", "B")
        )
        return f"coalesce({texts}, json_extract_string({column}, {_text(place)}))"
    return f"json_extract({column}, {_text(place)})"


def _text(path: str) -> str:
    return "'" + path.replace("'", "''") + "'"


def _member(name: str) -> str:
    """A member's name in a JSON path, whatever is in it."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
