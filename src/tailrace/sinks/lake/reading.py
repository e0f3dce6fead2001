"""What readers of a lake need: the files of a manifest, a question that shows a table's rows, all rows.

Theory of operation: readers see what one manifest names: the files stay for an hour after a compaction has
removed them. The question for DuckDB reads the same files, folds them as folding.py does, and leaves out
deletions.
Rules of this file: reads alone. Blocks are in threads; the manifest is asked for once a call.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from tailrace.columns.schema import TableColumns
from tailrace.errors import SettingsError
from tailrace.manifests.core.manifest import TableFile, TableManifest
from tailrace.manifests.run.target import outages
from tailrace.runtime.threads import in_thread
from tailrace.sinks.lake.folding import newest_rows
from tailrace.sinks.lake.layout import COLUMNS
from tailrace.sinks.lake.parquet import read_file
from tailrace.sinks.lake.rows import DELETED, KEY, OP, VERSION, schema_of, widened_to
from tailrace.sinks.lake.table import LakeTable

T = TypeVar("T")


def columns_in(table: LakeTable, manifest: TableManifest, entity: str | None) -> TableColumns | None:
    """The columns of an entity, of the only one unless told; None where nothing was written yet. Raises:
    SettingsError.
    """
    tables = table.layout.tables(manifest)
    if entity is None and len(tables) < 2:
        return next(iter(tables.values()), None)
    if entity not in tables:
        raise SettingsError(
            f"table {table.layout.table} of the lake has no entity {entity!r}",
            hint=f"say entity= one of {', '.join(sorted(tables)) or 'none: nothing was written yet'}",
        )
    return tables[entity]


def files_of(table: LakeTable, manifest: TableManifest, columns: TableColumns) -> list[TableFile]:
    """The files with an entity's rows, those of the base before those of the log."""
    folder = table.layout.folder(columns)
    files = [
        file for file in manifest.files.values() if file.part == folder or file.part.startswith(f"{folder}/")
    ]
    return sorted(files, key=lambda file: not file.first)


async def rows_in(
    table: LakeTable, manifest: TableManifest, columns: TableColumns, *, is_newest: bool
) -> pa.Table:
    """All rows of an entity; of each key the newest, without deleted ones, where that is asked for."""
    with outages():
        parts = [await read_file(table.archive, file.name) for file in files_of(table, manifest, columns)]
    if not parts:
        return schema_of(columns).empty_table()
    return await in_thread(_together, parts, columns, is_newest)


def _together(parts: Sequence[pa.Table], columns: TableColumns, is_newest: bool) -> pa.Table:
    wide = [widened_to(part, columns) for part in parts]
    if not is_newest:
        return pa.concat_tables(wide)
    rows = newest_rows(wide, columns)
    return rows.filter(pc.not_equal(rows.column(OP), DELETED))


def question(places: Sequence[str], columns: TableColumns, *, is_newest: bool) -> str:
    """A SELECT for DuckDB over these files."""
    if not places:
        names = ", ".join(f"NULL AS {_name(name)}" for name in schema_of(columns).names)
        return f"SELECT {names} WHERE false"
    files = ", ".join(_text(place) for place in places)
    source = f"read_parquet([{files}], union_by_name = true, hive_partitioning = false)"
    if not is_newest:
        return f"SELECT * FROM {source}"
    return (
        f"SELECT * FROM (SELECT * FROM {source} QUALIFY row_number() OVER "
        f"(PARTITION BY {KEY} ORDER BY {VERSION} DESC) = 1) WHERE {OP} <> '{DELETED}'"
    )


def entities_of(manifest: TableManifest) -> list[str]:
    """The entities that a table has rows of."""
    names = (name for name in manifest.notes if name.startswith(COLUMNS))
    return sorted(name.removeprefix(COLUMNS) for name in names)


def run_apart(work: Callable[[], Awaitable[T]]) -> T:
    """Run something in a loop of its own, also where one is running. Blocks. Raises: what it raises."""
    done: list[Any] = []

    async def awaited() -> T:
        return await work()

    def run() -> None:
        try:
            done.append((asyncio.run(awaited()), None))
        except BaseException as error:  # it belongs to the caller
            done.append((None, error))

    thread = threading.Thread(target=run, name="tailrace lake", daemon=True)
    thread.start()
    thread.join()
    result, error = done[0]
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
