"""`tailrace journal merge PLACE`: few large segments in place of many small ones.

Stands alone because it writes, and the other verbs of journals look.
Rules of this file: options and output; what is merged says journal/run/merging.py.
"""

import json

import click
import msgspec

from tailrace.cli import options
from tailrace.cli.changes import counted, printable
from tailrace.cli.hints import next_line
from tailrace.cli.journal_status import PLACE


@click.command()
@options.options(
    *PLACE,
    click.option(
        "--fewest",
        type=click.IntRange(min=2),
        default=2,
        show_default=True,
        metavar="N",
        help="No fewer small segments than these are merged.",
    ),
)
def merge(
    place: str, table: str | None, endpoint: str | None, region: str | None, fewest: int, as_json: bool
) -> None:
    """Merge the small segments of the journals in PLACE into large ones, sorted by key and version.

    No change, leaf or proof differs afterwards; questions about one key are answered from fewer files. A
    worker may archive meanwhile. What was replaced, and what a killed worker left, is deleted an hour later,
    by the next merge. A worker merges by itself, once an hour (`app.archive(…, merge="1h")`).

    \b
    Example: tailrace journal merge history/
             tailrace journal merge s3://audit/prod --table orders --json
    Next:    tailrace journal status PLACE
    """
    from tailrace.cli.running import run_loop

    run_loop(_merge(place, table, endpoint, region, fewest, as_json))


async def _merge(
    place: str, table: str | None, endpoint: str | None, region: str | None, fewest: int, as_json: bool
) -> None:
    from tailrace.archives.opening import archive_at
    from tailrace.aws.places import Access
    from tailrace.cli.telling import Bar
    from tailrace.clocks.system import SystemClock
    from tailrace.journal.run.opening import check_installed

    check_installed()
    from tailrace.journal.run.merging import merge_journals  # imports what was looked for

    archive, told = archive_at(place, Access(region, endpoint)), []  # a worker asks before there is a journal
    with Bar("merging", "segment", quiet=as_json) as bar:
        async for status, report, deleted in merge_journals(archive, SystemClock(), table, fewest, bar.show):
            told.append({"table": status.table, **msgspec.to_builtins(report), "deleted": deleted})
            bar.end()
            if not as_json:
                old = f"{counted(deleted, 'old one')} {'was' if deleted == 1 else 'were'} deleted"
                click.echo(
                    f"{printable(status.table)}: {counted(report.before, 'segment')} became "
                    f"{report.after:,} ({counted(report.rows, 'row')}); {old}"
                )
    if as_json:
        click.echo(json.dumps(told))
    elif not told:
        click.echo(f"No journal in {printable(place)} to be merged.")
        click.echo(next_line(f"tailrace journal status {place}"))
