"""`tailrace export write`: a node's tables, written as DynamoDB exports them.

Rules of this file: options and output; items come from the `export.items` verb, exports/run/writing.py writes
them, from this process: the place and its credentials are those of whoever types. Registered by `main`.
"""

import json
from collections.abc import AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from tailrace.cli import options
from tailrace.cli.changes import printable
from tailrace.cli.connection import answers
from tailrace.cli.hints import next_line
from tailrace.cli.place import Place

if TYPE_CHECKING:
    from tailrace.exports.core.exported import ExportedItem
    from tailrace.exports.core.plan import PlannedExport
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
    *options.bucket,
    click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing."),
    *options.place,
    options.as_json,
)
def write(
    into: str,
    tables: tuple[str, ...],
    format: str,
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

    \b
    Example: tailrace export write --into ./exports --table orders
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
    values = answers(place, "export.items", {"tables": list(tables), "count_only": dry_run}, endless=True)
    if dry_run:
        _tell(into, [_row(table, None) for table in values], as_json=as_json, is_dry=True)
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
                plan = _plan(written, table, format)
                summary = await _write_one(written, plan, table, values, as_json=as_json)
                rows.append(_row(table, plan) | {"items": summary.item_count, "bytes": summary.billed_bytes})
        finally:
            await in_thread(values.close)
    _tell(into, rows, as_json=as_json, is_dry=False)


def _plan(written: "WrittenPlace", table: Mapping[str, Any], format: Any) -> "PlannedExport":
    """A new export of a table, that begins now."""
    import os

    from tailrace.clocks.system import SystemClock
    from tailrace.exports.core.plan import PlannedExport, export_id_of

    started_us = SystemClock().now().wall_ms * 1_000
    return PlannedExport(
        export_id_of(started_us, int.from_bytes(os.urandom(4), "big")),
        table["arn"],
        table["table_id"],
        table["to_us"],
        started_us,
        format,
        written.bucket,
        written.prefix,
    )


async def _write_one(
    written: "WrittenPlace",
    plan: "PlannedExport",
    table: Mapping[str, Any],
    values: Iterator[Any],
    *,
    as_json: bool,
) -> Any:
    from tailrace.cli.telling import Bar
    from tailrace.clocks.system import SystemClock
    from tailrace.errors import ArchiveError, TailraceError
    from tailrace.exports.run.writing import discard_export, write_export

    bar = Bar(printable(table["table"]), quiet=as_json)
    try:
        return await write_export(
            written.archive,
            plan,
            _items(values),
            SystemClock(),
            progress=lambda done: bar.show(done.items, table["items"]),
        )
    except BaseException as error:
        with suppress(TailraceError):  # the place may be what has failed; what is left there is no export
            await discard_export(written.archive, plan)
        if isinstance(error, ArchiveError) and error.hint is None:
            error.hint = "the same command again, which begins anew, or with another --into"
        raise
    finally:
        bar.end()


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


# ---- output ------------------------------------------------------------------------------------------------


def _row(table: Mapping[str, Any], plan: "PlannedExport | None") -> dict[str, Any]:
    """One export for machines. Units: to_us in µs since the epoch."""
    return {
        "table": table["table"],
        "table_arn": table["arn"],
        "table_id": table["table_id"],
        "to_us": table["to_us"],
        "items": table["items"],
        "bytes": table["bytes"],
        "export": None if plan is None else plan.export_id,
        "folder": None if plan is None else plan.folder,
        "format": None if plan is None else plan.format,
    }


def _tell(into: str, rows: Sequence[Mapping[str, Any]], *, as_json: bool, is_dry: bool) -> None:
    from tailrace.exports.core.manifest import spoken_us

    if as_json:
        click.echo(json.dumps({"into": into, "dry_run": is_dry, "exports": list(rows)}))
        return
    for row in rows:
        name, moment = printable(row["table"]), spoken_us(row["to_us"])
        verb = "would be written" if is_dry else f"written as export {row['export']}"
        click.echo(f"{name}: {row['items']:,} items, {row['bytes']:,} bytes, as of {moment}: {verb}")
    click.echo(next_line(f"tailrace export ls {into}"))
