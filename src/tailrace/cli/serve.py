"""`tailrace serve`: the engine, for any DynamoDB client.

Rules of this file: options and words; everything that runs is `compose.Node`, everything about running it here is
`cli.running`. Registered in `main`.
"""

from pathlib import Path
from typing import Literal

import click

from tailrace.cli import options
from tailrace.cli.failures import CommandFailure

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=8000, show_default=True, help="0: any free port."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@options.data
@click.option("--memory", is_flag=True, help="Keep everything in memory; nothing is written to disk.")
@click.option(
    "--sync",
    type=click.Choice(["normal", "full"]),
    default="normal",
    show_default=True,
    help="normal survives any crash of the process; full survives power loss.",
)
@click.option(
    "--clock",
    type=click.Choice(["system", "manual"]),
    default="system",
    show_default=True,
    help="manual: time stands still until `tailrace clock advance`.",
)
@click.option(
    "--shards", type=click.IntRange(1, 64), default=1, show_default=True, help="Shards of a new stream."
)
@click.option("--aws-delays", is_flag=True, help="Tables stay CREATING for as long as on AWS.")
@click.option("--cors", metavar="ORIGIN", help="Allow a web page of this origin; none by default.")
@click.option(
    "--allow-unsigned", is_flag=True, help="Listen beyond loopback although nobody's signature is checked."
)
@options.options(options.log_format, options.as_json)
def serve(
    port: int,
    host: str,
    directory: Path,
    memory: bool,
    sync: Literal["normal", "full"],
    clock: Literal["system", "manual"],
    shards: int,
    aws_delays: bool,
    cors: str | None,
    allow_unsigned: bool,
    log_format: Literal["text", "json"],
    as_json: bool,
) -> None:
    """Run the engine for any DynamoDB client in any language. Ctrl-C drains and ends it.

    Any credentials and any region will do. It also answers /metrics (Prometheus) and /ready.

    \b
    Example: tailrace serve --port 8000
             aws dynamodb list-tables --endpoint-url http://127.0.0.1:8000
    Next:    tailrace tail TABLE      watch what is written
             tailrace dev app.py      the same, with your handlers
    """
    check_host(host, allow_unsigned)


def check_host(host: str, allow_unsigned: bool) -> None:
    """Refuse to be open to a network by accident. Raises: CommandFailure."""
    if host in LOOPBACK or allow_unsigned:
        return
    raise CommandFailure(
        f"Listening on {host} would open every table to whoever reaches this machine: signatures are not checked yet.",
        hint=f"leave --host out, or accept that: tailrace serve --host {host} --allow-unsigned",
    )
