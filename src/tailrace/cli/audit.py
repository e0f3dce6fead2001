"""`tailrace audit`: what people did to this data directory.

Rules of this file: options and output; the answer is the `audit` verb's. Registered in `main`.
"""

import json

import click

from tailrace.cli import options
from tailrace.cli.changes import printable, shown
from tailrace.cli.connection import ask
from tailrace.cli.durations import format_instant
from tailrace.cli.place import Place
from tailrace.cli.status import aligned


@click.command()
@click.option("--last", default=100, show_default=True, type=click.IntRange(1, 10_000), help="How many.")
@options.options(*options.place_or_fleet, options.as_json)
def audit(last: int, place: Place, as_json: bool) -> None:
    """Read what people did: redrives, drops, pauses, renames; how each ended, and why not well.

    The newest comes last. `-` stands where the end is not known: the server went meanwhile, or it was before
    this was kept.

    \b
    Example: tailrace audit --last 20
    Next:    tailrace dlq ls
    """
    answer = ask(place, "audit", {"last": last})
    if as_json:
        click.echo(json.dumps(answer))
        return
    rows: list[tuple[str, ...]] = [("WHEN", "WHO", "WHAT", "ENDED", "HOW")]
    for entry in answer:
        arguments = {
            name: value for name, value in entry["arguments"].items() if value not in (None, {}, False)
        }
        how = printable(json.dumps(arguments))
        if reason := entry["reason"]:
            how += f" · {shown(printable(reason))}"
        rows.append(
            (
                format_instant(entry["at_ms"]),
                printable(entry["by"]),
                entry["verb"],
                entry["outcome"] or "-",
                how,
            )
        )
    for text in aligned(rows) if answer else ["Nothing has been changed here."]:
        click.echo(text)
