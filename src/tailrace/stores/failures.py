"""What went wrong with a SQLite file, in words: which row or record is damaged, what SQLite refused, and what
to do about it.

Rules of this file: it makes errors and raises none; what stands in a damaged key is not believed. Stands
alone because none of it happens as long as all is well. Called by `stores.sqlite`.
"""

import sqlite3
from pathlib import Path

from tailrace.errors import DamagedData, StoreError
from tailrace.ports import LogRow


def damaged_row(path: Path | None, table: int, key: object) -> DamagedData:
    """A row is not what was written."""
    key = key if isinstance(key, bytes) else b""  # its kind may have flipped, too
    return DamagedData(
        f"{path}: a row of table number {table} with key {key!r} is damaged",
        table=table,
        key=key,
        hint=_next_after_damage(path),
    )


def damaged_record(path: Path | None, shard: int, key: object, readable: list[LogRow]) -> DamagedData:
    """A record of the log is not what was written; those before it are readable."""
    sequence = int.from_bytes(key[8:], "big") if isinstance(key, bytes) else 0
    return DamagedData(
        f"{path}: record {sequence} of shard {shard} is damaged",
        shard=shard,
        sequence=sequence,
        readable=readable,
        hint=_next_after_damage(path),
    )


def failed(path: Path | None, error: sqlite3.Error) -> StoreError:
    """The StoreError for what SQLite raised, with a hint where one helps."""
    return StoreError(f"{path or 'the store in memory'}: {error}", hint=_hint(error))


def is_damage(error: sqlite3.Error) -> bool:
    """Whether SQLite says that the file is damaged."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_CORRUPT


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process has, or had meanwhile, what was asked for."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def _next_after_damage(path: Path | None) -> str:
    where = "DIR" if path is None else path.parent
    return f"stop tailrace and run `tailrace check --data {where}`: it lists all that is damaged"


def _hint(error: sqlite3.Error) -> str:
    """What to do about it, by SQLite's primary result code (errors of the Python module itself have none)."""
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_FULL:
            return (
                "free some disk space: nothing of the failed commit was written, and the next one may succeed"
            )
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return (
                "stop tailrace, keep a copy of the directory, and start with another --data; `sqlite3 "
                "FILE .recover` may save what is left"
            )
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return (
                "check that the directory exists and that this user may write to it, or name another --data "
                "or --state"
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return "another process has the file open: stop it, or name another --data or --state"
        case sqlite3.SQLITE_IOERR:
            return "check the disk and its free space; nothing of the failed commit was written"
        case _:
            return "stop tailrace and start it again; if this repeats, report it with the message above"
