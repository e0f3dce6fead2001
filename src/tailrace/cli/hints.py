"""The next command, as it is to be typed: of a fleet with the options that say which one is asked.

Theory of operation: whatever names a command in a hint or in a line of an answer (views, verbs, errors of any
room) names it alone, for it does not know where it is asked. Here, where that is known, each command in it
that asks a fleet gets the options of this fleet behind its name, so that what is shown can be pasted.
Rules of this file: text in, text out; a command that takes no such options stays as it is, and so does one
that has them already. Called by main.py for every error, and by commands for their own lines.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Final

import click
from msgspec.structs import replace

from tailrace.cli.place import STATE, StateAt

OPTIONS: Final = ("state", "app", "endpoint", "region", "state_endpoint")
_WORDS: Final = re.compile(r"\btailrace((?: [a-z][a-z-]*)+)( --(?:help|state)\b)?")

NEVER_AFAR: Final = {
    "sql": (
        "a DuckDB file is asked where it lies, and while a worker writes it no other process can open it",
        "tailrace projection show NAME for rows in state; tailrace sql --file PATH of a file that no worker "
        "writes",
    ),
    "shards.split": (
        "AWS splits a shard when a table grows, never on request",
        "tailrace shards ls TABLE; or --url of the `tailrace serve` that has the table",
    ),
}
"""Commands that take the options of a fleet to be refused in words: why, and what is to be typed instead."""


def next_line(commands: str) -> str:
    """A line that tells what to type next, each command as it is typed for the fleet that the running one
    asks.
    """
    return f"  {click.style('next:', fg='cyan')} {as_typed(commands)}"


def as_typed(commands: str) -> str:
    """The same text with each command as it is typed for the fleet that the running command asks; where it
    asks none, as it is.
    """
    context = click.get_current_context(silent=True)
    if context is None:
        return commands
    return _completed(commands, _asked(context), context.find_root().command)


def next_start() -> str:
    """The command that runs handlers where the running command has asked."""
    context = click.get_current_context(silent=True)
    place = None if context is None else _asked(context)
    if place is None:
        return "tailrace dev app.py"
    return f"tailrace worker {shlex.quote(place.app)} {replace(place, app='').options}"


def hint_of(hint: str, arguments: Sequence[str], root: click.Command) -> str:
    """A hint of a command line that failed, its commands as they are typed for the fleet that it asked."""
    return _completed(hint, _place(_typed(arguments)), root)


def _typed(arguments: Sequence[str]) -> dict[str, str | None]:
    """What a command line says of a fleet, wherever it failed: perhaps before its options were understood."""
    typed: dict[str, str | None] = {}
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, is_joined, value = argument.partition("=")
        key = name.removeprefix("--").replace("-", "_")
        if name.startswith("--") and key in OPTIONS:
            typed[key] = value if is_joined else following
    return typed


def _asked(context: click.Context) -> StateAt | None:
    return _place(context.meta.get(STATE, {}))


def _place(typed: Mapping[str, str | None]) -> StateAt | None:
    if not (typed.get("state") and typed.get("app")):
        return None
    return StateAt(**{name: value for name, value in typed.items() if value})


def _completed(text: str, place: StateAt | None, root: click.Command) -> str:
    if place is None:
        return text

    def complete(match: re.Match[str]) -> str:
        words = match[1].split()
        count = _name_length(words, root)
        if match[2] or not count:
            return match[0]
        return " ".join(["tailrace", *words[:count], place.options, *words[count:]])

    return _WORDS.sub(complete, text)


def _name_length(words: Sequence[str], root: click.Command) -> int:
    """How many of the words name a command that asks a fleet; 0: they name none."""
    command, count = root, 0
    while isinstance(command, click.Group) and count < len(words):
        following = command.get_command(click.Context(command), words[count])
        if following is None:
            break
        command, count = following, count + 1
    if isinstance(command, click.Group) and count and "ls" in command.commands:
        command = command.commands["ls"] if command.commands["ls"].hidden else command
    named = {parameter.name for parameter in command.params}
    is_asking = {"place", "state", "app"} <= named and not isinstance(command, click.Group)
    return count if is_asking and ".".join(words[:count]) not in NEVER_AFAR else 0
