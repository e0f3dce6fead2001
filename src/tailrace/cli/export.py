"""`tailrace export ls | cat PLACE`: which exports of DynamoDB lie somewhere, and what is in one.

Rules of this file: options and output; what an export is and which join is said by exports/, where the files
are by sources/export_files.py. Registered in `main`. Needs no data directory; the verb that does, `write`, is
export_write.py.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from tailrace.cli import options
from tailrace.cli.changes import printable
from tailrace.cli.export_write import write
from tailrace.cli.group import CommandGroup
from tailrace.cli.hints import next_line
from tailrace.cli.status import aligned

if TYPE_CHECKING:
    from tailrace.exports.core.chain import ExportChain
    from tailrace.exports.run.files import ExportFiles
    from tailrace.exports.run.listing import ListedExport, OpenedExport

place_options = (click.argument("place"), *options.bucket)


@click.group(cls=CommandGroup)
def export() -> None:
    """Look at what `aws dynamodb export-table-to-point-in-time` has written, or write the same of a node.

    PLACE is a directory, as `aws s3 sync` leaves it, or s3://BUCKET/PREFIX: an export's own folder or any
    folder above it. Full and incremental exports are read, DYNAMODB_JSON and ION, with gzip, zstandard or
    neither; and data files alone, as `aws dynamodb import-table` takes them. CSV is not.

    \b
    Example: tailrace export ls s3://backups/dynamodb
             tailrace export cat ./exports --export 01693685827463-2d8752fd --limit 3
             tailrace export write --into ./exports --table orders
    Next:    tailrace export ls PLACE
    """


export.add_command(write)


@export.command()
@options.options(*place_options, options.as_json)
def ls(place: str, endpoint: str | None, region: str | None, as_json: bool) -> None:
    """List the exports in PLACE: their tables, times, items and sizes, and how far they join to a chain.

    A chain is one full export and the incremental ones that begin where the last one ends; behind its end
    the table's stream has to tell what came. An export that has not finished, or cannot be read, is listed
    with the reason, and the exit code is 1.

    \b
    Example: tailrace export ls s3://backups/dynamodb --json
             tailrace export ls ./exports
    Next:    tailrace export cat PLACE --export ID --limit 3
    """
    from tailrace.cli.running import run_loop

    run_loop(_list(_files(place, endpoint, region), as_json))


@export.command()
@options.options(
    *place_options,
    click.option("--export", "export_id", metavar="ID", help="Which, where PLACE has more than one."),
    click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many lines."),
)
def cat(
    place: str, endpoint: str | None, region: str | None, export_id: str | None, limit: int | None
) -> None:
    """Print what is in an export, a line an item, as DYNAMODB_JSON, whatever it was written in.

    Items of a full export are {"Item": …}; those of an incremental one are {"Metadata": …, "Keys": …,
    "NewImage": …, "OldImage": …}, without NewImage where the item was deleted. Each file's checksum and count
    are compared with the manifest before its last lines are printed. What is damaged ends it with an error
    that names file and line; nothing is passed over.

    \b
    Example: tailrace export cat ./exports --limit 3
             tailrace export cat s3://backups/dynamodb --export 01693685827463-2d8752fd | jq .Item
    Next:    tailrace export ls PLACE
    """
    from tailrace.cli.running import run_loop

    run_loop(_print(_files(place, endpoint, region), export_id, limit))


def _files(place: str, endpoint: str | None, region: str | None) -> "ExportFiles":
    from tailrace.aws.places import Access
    from tailrace.cli.worker import require_aws
    from tailrace.sources.export_files import S3, export_place

    if place.startswith(S3):
        require_aws()
    return export_place(place, Access(region, endpoint))


async def _print(files: "ExportFiles", export_id: str | None, limit: int | None) -> None:
    from tailrace.exports.core.lines import json_of
    from tailrace.exports.run.reading import PAGE, ExportReader

    left = limit
    reader = ExportReader(files, await _opened(files, export_id), page_items=min(PAGE, limit or PAGE))
    async for page in reader.pages():
        items = page.items if left is None else page.items[:left]
        click.echo(b"".join(json_of(item) + b"\n" for item in items), nl=False)
        if left is not None and (left := left - len(items)) <= 0:
            return


async def _opened(files: "ExportFiles", export_id: str | None) -> "OpenedExport":
    from tailrace.exports.run.listing import chosen_export, list_exports, open_data_files, open_export

    listed = await list_exports(files)
    if not listed and export_id is None:
        return await open_data_files(files)
    return await open_export(files, chosen_export(listed, export_id, files.place))


# ---- ls ----------------------------------------------------------------------------------------------------


async def _list(files: "ExportFiles", as_json: bool) -> None:
    from tailrace.exports.run.listing import list_exports, open_data_files

    listed = await list_exports(files)
    chains = _chains(listed)
    bare = None if listed else await open_data_files(files)
    if as_json:
        click.echo(json.dumps(_document(files, listed, chains, bare)))
    elif bare is not None:
        _tell_bare(files, bare)
    else:
        _tell(files, listed, chains)
    if any(one.problem is not None for one in listed):
        click.get_current_context().exit(1)


def _chains(listed: Sequence["ListedExport"]) -> "dict[tuple[str, str], ExportChain | None]":
    """How far the exports of each table join. Shape: by the table's ARN and id."""
    from tailrace.exports.core.chain import furthest_chain

    tables: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for one in listed:
        if one.summary is not None:
            tables[one.summary.table_arn, one.summary.table_id].append(one.summary)
    return {table: furthest_chain(summaries) for table, summaries in tables.items()}


