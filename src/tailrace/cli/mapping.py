"""`tailrace mapping ls|rename|drop`: the handlers that a data directory or a fleet knows by name.

Rules of this file: options and output; the `mapping` verbs do it. Registered in `main`.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from tailrace.cli import options
from tailrace.cli.changes import printable
from tailrace.cli.confirming import ask_and_tell
from tailrace.cli.connection import ask
from tailrace.cli.durations import format_instant
from tailrace.cli.group import CommandGroup
from tailrace.cli.hints import as_typed
from tailrace.cli.place import Place
from tailrace.cli.status import aligned


@click.group(cls=CommandGroup)
def mapping() -> None:
    """List the handlers that this directory or fleet knows, give one another name, or forget one.

    \b
    Example: tailrace mapping ls
             tailrace mapping rename send_mail receipt
             tailrace mapping drop receipt --dry-run
    Next:    tailrace status
    """


@mapping.command()
@options.options(*options.place_or_fleet, options.as_json)
def ls(place: Place, as_json: bool) -> None:
    """List every handler: its app, its table, whether it runs.

    \b
    Example: tailrace mapping ls
    """
    answer = ask(place, "mapping.ls")
    if as_json:
        click.echo(json.dumps(answer))
        return
    rows: list[tuple[str, ...]] = [("HANDLER", "APP", "TABLE", "STATE", "PARKED ITEMS")]
    for handler in answer:
        running = {None: "-", True: "running", False: "not running"}[handler["running"]]
        state = "paused" if handler["paused"] else running
        words = (printable(handler["handler"]), printable(handler["app"]), printable(handler["table"]))
        rows.append((*words, state, str(handler["parked_keys"])))
    for text in aligned(rows) if answer else ["No handler is known here."]:
        click.echo(text)


@mapping.command()
@click.argument("handler")
@click.argument("to")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@options.options(*options.place_or_fleet, options.as_json)
def rename(handler: str, to: str, dry_run: bool, place: Place, as_json: bool) -> None:
    """Give HANDLER the name TO: everything that is kept of it goes with it.

    Checkpoints, dead letters, parked items, marks, open windows, waiting notices.

    For a function that was renamed without `id=`: without this its new name would begin at the oldest change.
    Of a fleet no worker may run meanwhile.

    \b
    Example: tailrace mapping rename send_mail receipt --dry-run
    Next:    tailrace dev app.py
    """
    answer = ask(place, "mapping.rename", {"handler": handler, "to": to, "dry_run": dry_run})
    if as_json:
        click.echo(json.dumps(answer))
        return
    click.echo(f"{answer['rows']} rows {'would go' if dry_run else 'went'} from {handler} to {to}")


@mapping.command()
@click.argument("handler")
@click.option("--yes", is_flag=True, help="Also when something that was never handled would be lost.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@options.options(*options.place_or_fleet, options.as_json)
def drop(handler: str, yes: bool, dry_run: bool, place: Place, as_json: bool) -> None:
    """Forget HANDLER, which the app does not declare any more: everything that is kept of it goes.

    For a handler that was deleted: its app does not start until it is renamed or dropped (`tailrace dev`
    forgets by itself what has nothing pending). What it has never handled is named first, and goes only with
    --yes or when you say so. Declared again, it begins at the oldest change. Of a fleet no worker may run
    meanwhile. Positions that a target has beside its rows stay there; how to remove them is said.

    \b
    Example: tailrace mapping drop receipt --dry-run
             tailrace mapping drop receipt --yes
    Next:    tailrace dlq ls receipt
             tailrace dev app.py
    """
    arguments = {"handler": handler, "dry_run": dry_run, "yes": yes}
    question = "What was never handled is lost. Forget it?"
    ask_and_tell(place, "mapping.drop", arguments, dropped, _loses, question, as_json=as_json)


def _loses(answer: Mapping[str, Any]) -> bool:
    return bool(answer["lost"]) or answer["waiting_since_ms"] is not None


def dropped(answer: Mapping[str, Any]) -> Iterator[str]:
    """What goes or went, in words: counts by kind, then what was never handled."""
    name = f"{printable(answer['handler'])} of app {printable(answer['app'])} on {printable(answer['table'])}"
    yield f"{name}: {answer['rows']} rows {'would be removed' if answer['dry_run'] else 'removed'}"
    yield from (f"  {count} {kind}" for kind, count in answer["kinds"].items())
    yield from (
        click.style(f"never handled: {count} {kind}", fg="yellow") for kind, count in answer["lost"].items()
    )
    for letter in answer["letters"]:
        yield (
            f"  {printable(letter['key'])}  {letter['event_id']}  "
            f"{printable(letter['error'] or letter['condition'])}"
        )
    if len(answer["letters"]) < sum(
        answer["lost"].get(kind, 0) for kind in ("dead letters", "parked changes")
    ):
        yield "  … and more: " + as_typed(f"tailrace dlq ls {printable(answer['handler'])}")
    if answer["waiting_since_ms"] is not None:
        since = format_instant(answer["waiting_since_ms"])
        yield click.style(f"never handled: changes in its streams, the oldest of {since}", fg="yellow")
    for left in answer.get("left_in_target", ()):  # a server of before does not say
        quoted = printable(left).replace("'", "''")
        yield (
            f"its target keeps the positions of {printable(left)}: a handler of that name goes on behind "
            f"them, or with {as_typed(f'tailrace checkpoint set {printable(left)} beginning')}"
        )
        yield (
            "  to remove them: in a SQL target "
            + as_typed(f"DELETE FROM tailrace_positions WHERE mapping = '{quoted}'")
            + ", elsewhere with the table itself"
        )
