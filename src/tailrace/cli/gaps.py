"""`tailrace gaps`: what handlers never saw.

Rules of this file: options and output; the answer is the `gaps` verb's. Registered in `main`.
"""

import json
from pathlib import Path

import click

from tailrace.cli import options
from tailrace.cli.changes import printable
from tailrace.cli.connection import ask
from tailrace.cli.durations import format_instant
from tailrace.cli.status import aligned


@click.command()
@click.argument("handler", required=False)
@options.options(options.data, options.as_json)
def gaps(handler: str | None, directory: Path, as_json: bool) -> None:
    """List changes that were trimmed before a handler read them: of all handlers, or of HANDLER.

    A stream keeps its changes for 24 hours. A handler that was away for longer has missed what fell out meanwhile; nothing else is ever
    missed. It exits with 1 when there is a gap, so that a script can ask.

    \b
    Example: tailrace gaps
             tailrace gaps receipt --json
    Next:    tailrace status
    """
    answer = ask(directory, "gaps", {"handler": handler})
    if as_json:
        click.echo(json.dumps(answer))
    elif not answer:
        click.echo("No gap: whatever was trimmed had been read before.")
    else:
        rows: list[tuple[str, ...]] = [("HANDLER", "TABLE", "SHARD", "FROM", "UNTIL", "FIRST", "LAST")]
        for each in answer:
            times = [
                "?" if time is None else format_instant(time) for time in (each["from_ms"], each["until_ms"])
            ]
            rows.append(
                (printable(each["handler"]), printable(each["table"]), each["shard"], *times, each["first"], each["last"])
            )  # fmt: skip
        for text in aligned(rows):
            click.echo(text)
    if answer:
        click.get_current_context().exit(1)
