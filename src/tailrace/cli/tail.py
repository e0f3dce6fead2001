"""`tailrace tail TABLE`: a table's changes as they happen.

Rules of this file: options and output; the changes come from the `tail` verb. Registered in `main`.
"""

import json

import click

from tailrace.cli import options
from tailrace.cli.changes import line
from tailrace.cli.connection import answers
from tailrace.cli.place import Place


@click.command()
@click.argument("table")
@click.option("--diff", is_flag=True, help="Show what differs, old → new, not the whole item.")
@click.option("--from-start", is_flag=True, help="Begin with the oldest change that is kept (24 hours).")
@options.options(*options.place_or_fleet, options.as_json)
def tail(table: str, diff: bool, from_start: bool, place: Place, as_json: bool) -> None:
    """Watch TABLE's changes live: time, event, key, item. Ctrl-C ends it.

    It needs a running server (`tailrace serve` or `tailrace dev`); without one, --from-start prints what is
    there and ends. Each change can be looked into with `why`.

    \b
    Example: tailrace tail shop --diff
    Next:    tailrace why shop/o1
    """
    changes = answers(place, "tail", {"table": table, "from_start": from_start}, endless=True)
    for change in changes:
        click.echo(json.dumps(change) if as_json else line(change, diff=diff))
    if not as_json:  # a server goes on for ever
        click.echo(
            f"No server runs on {place}: this is all that is kept, and nothing more will come.", err=True
        )
        click.echo(f"  {click.style('next:', fg='cyan')} tailrace dev app.py --data {place}", err=True)
