"""`tailrace sink compact NAME`: large files out of a lake's small ones.

Rules of this file: options and output; the sink does it, in this process, from the app's declaration alone:
workers go on beside it. Part of `tailrace sink`.
"""

import json
from typing import Any, Protocol, runtime_checkable

import click
from msgspec.structs import asdict

from tailrace.cli import options
from tailrace.cli.changes import printable
from tailrace.cli.failures import CommandFailure
from tailrace.cli.loading import load


@runtime_checkable
class Compactable(Protocol):
    """A sink of files that become larger ones."""

    def size(self) -> Any:
        """What there is, and what would be taken."""

    def compact(self) -> None:
        """Do it."""


@click.command()
@click.argument("name")
@click.option(
    "--app", required=True, metavar="APP", help="The app that declares the sink: a file or a module."
)
@click.option("--dry-run", is_flag=True, help="Say what would be joined or folded, and write nothing.")
@options.options(options.as_json)
def compact(name: str, app: str, dry_run: bool, as_json: bool) -> None:
    """Make large files of the small ones of the lake or log NAME, and delete what is not used any more.

    Workers do it beside delivery from `compact_files` small files on; this does it at once, as from a nightly
    job. It needs no worker, stops none, and may be cut off at any moment.

    \b
    Example: tailrace sink compact orders.ParquetLake --app app.py --dry-run
             tailrace sink compact orders.ParquetLake --app app.py
    Next:    tailrace sink verify orders.ParquetLake
    """
    lake = _named(app, name)
    before = lake.size()
    after = before
    if not dry_run:
        lake.compact()
        after = lake.size()
    if as_json:
        click.echo(
            json.dumps({"sink": name, "dry_run": dry_run, "before": asdict(before), "after": asdict(after)})
        )
        return
    words = f"{printable(name)}: {_files(before.files)}, {_told(before.size)}"
    if dry_run:
        click.echo(f"{words}; {before.small:,} of them would be taken, {_told(before.small_size)}")
        click.echo(f"  {_files(before.old)} that nothing has used for an hour would be deleted")
    else:
        click.echo(f"{words} -> {_files(after.files)}, {_told(after.size)}")


def _named(app: str, name: str) -> Compactable:
    """The lake of that name. Raises: CommandFailure that names those there are."""
    sinks: dict[str, object] = {mapping.id: mapping.sink for mapping in load(app).mappings}
    there = {known: sink for known, sink in sinks.items() if isinstance(sink, Compactable)}
    if name not in there:
        words = ", ".join(map(printable, sorted(there))) or "none"
        raise CommandFailure(
            f"{app} declares no lake {printable(name)!r}. Lakes: {words}.",
            hint="tailrace sink ls" if not there else f"tailrace sink compact {sorted(there)[0]} --app {app}",
        )
    return there[name]


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"


def _told(size: int) -> str:
    return f"{size / 1_000:,.0f} kB" if size < 1_000_000 else f"{size / 1_000_000:,.1f} MB"
