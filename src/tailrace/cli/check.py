"""`tailrace check`: is everything in the data directory what was written?

Rules of this file: options and output; what is read and judged is `stores.checking`'s. It takes the
directory's lock, so that nothing is written meanwhile. Registered in `main`.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tailrace.cli import options
from tailrace.cli.failures import CommandFailure

if TYPE_CHECKING:
    from tailrace.engine.places import Places
    from tailrace.stores.checking import Damage, Report

SHOWN = 50
"""How many damages are shown to people; --json has all."""


@click.command()
@options.options(options.data, options.as_json)
def check(directory: Path, as_json: bool) -> None:
    """Read everything that a data directory holds, and say what is not what was written.

    Items, index entries, changes, checkpoints and dead letters are held against their checksums; how many
    there are of each table and shard against what the last commit noted, so that what has vanished is seen
    too; SQLite checks its own pages and indexes. It changes nothing. A running node would write meanwhile:
    stop it first, or check a copy. It exits with 1 when anything is damaged, so that a script can ask.

    A running node notices a damaged item or change too, when it is read: the client gets an
    InternalServerError, never wrong data.

    \b
    Example: tailrace check
             tailrace check --data /var/lib/tailrace --json
    Next:    restore the directory from a copy, or start with an empty one: tailrace serve --data DIR
    """
    from tailrace.cli.telling import Bar
    from tailrace.engine.places import places_of_rows
    from tailrace.stores.checking import check_file
    from tailrace.stores.directory import DataDirectory, DirectoryInUse

    if not (directory / "tailrace.db").is_file():
        raise CommandFailure(
            f"There is no store in {directory}, so there is nothing to check.",
            hint="name the data directory: tailrace check --data DIR",
        )
    try:
        held = DataDirectory(directory)
    except DirectoryInUse as error:
        raise CommandFailure(
            f"{str(error.args[0]).capitalize()}, which writes to it: a check would see half of what it does.",
            hint="stop it and check again; what is damaged and read meanwhile is refused with an error "
            "that names it",
        ) from error
    bar = Bar("checking", "row", quiet=as_json)
    try:
        report = check_file(held.database, bar.show)
    finally:
        bar.end()
        held.close()
    damages = [
        _described(damage, places_of_rows(report.catalog))
        for damage in report.damages[: None if as_json else SHOWN]
    ]
    if as_json:
        click.echo(json.dumps(_answer(report, damages)))
    else:
        _show(directory, report, damages)
    if report.damages:
        click.get_current_context().exit(1)


def _described(damage: "Damage", places: "Places") -> dict[str, Any]:
    """A damage in the names that people know."""
    match damage.kind:
        case "row":
            place = places.row(damage.number, damage.key)
        case "record":
            place = places.record(damage.number, damage.sequence)
        case "rows" | "records":
            name = places.table(damage.number) if damage.kind == "rows" else places.shard(damage.number)
            return {
                "kind": damage.kind,
                "of": name,
                "missing": damage.missing,
                "said": damage.problem,
                "words": f"{name}: {damage.problem}",
            }
        case "file":
            return {"kind": "file", "said": damage.problem, "words": f"the file: {damage.problem}"}
    words = f"{place.words.removesuffix(',')}: {damage.problem}"
    return {
        "kind": damage.kind,
        "table": place.table,
        "key": place.key,
        "said": damage.problem,
        "words": words,
    }


def _answer(report: "Report", damages: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "ok": not report.damages,
        "format": report.format,
        "rows": report.rows,
        "changes": report.records,
        "without_checksum": report.unchecked,
        "counted": report.is_counted,
        "damaged": damages,
        "more": report.more,
    }


def _show(directory: Path, report: "Report", damages: list[dict[str, Any]]) -> None:
    from tailrace.cli.changes import counted, printable

    read = f"{counted(report.rows, 'row')} and {counted(report.records, 'change')}"
    click.echo(f"{read} read in {directory} (format {report.format})")
    if report.unchecked:
        click.echo(
            f"{report.unchecked:,} of them have no checksum yet: they were written before there were any, or "
            "with --checksums off. They get one when they are written again."
        )
    if not report.is_counted:
        click.echo(
            "What has vanished would not be seen: a node ran with --checksums off. The next one with "
            "them counts anew."
        )
    if not report.damages:
        click.echo(click.style("Nothing is damaged.", fg="green"))
        return
    for damage in damages:
        click.echo(f"{click.style('damaged', fg='red')}  {printable(damage['words'])}")
    if (hidden := len(report.damages) + report.more - len(damages)) > 0:
        click.echo(f"… and {hidden:,} more: tailrace check --data {directory} --json")
    click.echo(
        f"  {click.style('next:', fg='cyan')} keep a copy of {directory}, then restore it from a backup, or "
        "start with an empty one: tailrace serve --data DIR"
    )
