"""How exports are written by commands: the plan, the bar, what a failure leaves, and what is said.

Rules of this file: output and what commands share; exports/run/writing.py writes.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from tailrace.cli.changes import counted, printable
from tailrace.cli.hints import next_line

if TYPE_CHECKING:
    from tailrace.exports.core.plan import PlannedExport
    from tailrace.exports.run.writing import ExportedRows
    from tailrace.sources.export_files import WrittenPlace


def plan_of(written: "WrittenPlace", table: Mapping[str, Any], format: Any) -> "PlannedExport":
    """A new export of a table, that begins now. Shape: `table` as of `row_of`; with `from_us` and `view` an
    incremental one.
    """
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
        table.get("from_us"),
        table.get("view"),
    )


async def write_one(
    written: "WrittenPlace",
    plan: "PlannedExport",
    table: Mapping[str, Any],
    rows: "ExportedRows",
    *,
    as_json: bool,
) -> dict[str, Any]:
    """Write an export. Returns: what is said of it. Raises: what writing and the rows raise."""
    from tailrace.cli.telling import Bar
    from tailrace.clocks.system import SystemClock
    from tailrace.errors import ArchiveError, TailraceError
    from tailrace.exports.run.writing import discard_export, write_export

    bar = Bar(printable(table["table"]), quiet=as_json)
    try:
        summary = await write_export(
            written.archive,
            plan,
            rows,
            SystemClock(),
            progress=lambda done: bar.show(done.items, table["items"] or 0),
        )
    except BaseException as error:
        with suppress(TailraceError):  # the place may be what has failed; what is left there is no export
            await discard_export(written.archive, plan)
        if isinstance(error, ArchiveError) and error.hint is None:
            error.hint = "the same command again, which begins anew, or with another --into"
        raise
    finally:
        bar.end()
    return row_of(table, plan) | {"items": summary.item_count, "bytes": summary.billed_bytes}


def row_of(table: Mapping[str, Any], plan: "PlannedExport | None") -> dict[str, Any]:
    """One export for machines. Units: to_us and from_us in µs since the epoch."""
    return {
        "table": table["table"],
        "table_arn": table["arn"],
        "table_id": table["table_id"],
        "to_us": table["to_us"],
        "from_us": table.get("from_us"),
        "items": table["items"],
        "bytes": table["bytes"],
        "export": None if plan is None else plan.export_id,
        "folder": None if plan is None else plan.folder,
        "format": None if plan is None else plan.format,
    }


def tell(into: str, rows: Sequence[Mapping[str, Any]], *, as_json: bool, is_dry: bool) -> None:
    """Say what was written, or would be."""
    from tailrace.exports.core.manifest import spoken_us

    if as_json:
        click.echo(json.dumps({"into": into, "dry_run": is_dry, "exports": list(rows)}))
        return
    for row in rows:
        name, moment = printable(row["table"]), spoken_us(row["to_us"])
        time = (
            f"as of {moment}" if row["from_us"] is None else f"from {spoken_us(row['from_us'])} to {moment}"
        )
        verb = "would be written" if is_dry else f"written as export {row['export']}"
        size = "" if row["bytes"] is None else f"{counted(row['bytes'], 'byte')}, "
        items = "" if row["items"] is None else f"{counted(row['items'], 'item')}, "
        click.echo(f"{name}: {items}{size}{time}: {verb}")
    click.echo(next_line(f"tailrace export ls {into}"))