def _tell(
    files: "ExportFiles",
    listed: Sequence["ListedExport"],
    chains: "Mapping[tuple[str, str], ExportChain | None]",
) -> None:
    rows: list[tuple[str, ...]] = [("EXPORT", "TABLE", "TYPE", "TIME", "ITEMS", "BYTES BILLED", "FORMAT")]
    for one in listed:
        if (summary := one.summary) is not None:
            kind = "full" if summary.is_full else "incremental"
            kind += ", filtered" if summary.is_filtered else ""
            counts = f"{summary.item_count:,}", f"{summary.billed_bytes:,}"
            rows.append(
                (one.export_id, printable(summary.table), kind, summary.times, *counts, summary.format)
            )
    if len(rows) > 1:
        click.echo("\n".join(aligned(rows)))
    for (arn, table_id), chain in chains.items():
        click.echo(_chain_words(printable(arn.rpartition(":table/")[2]), printable(table_id), chain))
    for one in listed:
        for name in one.unchecked:
            click.echo(f"{one.export_id}: no checksum lies beside {name}", err=True)
        if one.problem is not None:
            click.echo(f"{click.style('not readable:', fg='red')} {one.problem.args[0]}", err=True)
            click.echo(next_line(one.problem.hint or ""), err=True)
    readable = next((one for one in listed if one.summary is not None), None)
    if readable is not None:
        click.echo(next_line(f"tailrace export cat {files.place} --export {readable.export_id} --limit 3"))


def _chain_words(table: str, table_id: str, chain: "ExportChain | None") -> str:
    from tailrace.exports.core.manifest import spoken_us

    if chain is None:
        return f"{table} ({table_id}): no full export, so its incremental ones follow nothing"
    count = len(chain.incrementals)
    behind = f" and {count} incremental" if count else ""
    return (
        f"{table} ({table_id}): full export {chain.full.export_id}{behind} tell the table up to "
        f"{spoken_us(chain.end_us)}"
    )


def _tell_bare(files: "ExportFiles", bare: "OpenedExport") -> None:
    click.echo(f"{files.place}: no export, but {len(bare.files)} data files, {bare.total_bytes:,} bytes")
    if bare.passed_over:
        click.echo(f"passed over: {', '.join(map(printable, bare.passed_over))}")
    click.echo(next_line(f"tailrace export cat {files.place} --limit 3"))


def _document(
    files: "ExportFiles",
    listed: Sequence["ListedExport"],
    chains: "Mapping[tuple[str, str], ExportChain | None]",
    bare: "OpenedExport | None",
) -> dict[str, Any]:
    """The same for machines. Units: times in µs since the epoch."""
    return {
        "place": files.place,
        "exports": [_row(one) for one in listed],
        "chains": [
            {
                "table_arn": arn,
                "table_id": table_id,
                "exports": [] if chain is None else [one.export_id for one in chain.exports],
                "up_to_us": None if chain is None else chain.end_us,
            }
            for (arn, table_id), chain in chains.items()
        ],
        "data_files": None if bare is None else len(bare.files),
        "bytes": None if bare is None else bare.total_bytes,
        "passed_over": [] if bare is None else list(bare.passed_over),
    }


def _row(one: "ListedExport") -> dict[str, Any]:
    row: dict[str, Any] = {"export": one.export_id, "folder": one.folder, "unchecked": list(one.unchecked)}
    if one.problem is not None:
        row["problem"], row["hint"] = str(one.problem.args[0]), one.problem.hint
    if (summary := one.summary) is not None:
        row |= {
            "type": summary.export_type,
            "format": summary.format,
            "table_arn": summary.table_arn,
            "table_id": summary.table_id,
            "from_us": summary.from_us,
            "to_us": summary.to_us,
            "view": summary.view,
            "filtered": summary.is_filtered,
            "items": summary.item_count,
            "billed_bytes": summary.billed_bytes,
        }
    return row
