"""Asking a verb that may lose something: at a terminal what it would do is shown first, and confirmed.

Stands alone because connection.py asks without a terminal, and options.py only declares. Rules of this file:
`--yes`, `--dry-run` and `--json` are never asked back. Called by checkpoint.py and mapping.py.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click

from tailrace.cli.connection import ask
from tailrace.cli.place import Place


def ask_and_tell(
    place: Place,
    verb: str,
    arguments: Mapping[str, Any],
    told: Callable[[Mapping[str, Any]], Iterator[str]],
    loses: Callable[[Mapping[str, Any]], bool],
    question: str,
    *,
    as_json: bool,
) -> None:
    """Ask, and show the answer. Shape: `arguments` have `yes` and `dry_run`; `told` makes lines of an answer;
    `question` is put when the answer of a dry run `loses` something. Raises: Abort, CommandFailure.
    """
    if not (arguments["yes"] or arguments["dry_run"]) and sys.stdin.isatty() and not as_json:
        planned = ask(place, verb, {**arguments, "dry_run": True})
        if loses(planned):
            for text in told(planned):
                click.echo(text)
            click.confirm(question, abort=True)
            arguments = {**arguments, "yes": True}
    answer = ask(place, verb, arguments)
    if as_json:
        click.echo(json.dumps(answer))
        return
    for text in told(answer):
        click.echo(text)
