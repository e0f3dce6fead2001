"""How far the journals of an archive are, and what is in them: told by the manifests alone.

Rules of this file: no segment is opened, and nothing is listed but the names of tables.
"""

from collections.abc import Sequence

from msgspec import Struct

from tailrace.journal.core.places import TABLES, JournaledTable, table_noted
from tailrace.journal.core.records import PART_BASE, PART_CHANGES
from tailrace.journal.run.reading import JournalBase, JournalGap, JournalReader, JournalView
from tailrace.manifests.run.log import ManifestLog
from tailrace.manifests.run.target import outages
from tailrace.ports import ArchiveStore, Clock

AFTER_FOLDER = "0"
"""Comes behind `/`, and before every letter of a name: what follows it is of another folder."""


class JournalStatus(Struct, frozen=True):
    """One incarnation's journal.

    Shape:   `changes` and `rows_of_base` are rows; `shards` of which there is something. Units: size in
             bytes; times of the first and the last change in microseconds since the epoch, None: there is
             none.
    """

    table: str
    folder: str
    segments: int
    size: int
    changes: int
    rows_of_base: int
    shards: int
    first_us: int | None
    last_us: int | None
    base: JournalBase | None
    gaps: Sequence[JournalGap]


async def journaled_tables(archive: ArchiveStore, clock: Clock) -> list[JournaledTable]:
    """Every table that has a journal in an archive, by its names. Raises: Unavailable.

    Guarantee: asks for a few names at a time, however many segments there are.
    """
    tables: list[JournaledTable] = []
    after = ""
    while True:
        with outages():
            names = await archive.list("", after=after, limit=1)
        if not names:
            return tables
        region, account, *_ = [*names[0].split("/"), "", ""]
        tables += await _tables_of(archive, f"{region}/{account}/{TABLES}/", clock)
        after = f"{region}/{account}{AFTER_FOLDER}"


async def _tables_of(archive: ArchiveStore, prefix: str, clock: Clock) -> list[JournaledTable]:
    with outages():
        names = await archive.list(prefix)
    folders = dict.fromkeys(prefix + name.removeprefix(prefix).partition("/")[0] for name in names)
    noted = []
    for folder in folders:
        with outages():
            table = table_noted(await ManifestLog(archive, folder, clock).current())
        noted += [] if table is None else [table]
    return noted


async def journal_statuses(
    archive: ArchiveStore, clock: Clock, name: str | None = None
) -> list[JournalStatus]:
    """The journals in an archive, of each table the oldest incarnation first. Shape: a `name` is that of the
    only tables that are looked at. Raises: Unavailable.
    """
    told = []
    for table in await journaled_tables(archive, clock):
        if name not in (None, table.name):
            continue
        async with JournalReader(archive, table, clock) as reader:
            told += [_status(table.name, view) for view in await reader.views()]
    return told


def _status(table: str, view: JournalView) -> JournalStatus:
    files = list(view.manifest.files.values())
    changes = [file for file in files if file.part == PART_CHANGES]
    return JournalStatus(
        table,
        view.folder,
        len(files),
        sum(file.size for file in files),
        sum(file.rows for file in changes),
        sum(file.rows for file in files if file.part == PART_BASE),
        len(view.positions),
        min((file.from_us for file in changes), default=None),
        max((file.until_us for file in changes), default=None),
        view.base,
        view.gaps,
    )
