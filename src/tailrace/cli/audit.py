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
@options.options(*options.place, options.as_json)
def audit(last: int, place: Place, as_json: bool) -> None:
    """Read what people did: redrives, drops, pauses, renames; how it ended, and why not well. The newest
    comes last.

    `-` says that nobody knows how it ended: the server went meanwhile, or it was before this was kept.

    \b
    Example: tailrace audit --last 20
    Next:    tailrace dlq ls
    """
    answer = ask(place, "audit", {"last": last})
    if as_json:
        click.echo(json.dumps(answer))
        return
    rows: list[tuple[str, ...]] = [("WHEN", "WHO", "WHAT", "ENDED", "HOW")]
    for each in answer:
        given = {name: value for name, value in each["arguments"].items() if value not in (None, {}, False)}
        how = printable(json.dumps(given))
        if reason := each["reason"]:
            how += f" · {shown(printable(reason))}"
        rows.append(
            (format_instant(each["at_ms"]), printable(each["by"]), each["verb"], each["outcome"] or "-", how)
        )
    for text in aligned(rows) if answer else ["Nobody has changed anything here."]:
        click.echo(text)
