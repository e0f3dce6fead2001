"""`tailrace serve`: the engine, for any DynamoDB client.

Rules of this file: options and words; everything that runs is `compose.Node`, everything about running it
here is `cli.running`. Registered in `main`.
"""

import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from tailrace.cli import options
from tailrace.cli.failures import CommandFailure
from tailrace.cli.running import Serving, begin_of_start

if TYPE_CHECKING:
    from tailrace.app.function_settings import NamedFunction

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")


@click.command()
@options.options(*options.serving)
@click.option(
    "--function",
    "functions",
    multiple=True,
    metavar="NAME=MODULE:ATTRIBUTE",
    help="A Lambda function for Lambda's API (boto3's `lambda`): event source mappings, Invoke. Repeatable.",
)
def serve(functions: tuple[str, ...], **chosen: Any) -> None:
    """Run the engine for any DynamoDB client in any language. Ctrl-C drains and ends it.

    Any credentials will do. A client sees the tables of its region, and of its account when its access
    key is 12 digits; --one-namespace shows all tables to all. It also answers /metrics (Prometheus) and
    /ready. The exit code is 0 after a whole drain, 3 when something was left after --drain, which is told.

    \b
    Example: tailrace serve --port 8000
             aws dynamodb list-tables --endpoint-url http://127.0.0.1:8000
    Next:    tailrace tail TABLE      watch what is written
             tailrace dev app.py      the same, with your handlers
    """
    serving = Serving(**chosen)
    serving.check()
    begin_of_start()
    from tailrace.cli.logs import set_up
    from tailrace.cli.running import build_node, run_loop, run_until_stopped

    set_up(serving.log_format, verbose=serving.verbose)
    run_loop(
        run_until_stopped(
            build_node(serving, functions=read_functions(functions)),
            serving,
            lambda port: announce(serving, port),
        )
    )


def read_functions(texts: tuple[str, ...]) -> "dict[str, NamedFunction]":
    """The functions that were named.

    Raises:  CommandFailure for what is no NAME=module:attribute, or is not there.
    """
    if not texts:
        return {}
    from tailrace.app.function_settings import NamedFunction
    from tailrace.functions.checking import missing

    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    functions: dict[str, NamedFunction] = {}
    for text in texts:
        name, _, place = text.partition("=")
        module, colon, attribute = place.partition(":")
        if not NAME.fullmatch(name) or not colon or not module or not attribute or name in functions:
            raise CommandFailure(
                f"--function {text}: a function is NAME=module:attribute, with a name of its own.",
                hint="tailrace serve --function tally=orders.handlers:tally",
            )
        functions[name] = NamedFunction(module, attribute)
    wrong = missing([text.partition("=")[2] for text in texts])
    for text in texts:
        if (words := wrong.get(text.partition("=")[2])) is not None:
            raise CommandFailure(
                f"--function {text}: {words}", hint="start it where the module can be imported"
            )
    return functions


def announce(serving: Serving, port: int) -> None:
    """Where it listens and how to use it: one line."""
    endpoint = endpoint_of(serving, port)
    if serving.as_json:
        click.echo(json.dumps(endpoint))
        return
    url = endpoint["endpoint"]
    click.echo(
        f"{click.style('tailrace', bold=True)} serves DynamoDB on {click.style(url, fg='green')}, "
        f'data in {endpoint["data"] or "memory"} · boto3: endpoint_url="{url}" · aws: --endpoint-url {url} · '
        f"{how_to_ask(serving, port)}Ctrl-C ends it"
    )


def how_to_ask(serving: Serving, port: int) -> str:
    """How the commands find a node that has no data directory; nothing for one that has."""
    return f"tailrace status --url http://localhost:{port} · " if serving.memory else ""


def endpoint_of(serving: Serving, port: int) -> dict[str, Any]:
    """What a program that started the server needs to know."""
    host = f"[{serving.host}]" if ":" in serving.host else serving.host
    return {
        "endpoint": f"http://{host}:{port}",
        "port": port,
        "data": None if serving.memory else str(serving.directory),
        "clock": serving.clock,
        "pid": os.getpid(),
    }
