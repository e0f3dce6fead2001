"""`tailrace mapping ls|rename`: the handlers that a data directory knows by name.

Rules of this file: options and output; the `mapping` verbs do it. Registered in `main`.
"""

import json
from pathlib import Path

import click

from tailrace.cli import options
from tailrace.cli.changes import printable
from tailrace.cli.connection import ask
from tailrace.cli.status import aligned


@click.group()
def mapping() -> None:
    """List the handlers that this directory knows, or give one another name.

    \b
    Example: tailrace mapping ls
             tailrace mapping rename send_mail receipt
    Next:    tailrace status
    """


@mapping.command()
@options.options(options.data, options.as_json)
def ls(directory: Path, as_json: bool) -> None:
    """List every handler: its app, its table, whether it runs.

    \b
    Example: tailrace mapping ls
    """
    answer = ask(directory, "mapping.ls")
    if as_json:
        click.echo(json.dumps(answer))
        return
    rows: list[tuple[str, ...]] = [("HANDLER", "APP", "TABLE", "STATE", "PARKED ITEMS")]
    for each in answer:
        state = "paused" if each["paused"] else "running" if each["running"] else "not running"
        words = (printable(each["handler"]), printable(each["app"]), printable(each["table"]))
        rows.append((*words, state, str(each["parked_keys"])))
    for text in aligned(rows) if answer else ["No handler is known here."]:
        click.echo(text)


@mapping.command()
@click.argument("handler")
@click.argument("to")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@options.options(options.data, options.as_json)
def rename(handler: str, to: str, dry_run: bool, directory: Path, as_json: bool) -> None:
    """Give HANDLER the name TO: its checkpoints, dead letters, parked items and marks go with it.

    For a function that was renamed without `id=`: without this its new name would begin at the oldest change.

    \b
    Example: tailrace mapping rename send_mail receipt --dry-run
    Next:    tailrace dev app.py
    """
    answer = ask(directory, "mapping.rename", {"handler": handler, "to": to, "dry_run": dry_run})
    if as_json:
        click.echo(json.dumps(answer))
        return
    click.echo(f"{answer['rows']} rows {'would go' if dry_run else 'went'} from {handler} to {to}")
