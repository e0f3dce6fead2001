"""`tailrace leases ls|release`: who reads which shard, and freeing what a dead worker has left.

Rules of this file: options and output; the answers are the `leases` verbs'. Registered in `main`.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from tailrace.cli import options
from tailrace.cli.changes import printable
from tailrace.cli.connection import ask
from tailrace.cli.durations import duration
from tailrace.cli.group import CommandGroup
from tailrace.cli.place import Place
from tailrace.cli.status import aligned

watch = click.option(
    "--watch",
    callback=duration,
    default="5s",
    show_default=True,
    metavar="DURATION",
    help="How long a fleet is looked at: no row tells whether its owner lives, only that it moves.",
)


@click.group(cls=CommandGroup)
def leases() -> None:
    """See which worker reads which shard, and free what a dead one has left.

    \b
    Example: tailrace leases ls
             tailrace leases release --dead
    Next:    tailrace status
    """


@leases.command()
@watch
@options.options(*options.place_or_fleet, options.as_json)
def ls(watch: int, place: Place, as_json: bool) -> None:
    """List every lease: its shard, its owner and whether that lives, its epoch.

    `held`: its owner gave a sign of life while this looked; `still`: it did not, and another worker takes
    over when it has not for ten seconds; `free`: any worker may take it.

    \b
    Example: tailrace leases ls --state sqlite:state.db --app app.py
    Next:    tailrace leases release --dead
    """
    answer = ask(place, "leases.ls", {"watch_ms": watch})
    if as_json:
        click.echo(json.dumps(answer))
        return
    for text in listed(answer) if answer else ["No shard has a lease here: no worker has run."]:
        click.echo(text)


@leases.command()
@click.argument("shard", required=False)
@click.option("--worker", metavar="NAME", help="All leases of this worker.")
@click.option("--dead", is_flag=True, help="All leases whose owners give no sign of life.")
@click.option("--yes", is_flag=True, help="Also of a worker that lives: what it is at is delivered again.")
@click.option("--dry-run", is_flag=True, help="Say which would be freed, and do nothing.")
@watch
@options.options(*options.place_or_fleet, options.as_json)
def release(
    shard: str | None,
    worker: str | None,
    dead: bool,
    yes: bool,
    dry_run: bool,
    watch: int,
    place: Place,
    as_json: bool,
) -> None:
    """Free the lease of SHARD, of a --worker or of all --dead ones: any worker may take it at once.

    Workers take over from a dead one by themselves after ten seconds; this is for who does not want to wait,
    or wants a worker that hangs to leave a shard. A worker that lives loses it under a new epoch and begins
    anew, so nothing is saved twice.

    \b
    Example: tailrace leases release --dead --dry-run
             tailrace leases release shardId-00000000000000000001 --yes
    Next:    tailrace leases ls
    """
    if sum((shard is not None, worker is not None, dead)) != 1:
        raise click.UsageError("Name a shard, or say --worker NAME or --dead.")
    arguments = {
        "shard": shard, "worker": worker, "dead": dead, "yes": yes, "dry_run": dry_run, "watch_ms": watch,
    }  # fmt: skip
    answer = ask(place, "leases.release", arguments)
    if as_json:
        click.echo(json.dumps(answer))
        return
    for text in told(answer):
        click.echo(text)


def listed(answer: list[Mapping[str, Any]]) -> Iterator[str]:
    """Leases as a table."""
    rows: list[tuple[str, ...]] = [("APP", "STREAM", "SHARD", "STATE", "WORKER", "EPOCH", "GOES TO")]
    rows += [
        (
            printable(lease["app"]),
            printable(lease["stream"]),
            printable(lease["shard"]),
            lease["state"],
            printable(lease["owner"] or "-"),
            str(lease["epoch"]),
            printable(lease["successor"] or "-"),
        )
        for lease in answer
    ]
    yield from aligned(rows)


def told(answer: Mapping[str, Any]) -> Iterator[str]:
    """What was freed, in words."""
    for lease in answer["released"]:
        verb = "would be freed" if answer["dry_run"] else "is free"
        if lease["state"] == "taken":
            verb = "was taken by another worker at the same moment"
        yield f"{printable(lease['shard'])}: {verb} (it was {printable(lease['owner'])}'s)"
    if not answer["released"]:
        yield "Every owner gave a sign of life: nothing is to be freed."
