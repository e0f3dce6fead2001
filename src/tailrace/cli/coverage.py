"""`tailrace coverage`: which operations and parameters of DynamoDB's API are there.

Rules of this file: output only; what is there is said by the server's registry. Registered in `main`. Needs neither a
server nor a data directory.
"""

import json
from typing import Any

import click

from tailrace.cli import options


@click.command()
@options.as_json
def coverage(as_json: bool) -> None:
    """List every operation of DynamoDB and Streams: there, there in part, or not yet.

    What is not there answers a clear error, never something half right.

    \b
    Example: tailrace coverage
    Next:    tailrace serve
    """
    from tailrace.server.coverage import coverage as covered

    report = covered()
    if as_json:
        click.echo(json.dumps(report))
        return
    render(report)


def render(report: Any) -> None:
    """The list for people."""
