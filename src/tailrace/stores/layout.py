"""The tables of the store's file: how a new one is made, and how one of an older format becomes today's.

Rules of this file: a file is whole in one format at every moment: making and upgrading are one transaction
each. A file of a newer format, or one that is not ours, is refused before anything is written to it.
Described in docs/formats/store.md. Called by `stores.sqlite`.
"""

import sqlite3
from pathlib import Path
from typing import Final

from tailrace.errors import StoreError

FORMAT: Final = 3
SCHEMA: Final = """
CREATE TABLE items(key BLOB PRIMARY KEY, value BLOB NOT NULL, sum INTEGER);
CREATE TABLE log(key BLOB PRIMARY KEY, header BLOB NOT NULL, old BLOB, new BLOB, sum INTEGER);
"""
"""Tables with a row number on purpose: in a `WITHOUT ROWID` tree the inner pages hold whole rows too, so that
items of 300 bytes make it five levels deep, and those above a kilobyte take a page of their own each
(docs/decisions/0006-fast-paths.md).
"""
SUMS: Final = """
CREATE TABLE sums(kind INTEGER, number INTEGER, count INTEGER NOT NULL, total INTEGER NOT NULL,
    PRIMARY KEY(kind, number)) WITHOUT ROWID;
"""
NEW: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE meta(name TEXT PRIMARY KEY, value) WITHOUT ROWID;
{SCHEMA}
{SUMS}
INSERT INTO meta VALUES('format', {FORMAT});
COMMIT;
"""
UPGRADE_1: Final = f"""
BEGIN IMMEDIATE;
ALTER TABLE items RENAME TO items_1;
ALTER TABLE log RENAME TO log_1;
{SCHEMA}
{SUMS}
INSERT INTO items SELECT key, value, NULL FROM items_1 ORDER BY key;
INSERT INTO log SELECT key, header, old, new, NULL FROM log_1 ORDER BY key;
DROP TABLE items_1;
DROP TABLE log_1;
UPDATE meta SET value={FORMAT} WHERE name='format';
COMMIT;
"""
UPGRADE_2: Final = f"""
BEGIN IMMEDIATE;
ALTER TABLE items ADD COLUMN sum INTEGER;
ALTER TABLE log ADD COLUMN sum INTEGER;
{SUMS}
UPDATE meta SET value={FORMAT} WHERE name='format';
COMMIT;
"""
"""It reads no row: those that are there have no checksum until they are written again."""


def found_format(connection: sqlite3.Connection, path: Path | None) -> int | None:
    """The format of the file, None for a new one. Nothing is written. Raises: StoreError for a file that is
    not ours; sqlite3.Error.
    """
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type='table'")}
    if not tables:
        return None
    row = None
    if "meta" in tables:
        row = connection.execute("SELECT value FROM meta WHERE name='format'").fetchone()
    if row not in ((1,), (2,), (FORMAT,)):
        problem = "is no store of tailrace" if row is None else f"has format {row[0]}"
        raise StoreError(
            f"{path} {problem}; this version of tailrace reads formats 1 to {FORMAT}",
            hint="open it with the version that wrote it, or use another --data directory",
        )
    return int(row[0])


def prepare(connection: sqlite3.Connection, path: Path | None) -> None:
    """Leave the file in today's format. Raises: StoreError when it cannot be; sqlite3.Error."""
    match found_format(connection, path):
        case None:
            connection.executescript(NEW)
        case 1:
            connection.executescript(UPGRADE_1)
        case 2:
            connection.executescript(UPGRADE_2)
