"""`tailrace explain --on lambda APP.PY` and `tailrace explain --iam APP.PY`: an app as it stands in its file,
asked for what it needs elsewhere.

Rules of this file: output; what is said is entry's. Stands alone because it loads what a question to a
running server does not need. Called by explain.py.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click

from tailrace.app.app import App
from tailrace.app.loading import load_app
from tailrace.app.mapping import HandlerMapping
from tailrace.entry.fitness import STATE, judge, mapping_settings
from tailrace.entry.permissions import permissions_of
from tailrace.errors import SettingsError
from tailrace.postgresql import shown
from tailrace.stores.dynamodb_layout import named_table


def tell_app(name: str, state: str | None, account: str | None, *, as_json: bool) -> None:
    """Print what an app is on Lambda or, for an account, what its roles need. Raises: SettingsError."""
    app = load_app(name)
    state = state or os.environ.get(STATE) or app.lambda_state
    if account is None:
        if state is not None and named_table(state) is None:
            raise SettingsError(
                f"{shown(state)!r} is no state table: on Lambda state is kept in DynamoDB, or nowhere",
                hint=f"tailrace explain --on lambda {name} --state dynamodb:TABLE",
            )
        value, lines = on_lambda(app, state), lambda_lines
    else:
        value, lines = permissions_of(app, state, account).value(), iam_lines
    if as_json:
        click.echo(json.dumps(value))
        return
    for line in lines(value):
        click.echo(line)


def on_lambda(app: App, state: str | None) -> dict[str, Any]:
    """What an app's handlers are on Lambda, and how their event source mappings are to be made, as JSON."""
    verdicts = judge(app, keeps=state is not None)

    def said(mapping: HandlerMapping, word: str) -> list[str]:
        return [verdict.says for verdict in verdicts if (verdict.handler, verdict.word) == (mapping.id, word)]

    mine = [mapping for mapping in app.mappings if not mapping.only_counts]
    running = [mapping for mapping in app.mappings if not said(mapping, "refused")]
    handlers = [
        {
            "handler": mapping.id,
            "table": mapping.table.name,
            "runs": mapping in running,
            "refused": said(mapping, "refused"),
            "differs": said(mapping, "differs"),
        }
        for mapping in mine
    ]
    by_table: dict[str, list[HandlerMapping]] = {}
    for mapping in running:
        by_table.setdefault(mapping.table.name, []).append(mapping)
    mappings = {table: mapping_settings(there) for table, there in by_table.items()}
    return {"on": "lambda", "state": state, "handlers": handlers, "mappings": mappings}


def lambda_lines(value: Mapping[str, Any]) -> Iterator[str]:
    """The same for people; what is so of several handlers is said once."""
    named = value["state"] or f"none: {STATE}=dynamodb:TABLE names a table in which failing items wait"
    yield f"state     {named}"
    differences: dict[str, list[str]] = {}
    for handler in value["handlers"]:
        yield f"{handler['handler']} ← {handler['table']}: {'runs' if handler['runs'] else 'is refused'}"
        yield from (f"  refused   {says}" for says in handler["refused"])
        for says in handler["differs"] if handler["runs"] else ():
            differences.setdefault(says, []).append(handler["handler"])
    if differences:
        yield "what is otherwise than in a worker"
    for says, handlers in differences.items():
        yield f"  {', '.join(handlers)}: {says}"
    for table, settings in value["mappings"].items():
        yield f"the event source mapping of {table}"
        yield from (f"  {name} {json.dumps(setting)}" for name, setting in settings.items())


def iam_lines(value: Mapping[str, Any]) -> Iterator[str]:
    """Two policies for people."""
    for role in ("worker", "function"):
        yield f"the role of a {role}"
        for statement in value[role]["Statement"]:
            yield f"  {statement['Sid']:<16} {_listed(statement['Action'])}"
            yield from (f"  {'':<16}   on {resource}" for resource in statement["Resource"])
    yield from (f"note: {note}" for note in value["notes"])


def _listed(actions: Iterable[str]) -> str:
    """Actions of one service, which is named once."""
    first, *others = actions
    return ", ".join((first, *(other.partition(":")[2] for other in others)))
