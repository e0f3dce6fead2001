"""`tailrace serve`: the engine, for any DynamoDB client.

Rules of this file: options and words; everything that runs is `compose.Node`, everything about running it here is
`cli.running`. Registered in `main`.
"""

import json
import os
from typing import Any

import click

from tailrace.cli import options
from tailrace.cli.running import Serving, begin_of_start


@click.command()
@options.options(*options.serving)
def serve(**chosen: Any) -> None:
    """Run the engine for any DynamoDB client in any language. Ctrl-C drains and ends it.

    Any credentials and any region will do. It also answers /metrics (Prometheus) and /ready.

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

    set_up(serving.log_format)
    run_loop(run_until_stopped(build_node(serving), serving, lambda port: announce(serving, port)))


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
        "Ctrl-C ends it"
    )


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
