"""`tailrace shards ls|split TABLE`: the shards of a table's stream.

Rules of this file: options and output; the `shards` verbs do it. Registered in `main`.
"""

import json
from typing import Any

import click

from tailrace.cli import options
from tailrace.cli.changes import printable
from tailrace.cli.connection import ask
from tailrace.cli.durations import format_duration
from tailrace.cli.group import CommandGroup
from tailrace.cli.place import Place, StateAt
from tailrace.cli.status import aligned


@click.group(cls=CommandGroup)
def shards() -> None:
    """List the shards of a table's stream, or split them as AWS does when a table grows.

    \b
    Example: tailrace shards ls orders
             tailrace shards split orders
    Next:    tailrace status
    """


@shards.command()
@click.argument("table")
@options.options(*options.place_or_fleet, options.as_json)
def ls(table: str, place: Place, as_json: bool) -> None:
    """List every shard of TABLE's stream that can be read, parents before children.

    Of a fleet also those of earlier streams, the worker that reads each, which handlers have changes to
    handle there, and how long the oldest of these can still be read.

    \b
    Example: tailrace shards ls orders
             tailrace shards ls orders --state sqlite:state.db --app app.py
    Next:    tailrace leases ls
    """
    answer = ask(place, "shards.ls", {"table": table})
    if as_json:
        click.echo(json.dumps(answer))
        return
    click.echo((_far if isinstance(place, StateAt) else _listed)(answer["shards"]))


@shards.command()
@click.argument("table")
@click.option("--shard", metavar="ID", help="Split this one alone; without it every open one.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@options.options(*options.place_or_fleet, options.as_json)
def split(table: str, shard: str | None, dry_run: bool, place: Place, as_json: bool) -> None:
    """Close the open shards of TABLE's stream; two children continue each, in order for every item.

    For testing what consumers do then. AWS splits when a table grows, never on request.

    \b
    Example: tailrace shards split orders
    Next:    tailrace shards ls orders
    """
    answer = ask(place, "shards.split", {"table": table, "shard": shard, "dry_run": dry_run})
    if as_json:
        click.echo(json.dumps(answer))
        return
    count = len(answer["split"])
    click.echo(f"{'would split' if dry_run else 'split'} {count} shard{'' if count == 1 else 's'}; open now:")
    click.echo(_listed(answer["shards"]))


def _listed(listing: list[dict[str, Any]]) -> str:
    rows: list[tuple[str, ...]] = [("SHARD", "STATE", "KEYS", "PARENT")]
    for shard in listing:
        state = "closed" if shard["closed"] else "open"
        rows.append((shard["shard"], state, f"{shard['share']:.1%}", shard["parent"] or "-"))
    return "\n".join(aligned(rows))


def _far(listing: list[dict[str, Any]]) -> str:
    """Shards as a fleet reads them."""
    rows: list[tuple[str, ...]] = [
        ("STREAM", "SHARD", "STATE", "WORKER", "WAITING", "RETENTION LEFT", "PARENT")
    ]
    for shard in listing:
        left = shard["retention_left_ms"]
        state = "open" if not shard["closed"] else "finished" if shard["finished"] else "closed"
        rows.append(
            (
                printable(shard["stream"]),
                printable(shard["shard"]),
                "closed" if shard["waiting"] and state == "finished" else state,
                printable(shard["owner"] or "-"),
                printable(", ".join(shard["waiting"]) or "-"),
                "-" if left is None else format_duration(left),
                printable(", ".join(shard["parents"]) or "-"),
            )
        )
    return "\n".join(aligned(rows))
