"""`tailrace pause|resume HANDLER`: a handler starts nothing new until it is told to go on.

Rules of this file: options and output; the `pause` and `resume` verbs do it. Registered in `main`.
"""

import json

import click

from tailrace.cli import options
from tailrace.cli.connection import ask
from tailrace.cli.place import Place

dry_run = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")


@click.command()
@click.argument("handler")
@dry_run
@options.options(*options.place_or_fleet, options.as_json)
def pause(handler: str, dry_run: bool, place: Place, as_json: bool) -> None:
    """Let HANDLER start nothing new. What runs ends; nothing is lost.

    Changes wait in the stream for up to 24 hours. It holds after a restart, and can be said without a server.

    \b
    Example: tailrace pause receipt
    Next:    tailrace resume receipt
    """
    _tell("pause", handler, dry_run, place, as_json)


@click.command()
@click.argument("handler")
@dry_run
@options.options(*options.place_or_fleet, options.as_json)
def resume(handler: str, dry_run: bool, place: Place, as_json: bool) -> None:
    """Let HANDLER go on after a pause.

    \b
    Example: tailrace resume receipt
    Next:    tailrace status
    """
    _tell("resume", handler, dry_run, place, as_json)


def _tell(verb: str, handler: str, dry_run: bool, place: Place, as_json: bool) -> None:
    answer = ask(place, verb, {"handler": handler, "dry_run": dry_run})
    if as_json:
        click.echo(json.dumps(answer))
        return
    now = "paused" if answer["paused"] else "running"
    was = "paused" if answer["was_paused"] else "running"
    click.echo(f"{handler}: {'would be' if dry_run else 'is'} {now} (it was {was})")
