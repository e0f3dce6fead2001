"""`tailrace clock show|advance|set`: time, where it may be bent.

Rules of this file: options and output; time itself belongs to the server. Registered in `main`.
"""

import json
from typing import Any

import click

from tailrace.cli import options
from tailrace.cli.connection import ask
from tailrace.cli.durations import duration, format_duration, format_instant, instant
from tailrace.cli.group import CommandGroup
from tailrace.cli.place import Place


@click.group(cls=CommandGroup)
def clock() -> None:
    """Show or bend time, for clients in any language.

    Only a server started with `--clock manual` lets its time be changed: expiry, the 24-hour trim, retries
    and iterators then follow at once.

    \b
    Example: tailrace serve --clock manual
             tailrace clock advance 25h
    Next:    tailrace status
    """


@clock.command()
@options.options(*options.place, options.as_json)
def show(place: Place, as_json: bool) -> None:
    """Say what time the server has.

    \b
    Example: tailrace clock show
    """
    tell(ask(place, "clock.show"), as_json)


@clock.command()
@click.argument("by", callback=duration)
@options.options(*options.place, options.as_json)
def advance(by: int, place: Place, as_json: bool) -> None:
    """Move time forward BY a duration: 90s, 15m, 25h, 2d, 1h30m.

    \b
    Example: tailrace clock advance 25h      the trim, every expiry and every retry that is due
    Next:    tailrace status
    """
    tell(ask(place, "clock.advance", {"ms": by}), as_json)


@clock.command("set")
@click.argument("to", callback=instant)
@options.options(*options.place, options.as_json)
def set_clock(to: int, place: Place, as_json: bool) -> None:
    """Move time forward TO an instant in ISO 8601; without a zone it is UTC.

    \b
    Example: tailrace clock set 2026-10-31T23:59Z
    Next:    tailrace status
    """
    tell(ask(place, "clock.set", {"wall_ms": to}), as_json)


def tell(answer: dict[str, Any], as_json: bool) -> None:
    """What time it is, and how far it was moved."""
    if as_json:
        click.echo(json.dumps(answer))
        return
    moved = f", {format_duration(answer['moved_ms'])} later" if answer.get("moved_ms") else ""
    click.echo(f"{format_instant(answer['wall_ms'])} by the {answer['clock']} clock{moved}")
