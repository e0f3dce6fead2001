"""`tailrace export write`: a node's tables, or what a journal has, written as DynamoDB exports them.

Rules of this file: options and output; items come from the `export.items` verb, or from a journal
(export_journal.py), exports/run/writing.py writes them, from this process: the place and its credentials are
those of whoever types. Registered by `main`.
"""

from collections.abc import AsyncIterator, Generator, Iterator
from typing import TYPE_CHECKING, Any

import click

from tailrace.cli import options
from tailrace.cli.connection import answers
from tailrace.cli.export_journal import TypedExport, write_journal
from tailrace.cli.exporting import plan_of, row_of, tell, write_one
from tailrace.cli.place import Place

if TYPE_CHECKING:
    from tailrace.exports.core.exported import ExportedItem
    from tailrace.sources.export_files import WrittenPlace


@click.command()
@options.options(
    click.option(
        "--into",
        required=True,
        metavar="PLACE",
        help="A directory, which is made, or s3://BUCKET/PREFIX: exports lie below AWSDynamoDB/ in it.",
    ),
    click.option(
        "--table", "tables", multiple=True, metavar="TABLE", help="Which; may be repeated. Else all of them."
    ),
    click.option(
        "--format",
        type=click.Choice(["DYNAMODB_JSON", "ION"]),
        default="DYNAMODB_JSON",
        show_default=True,
        help="ION needs the extra `exports`.",
    ),
    click.option("--journal", metavar="APP", help="Of the journal that this app keeps, and of no node."),
    click.option("--at", metavar="TIME", help="With --journal: as of then; else as far as it goes."),
    click.option("--since", metavar="TIME", help="With --journal and --until: what changed between them."),
    click.option("--until", metavar="TIME", help="The end of an incremental export."),
    click.option(
        "--view",
        type=click.Choice(["NEW_AND_OLD_IMAGES", "NEW_IMAGE"]),
        default="NEW_AND_OLD_IMAGES",
        show_default=True,
        help="What an incremental export shows.",
    ),
    *options.bucket,
    click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing."),
    *options.place,
    options.as_json,
)
def write(
    into: str,
    tables: tuple[str, ...],
    format: str,
    journal: str | None,
    at: str | None,
    since: str | None,
    until: str | None,
    view: str,
    endpoint: str | None,
    region: str | None,
    dry_run: bool,
    place: Place,
    as_json: bool,
) -> None:
    """Write tables of a node as full exports, as `aws dynamodb export-table-to-point-in-time` would.

    All tables are as of one moment, whether a server runs on the directory or not, and writers go on
    meanwhile. An export is there when its summary is, which comes last: one that was cut off is not read by
    anything, and what a failure leaves is taken away. What was written is the base of a snapshot, of an
    import into DynamoDB (`aws dynamodb import-table`), of whatever reads exports.

    With --journal a table is written as of any time that the journal of an app knows, or, from --since to
    before --until (15 minutes to 24 hours), what became of its items. What the journal does not know is not
    written.

    \b
    Example: tailrace export write --into ./exports --table orders
             tailrace export write --into ./exports --journal app.py --at 2026-10-31T23:59Z
             tailrace export write --into s3://backups/daily --format ION --url http://localhost:8000
    Next:    tailrace export ls PLACE
    """
    from tailrace.aws.places import Access
    from tailrace.cli.running import run_loop
    from tailrace.cli.worker import require_aws
    from tailrace.sources.export_files import S3, written_place

    if into.startswith(S3):
        require_aws()
    written = written_place(into, Access(region, endpoint))
    if journal is not None:
        wanted = TypedExport(journal, tables, at, since, until, format, view)
        run_loop(write_journal(into, written, wanted, is_dry=dry_run, as_json=as_json))
        return
    if at or since or until:
        raise click.UsageError("--at, --since and --until are of --journal APP: a node has only the present")
    values = answers(place, "export.items", {"tables": list(tables), "count_only": dry_run}, endless=True)
    if dry_run:
        tell(into, [row_of(table, None) for table in values], as_json=as_json, is_dry=True)
    else:
        run_loop(_write(into, written, values, format, as_json=as_json))


async def _write(
    into: str, written: "WrittenPlace", values: Generator[Any, None, None], format: str, *, as_json: bool
) -> None:
    from tailrace.runtime.threads import Threads, in_thread

    rows: list[dict[str, Any]] = []
    with Threads("export", 1).used():  # one thread: what a directory answers has a loop of its own there
        try:
            while (table := await in_thread(next, values, None)) is not None:
                plan = plan_of(written, table, format)
                rows.append(await write_one(written, plan, table, _items(values), as_json=as_json))
        finally:
            await in_thread(values.close)
    tell(into, rows, as_json=as_json, is_dry=False)


async def _items(values: Iterator[Any]) -> "AsyncIterator[ExportedItem]":
    """The items of one table, up to its last page."""
    from tailrace.exports.core.exported import ExportedItem
    from tailrace.runtime.threads import in_thread

    is_last = False
    while not is_last:
        page = await in_thread(next, values)
        for item in page["items"]:
            yield ExportedItem(None, item)
        is_last = page["is_last"]
