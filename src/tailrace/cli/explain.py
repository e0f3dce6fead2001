"""`tailrace explain HANDLER`: what reaches a handler, and why; with `--on lambda`, `--on worker` or `--iam`
what a whole app may do elsewhere, and what it needs there.

Rules of this file: options and output; the answer is the `explain` verb's, or entry's. Registered in `main`.
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import click

from tailrace.cli import options
from tailrace.cli.connection import ask, connect
from tailrace.cli.failures import CommandFailure
from tailrace.cli.place import Place
from tailrace.cli.place import endpoint as endpoint_url


@click.command()
@click.argument("handler", metavar="HANDLER|APP.PY")
@click.option(
    "--app", "app", metavar="APP.PY", help="The app, where none runs: a file, or package.module:app."
)
@click.option(
    "--on",
    "on",
    type=click.Choice(["lambda", "worker"]),
    help="What an app's handlers are on AWS Lambda, or by `tailrace worker`.",
)
@click.option(
    "--endpoint",
    callback=endpoint_url,
    metavar="URL",
    help="With --on worker: where the tables are, if not at AWS.",
)
@click.option("--region", metavar="REGION", help="With --on worker: the region of the tables.")
@click.option(
    "--iam", is_flag=True, help="The least statements for the roles of an app's worker and function."
)
@click.option("--state", metavar="dynamodb:TABLE", help="With --on and --iam: where state is kept.")
@click.option(
    "--account", default="*", metavar="ID", help="With --iam: the account of what is named without."
)
@options.options(*options.place, options.as_json)
def explain(
    handler: str,
    app: str | None,
    on: str | None,
    endpoint: str | None,
    region: str | None,
    iam: bool,
    state: str | None,
    account: str,
    place: Place,
    as_json: bool,
) -> None:
    """Print which changes reach a handler: the event pattern, the residual judged in process, and why.

    The pattern is the widest that is sound: it drops nothing that the handler wants. Beside a running server
    its app is asked; elsewhere --app names one. Of the changes that the stream still keeps it counts what
    each of the two saves.

    \b
    Example: tailrace explain receipt
             tailrace explain receipt --app app.py
             tailrace explain --on lambda app.py
             tailrace explain --on worker app.py --endpoint http://localhost:8000
             tailrace explain --iam app.py --json
    Next:    tailrace status
    """
    if iam and on is not None:
        raise click.UsageError("--iam prints the statements of worker and function: leave out --on.")
    if on == "worker":
        from tailrace.cli.explain_worker import tell_worker

        tell_worker(app or handler, state, endpoint, region, as_json=as_json)
        return
    if on is not None or iam:
        from tailrace.cli.explain_app import tell_app

        tell_app(app or handler, state, account if iam else None, as_json=as_json)
        return
    from tailrace.app.explain import lines_of

    value = ask(place, "explain", {"handler": handler}) if app is None else _from_file(app, handler, place)
    if as_json:
        click.echo(json.dumps(value))
        return
    for text in lines_of(value):
        click.echo(text)


def _from_file(app: str, handler: str, place: Place) -> dict[str, Any]:
    from tailrace.app.loading import load_app
    from tailrace.compose import EngineOptions, open_engine
    from tailrace.errors import SettingsError
    from tailrace.server.explaining import explained
    from tailrace.sources.embedded_log import EmbeddedLog

    loaded = load_app(app)
    directory = place if isinstance(place, Path) and place.is_dir() else None
    if directory is not None and (connection := connect(directory)) is not None:
        connection.close()
        directory = None
    if directory is not None:
        engine = open_engine(EngineOptions(directory=directory, checksums=None))
        try:
            return asyncio.run(explained(EmbeddedLog(engine), loaded, handler))
        finally:
            engine.close()
    try:
        return loaded.explain(handler).value()
    except SettingsError as error:
        declared = next((mapping.id for mapping in loaded.mappings), None)
        step = f"tailrace dev {app}" if declared is None else f"tailrace explain {declared} --app {app}"
        raise CommandFailure(str(error.args[0]), hint=step) from error
