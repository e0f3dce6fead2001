"""`tailrace audit`: what people did to this data directory.

Rules of this file: options and output; the answer is the `audit` verb's. Registered in `main`.
"""

import json

import click

from tailrace.cli import options
from tailrace.cli.changes import printable
from tailrace.cli.connection import ask
from tailrace.cli.durations import format_instant
from tailrace.cli.place import Place
from tailrace.cli.status import aligned


@click.command()
@click.option("--last", default=100, show_default=True, type=click.IntRange(1, 10_000), help="How many.")
@options.options(*options.place, options.as_json)
def audit(last: int, place: Place, as_json: bool) -> None:
    """Read what people did: redrives, drops, pauses, renames, moved clocks. The newest comes last.

    \b
    Example: tailrace audit --last 20
    Next:    tailrace dlq ls
    """
    answer = ask(place, "audit", {"last": last})
    if as_json:
        click.echo(json.dumps(answer))
        return
    rows: list[tuple[str, ...]] = [("WHEN", "WHO", "WHAT", "HOW")]
    for each in answer:
        given = {name: value for name, value in each["arguments"].items() if value not in (None, {}, False)}
        rows.append(
            (format_instant(each["at_ms"]), printable(each["by"]), each["verb"], printable(json.dumps(given)))
        )
    for text in aligned(rows) if answer else ["Nobody has changed anything here."]:
        click.echo(text)
