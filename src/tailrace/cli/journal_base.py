"""`tailrace journal base`: exports of a table become what its journal begins with.

Stands alone because it needs the app, which knows the table's key, and the other verbs of journals do not.
Rules of this file: options and output; what may be a base says journal/run/exported_base.py.
"""

import json
from typing import TYPE_CHECKING

import click
import msgspec

from tailrace.cli import options
from tailrace.cli.changes import counted, printable
from tailrace.cli.hints import next_line
from tailrace.cli.loading import load
from tailrace.cli.past import archive_of, of_app

if TYPE_CHECKING:
    from tailrace.app.app import App, HandlerMapping


@click.command()
@options.options(
    of_app,
    click.option(
        "--from",
        "source",
        required=True,
        metavar="PLACE",
        help="Where the exports lie: a directory, or s3://BUCKET/PREFIX.",
    ),
    click.option("--table", metavar="TABLE", help="Which, where the app keeps several journals."),
    click.option("--export", "export_id", default="", metavar="ID", help="The full export to begin with."),
    click.option("--dry-run", is_flag=True, help="Say which exports would be read, and write nothing."),
    *options.bucket,
    options.as_json,
)
def base(
    app: str,
    source: str,
    table: str | None,
    export_id: str,
    dry_run: bool,
    endpoint: str | None,
    region: str | None,
    as_json: bool,
) -> None:
    """Let a journal begin with exports of its table, as `aws dynamodb export-table-to-point-in-time` makes
    them: items that have not changed since are known then, and the table is not read.

    The app says `app.archive(…, base=False)`, else the worker reads the table itself. A full export and the
    incremental ones that follow it must reach as far as the journal begins. They are one base, as of their
    end: an incremental export says what became of an item, not what happened to it meanwhile.

    \b
    Example: tailrace journal base --app app.py --from s3://backups/dynamodb --dry-run
             tailrace journal base --app app.py --from ./exports --export 01693685827463-2d8752fd
    Next:    tailrace journal status PLACE
    """
    from tailrace.cli.running import run_loop

    loaded = load(app)
    mapping = archive_of(loaded, app, table)
    run_loop(_base(loaded, mapping, source, export_id, dry_run, endpoint, region, as_json))


async def _base(
    app: "App",
    mapping: "HandlerMapping",
    source: str,
    export_id: str,
    is_dry: bool,
    endpoint: str | None,
    region: str | None,
    as_json: bool,
) -> None:
    from functools import partial

    from tailrace.archives.opening import archive_at
    from tailrace.aws.places import Access
    from tailrace.clocks.system import SystemClock
    from tailrace.exports.core.manifest import spoken_us
    from tailrace.journal.run.exported_base import exported_base
    from tailrace.journal.run.opened_past import table_in
    from tailrace.journal.run.reading import JournalReader
    from tailrace.sources.export_files import export_place
    from tailrace.sources.export_scan import ExportScan

    plan, name, clock = mapping.archive, mapping.table.name, SystemClock()
    assert plan is not None
    archive = plan.archive or archive_at(plan.place, plan.access)
    table = await table_in(archive, name, app.region, None, plan.place)
    exported = ExportScan([mapping.table], partial(export_place, access=Access(region, endpoint)))
    async with JournalReader(archive, table, clock) as reader:
        planned = await exported_base(reader, exported, name, source, export_id)
        chosen = planned.chosen
        base = None if is_dry else await planned.write(archive, clock)
    if as_json:
        told = {"table": name, "dry_run": is_dry, "exports": chosen.exports, "as_of_us": chosen.told_us}
        click.echo(json.dumps({**told, "base": msgspec.to_builtins(base)}))
        return
    items = counted(chosen.items if base is None else base.rows, "item")
    verb = "would be" if base is None else "is"
    click.echo(
        f"{printable(name)}: the base of its journal {verb} {len(chosen.exports)} exports, {items}, as of "
        f"{spoken_us(chosen.told_us)}"
    )
    click.echo(next_line(f"tailrace journal status {plan.place}"))
