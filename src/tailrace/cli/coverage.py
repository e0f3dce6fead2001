"""`tailrace coverage`: which operations and parameters of AWS's APIs are there.

Rules of this file: output only; what is there is said by the server's registry. Registered in `main`. Needs
neither a server nor a data directory.
"""

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from tailrace.cli import options

if TYPE_CHECKING:
    from tailrace.api.coverage import Covered


@click.command()
@options.as_json
def coverage(as_json: bool) -> None:
    """List every operation of DynamoDB, its Streams, Lambda and STS: there, there in part, or not yet.

    What is not there answers a clear error, never something half right.

    \b
    Example: tailrace coverage
    Next:    tailrace serve
    """
    from tailrace.api.coverage import coverage as covered

    report = covered()
    if as_json:
        click.echo(json.dumps(report))
        return
    for text in lines(report):
        click.echo(text)


def lines(report: "Sequence[Covered]") -> Iterator[str]:
    """The list for people: what is there with its gaps, then what is not."""
    there = [operation for operation in report if operation["state"] != "no"]
    yield click.style(f"{len(there)} of {len(report)} operations are there:", bold=True)
    service = ""
    for operation in there:
        if operation["service"] != service:
            service = operation["service"]
            yield service
        mark = (
            click.style("yes   ", fg="green")
            if operation["state"] == "yes"
            else click.style("partly", fg="yellow")
        )
        yield f"  {mark}  {operation['operation']}"
        if operation["not_emulated"]:
            yield f"          not yet: {', '.join(operation['not_emulated'])}"
        elif operation["state"] == "partly":
            yield f"          not yet: {operation['note']}"
    absent: dict[str, list[str]] = {}
    for operation in report:
        if operation["state"] == "no":
            absent.setdefault(operation["service"], []).append(operation["operation"])
    if absent:
        yield ""
        yield click.style("Not yet; each answers a clear error:", bold=True)
    for service, names in absent.items():
        yield service
        yield click.wrap_text(", ".join(names), 100, "  ", "  ")
