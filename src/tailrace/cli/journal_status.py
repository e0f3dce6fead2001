"""`tailrace journal status PLACE`: how far journals are, and what is in them.

Stands alone because it lists every table of a place, and the other verbs of journals look at one.
Rules of this file: options and output; what there is says journal/run/status.py.
"""

import json
from typing import TYPE_CHECKING, Final

import click
import msgspec

from tailrace.cli import options
from tailrace.cli.changes import counted, printable
from tailrace.cli.failures import CommandFailure
from tailrace.cli.hints import next_line
from tailrace.cli.status import aligned

if TYPE_CHECKING:
    from tailrace.journal.run.reading import JournalBase
    from tailrace.journal.run.status import JournalStatus
    from tailrace.ports import ArchiveStore, Clock


PLACE: Final = (
    click.argument("place"),
    click.option("--table", metavar="TABLE", help="Of this table alone."),
    *options.bucket,
    options.as_json,
)
"""Which journals, of verbs that are about all that are in a place."""


@click.command()
@options.options(*PLACE)
def status(place: str, table: str | None, endpoint: str | None, region: str | None, as_json: bool) -> None:
    """Say how far the journals in PLACE are: changes, segments, bytes, base and gaps.

    PLACE is what `app.archive(TABLE, PLACE)` says: a directory or s3://BUCKET/PREFIX. The manifests are read,
    and no worker is asked: how far behind the stream a journal is says `tailrace status` where its app runs.
    Without a base, nothing is known of items that have not changed since the first change. With a gap the
    exit code is 1.

    \b
    Example: tailrace journal status history/
             tailrace journal status s3://audit/prod --table orders --json
    Next:    tailrace status
    """
    from tailrace.cli.running import run_loop

    run_loop(_tell(place, table, endpoint, region, as_json))


def archive_in(place: str, region: str | None, endpoint: str | None) -> "ArchiveStore":
    """The archive in a place. Raises: CommandFailure for a directory that is not there."""
    from tailrace.archives.opening import S3, archive_at, directory_of
    from tailrace.aws.places import Access
    from tailrace.cli.worker import require_aws

    if not place.startswith(S3):
        if not directory_of(place).is_dir():
            raise CommandFailure(
                f"{printable(place)} is no directory: PLACE is what app.archive(TABLE, PLACE) says",
                hint="correct it, or begin a journal: tailrace dev app.py",
            )
        return archive_at(place)
    require_aws()
    return archive_at(place, Access(region, endpoint))


async def _tell(
    place: str, table: str | None, endpoint: str | None, region: str | None, as_json: bool
) -> None:
    from tailrace.clocks.system import SystemClock
    from tailrace.journal.run.status import journal_statuses

    archive, clock = archive_in(place, region, endpoint), SystemClock()
    journals = await journal_statuses(archive, clock, table)
    if table is not None and not journals:
        await _check_named(archive, clock, place, table)
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(journals)))
    elif journals:
        _show(journals)
    else:
        of_table = "" if table is None else f" of table {printable(table)}"
        click.echo(f"No journal{of_table} in {printable(place)}: app.archive(TABLE, PLACE) keeps one.")
        click.echo(next_line("tailrace dev app.py"))
    if any(journal.gaps for journal in journals):
        click.get_current_context().exit(1)


async def _check_named(archive: "ArchiveStore", clock: "Clock", place: str, table: str) -> None:
    """Refuse a name where other tables have a journal. Raises: CommandFailure."""
    from tailrace.journal.run.status import journaled_tables

    names = [one.name for one in await journaled_tables(archive, clock)]
    if names:
        raise CommandFailure(
            f"Table {printable(table)!r} has no journal in {printable(place)}. Those that have one: "
            f"{', '.join(map(printable, names))}.",
            hint=f"tailrace journal status {place}",
        )


def _base(base: "JournalBase") -> str:
    from tailrace.exports.core.manifest import spoken_us

    origin = f", from {printable(base.source)}" if base.source else ""
    versions = "" if base.is_exact else ", without exact versions"
    return f"{counted(base.rows, 'item')}, {spoken_us(base.as_of_us)}{origin}{versions}"


def _show(journals: "list[JournalStatus]") -> None:
    from tailrace.exports.core.manifest import spoken_us

    rows: list[tuple[str, ...]] = [
        ("TABLE", "CHANGES", "SEGMENTS", "BYTES", "SHARDS", "UP TO", "BASE", "GAPS")
    ]
    rows += [
        (
            printable(one.table),
            f"{one.changes:,}",
            f"{one.segments:,}",
            f"{one.size:,}",
            f"{one.shards:,}",
            "-" if one.last_us is None else spoken_us(one.last_us),
            "none" if one.base is None else _base(one.base),
            f"{len(one.gaps):,}",
        )
        for one in journals
    ]
    for text in aligned(rows):
        click.echo(text)
    for one in journals:
        for gap in one.gaps:
            click.echo(
                f"gap: {printable(one.table)}: {printable(gap.shard)} from {gap.first} to {gap.last}: gone "
                "before it could be read"
            )
