"""A table's journal in an archive, opened: its names, its incarnations and their manifests; and what it is
read with.

Rules of this file: nothing is written. Shared by the archiver and by readers.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from msgspec import Struct

from tailrace.errors import Unavailable
from tailrace.journal.core.places import MANIFEST, JournaledTable, shard_place
from tailrace.manifests.run.log import ManifestLog
from tailrace.manifests.run.target import ManifestTarget
from tailrace.ports import ArchiveStore, Clock


class IncarnationJournal(Struct, frozen=True):
    """One incarnation of a table. Shape: `folder` is where its segments and its manifest are."""

    folder: str
    target: ManifestTarget


def opened_names(archive: ArchiveStore, table: JournaledTable, clock: Clock) -> ManifestTarget:
    """What names a table's incarnations."""
    return ManifestTarget(
        ManifestLog(archive, table.names_folder, clock), f"the journal of {table.name}", shard_place
    )


def opened_journal(archive: ArchiveStore, folder: str, clock: Clock) -> IncarnationJournal:
    """The journal of one incarnation, over its manifest."""
    log = ManifestLog(archive, f"{folder}/{MANIFEST}", clock)
    return IncarnationJournal(folder, ManifestTarget(log, f"the journal {folder}", shard_place))


def check_installed() -> None:
    """Require what journals need. Raises: Unavailable."""
    try:
        import duckdb  # noqa: F401
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise Unavailable(
            "a journal needs the extra `history`: pip install '.[history]' in the checkout, and start again"
        ) from error


@contextmanager
def told_by_duckdb(words: str, hint: str) -> Iterator[None]:
    """What DuckDB raises in this block, in words of ours and its own. Raises: Unavailable."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        said = str(error).partition("\n\nLINE ")[0]  # what follows shows a query that nobody has written
        raise Unavailable(f"{words}: {said}", hint=hint) from error
