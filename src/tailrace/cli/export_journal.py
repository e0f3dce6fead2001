"""`tailrace export write --journal APP`: what a journal knows, written as DynamoDB exports it.

Stands alone because it reads an app and its journal, and the other half of the command asks a node.
Rules of this file: options and output; what is exported says journal/run/exporting.py.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from tailrace.cli.exporting import plan_of, row_of, tell, write_one
from tailrace.cli.failures import CommandFailure
from tailrace.cli.loading import load
from tailrace.cli.past import advised, archived_table

if TYPE_CHECKING:
    from tailrace.journal.run.exporting import JournalExports
    from tailrace.sources.export_files import WrittenPlace

LEAST_US = 1_000


class TypedExport(NamedTuple):
    """What was typed. Shape: times as texts; without any, the newest moment."""

    app: str
    tables: tuple[str, ...]
    at: str | None
    since: str | None
    until: str | None
    format: str
    view: str


async def write_journal(
    into: str, written: "WrittenPlace", wanted: TypedExport, *, is_dry: bool, as_json: bool
) -> None:
    """Write an export of each table. Raises: CommandFailure, TailraceError."""
    from tailrace.exports.core.plan import checked_plan
    from tailrace.exports.run.writing import rows_of
    from tailrace.journal.run.exporting import JournalExports

    from_us, to_us = _times(wanted)
    app = load(wanted.app)
    rows = []
    for name in wanted.tables or (None,):
        archived = archived_table(app, wanted.app, name)
        exports = JournalExports(archived.reader, archived.schema)
        try:
            table = await _table(exports, archived.schema.name, from_us, to_us, wanted.view)
            if table["later"]:
                click.echo(f"{table['table']}: {table['later']}", err=True)
            plan = checked_plan(plan_of(written, table, wanted.format))
            if is_dry:
                rows.append(row_of(table, None))
            else:
                rows.append(await write_one(written, plan, table, rows_of(exports, plan), as_json=as_json))
        finally:
            archived.reader.close()
    tell(into, rows, as_json=as_json, is_dry=is_dry)


def _times(wanted: TypedExport) -> tuple[int | None, int | None]:
    """The window; without a beginning it is a moment, None: as far as the journal goes."""
    from tailrace.app.moments import moment_us

    if (wanted.since is None) != (wanted.until is None):
        raise click.UsageError("--since and --until go together: what became of items between them")
    if wanted.since is not None and wanted.until is not None:
        if wanted.at is not None:
            raise click.UsageError("--at is a moment, --since and --until are a window: one of them")
        return moment_us(wanted.since), moment_us(wanted.until)
    return None, None if wanted.at is None else moment_us(wanted.at)


async def _table(
    exports: "JournalExports", name: str, from_us: int | None, to_us: int | None, view: str
) -> dict[str, Any]:
    """What is to be written, as of cli/exporting.py."""
    at_us = await exports.newest_us() if to_us is None else to_us
    if at_us % LEAST_US:
        raise CommandFailure("An export is as of a whole millisecond: name one.")
    with advised("name times that it knows; it begins and ends as says: tailrace journal status PLACE"):
        moment = await exports.moment(at_us, from_us)
    return {
        "table": name,
        "arn": moment.arn,
        "table_id": moment.table_id,
        "to_us": at_us,
        "from_us": from_us,
        "view": None if from_us is None else view,
        "items": moment.items,
        "bytes": None,
        "later": moment.later,
    }
