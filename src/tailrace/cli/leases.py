"""`tailrace leases ls|release`: who reads which shard, and having a shard leave its worker.

Rules of this file: options and output; the answers are the `leases` verbs'. Registered in `main`.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import click

from tailrace.cli import options
from tailrace.cli.changes import printable
from tailrace.cli.connection import answers, ask
from tailrace.cli.durations import duration
from tailrace.cli.failures import UNDRAINED
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
    """See which worker reads which shard, and have a shard leave its worker.

    \b
    Example: tailrace leases ls
             tailrace leases release shardId-00000000000000000001
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
@click.option("--to", metavar="NAME", help="The worker that is to have them; without it the least busy ones.")
@click.option(
    "--wait",
    callback=duration,
    default="1m",
    show_default=True,
    metavar="DURATION",
    help="How long the hand-over is watched; what was asked for stands after that, too.",
)
@click.option("--force", is_flag=True, help="Take them at once also from a worker that lives; with --yes.")
@click.option("--yes", is_flag=True, help="With --force: what the worker is at is delivered again.")
@click.option("--dry-run", is_flag=True, help="Say what would become of which, and do nothing.")
@watch
@options.options(*options.place_or_fleet, options.as_json)
def release(wait: int, watch: int, place: Place, as_json: bool, **arguments: Any) -> None:
    """Let SHARD, all shards of a --worker or those of all --dead ones go to other workers.

    A worker that lives sees within seconds what is asked for, drains the shard, saves, and hands it over, so
    nothing is repeated. The shard stays with the new worker as long as that lives. One that hangs does not
    answer: --force takes the lease under a new epoch, and what the worker is at is delivered again. What a
    dead one has is free at once; the others take over from it by themselves after ten seconds. The exit code
    is 3 when a shard has no new owner within --wait.

    \b
    Example: tailrace leases release shardId-00000000000000000001 --state sqlite:state.db --app app.py
             tailrace leases release --dead --dry-run
    Next:    tailrace leases ls
    """
    if sum((arguments["shard"] is not None, arguments["worker"] is not None, arguments["dead"])) != 1:
        raise click.UsageError("Name a shard, or say --worker NAME or --dead.")
    answer: Mapping[str, Any] = {}
    for answer in answers(
        place, "leases.release", {**arguments, "watch_ms": watch, "wait_ms": wait}, endless=True
    ):
        if not as_json:
            _show_progress(answer)
    if as_json:
        click.echo(json.dumps(answer))
    for text in [] if as_json else told(answer):
        click.echo(text)
    if any(lease["state"] in ("draining", "left") for lease in answer["released"]):
        click.get_current_context().exit(UNDRAINED)


def _show_progress(answer: Mapping[str, Any]) -> None:
    """At a terminal, where the leases of workers that live are at."""
    there = Counter(lease["state"] for lease in answer["released"])
    if there["draining"] or there["left"]:
        arrived = there["moved"] + there["elsewhere"] + there["finished"]
        words = f"{there['draining']} drained by their owners, {there['left']} given back, {arrived} arrived"
        click.echo(click.style(words, dim=True), err=True)


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
    """What became of each lease, in words."""
    for lease in answer["released"]:
        yield f"{printable(lease['shard'])}: {_became(lease, is_dry=answer['dry_run'])}"
    if not answer["released"]:
        yield "Every owner gave a sign of life: nothing is to be freed."


def _became(lease: Mapping[str, Any], *, is_dry: bool) -> str:
    owner, to = printable(lease["owner"]), printable(lease["successor"] or "")
    match lease["state"]:
        case "draining":
            return (
                f"{owner} has not left it yet. It was asked to, and hands it over to {to} when it is done; "
                "--force --yes takes it at once"
            )
        case "left":
            return f"{owner} has left it; {to} has not begun yet"
        case "moved" | "elsewhere":
            return f"is read by {printable(lease['now'])} now (it was {owner}'s)"
        case "finished":
            return f"{owner} has finished it"
        case "taken":
            return f"was taken by another worker at the same moment (it was {owner}'s)"
        case "held" if is_dry and to:
            return f"{owner} would be asked to hand it over to {to}"
    return f"{'would be freed' if is_dry else 'is free'} (it was {owner}'s)"
