"""`tailrace why EVENT_ID|KEY`: the story of one change.

Rules of this file: options and output; the story is the `why` verb's. Registered in `main`.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

from tailrace.cli import options
from tailrace.cli.changes import line, printable, shown
from tailrace.cli.connection import ask
from tailrace.cli.durations import format_duration, format_instant
from tailrace.cli.place import Place

WAITS: Final = "KeyParked"
"""The condition of a change that is parked for an earlier one of its item."""
COLOURS: Final = {
    "handled": "green", "filtered": "blue", "discarded": "red", "parked": "red", "dropped": "red",
    "trimmed": "magenta",
    "waiting": "yellow", "running": "cyan", "retrying": "red", "settled": "green",
}  # fmt: skip


@click.command()
@click.argument("what", metavar="EVENT_ID|KEY")
@click.option(
    "--last", default=3, show_default=True, type=click.IntRange(1, 100), help="Changes shown of a key."
)
@options.options(*options.place_or_fleet, options.as_json)
def why(what: str, last: int, place: Place, as_json: bool) -> None:
    """Read the story of one change: written, then what each handler made of it.

    Beside a running server it also tells what is at its handler at this moment, and the trace of what failed
    and is tried again. A change is named by its event id (`tail --json` and handlers' logs show it) or by its
    item's key, as TABLE/PK or TABLE/PK/SK; a key with a slash in it is written as JSON. It works beside a
    running server and without one, for the 24 hours that a stream keeps; a dead letter is kept longer, and so
    is what a handler has still to handle.

    \b
    Example: tailrace why shop/o1
             tailrace why 'shop/{"pk": "a/b", "sk": 7}'
    Next:    tailrace status
    """
    story = ask(place, "why", {"what": what, "last": last})
    if as_json:
        click.echo(json.dumps(story))
        return
    for text in lines(story):
        click.echo(text)


def lines(story: Mapping[str, Any]) -> Iterator[str]:
    """The story for people."""
    for index, change in enumerate(story["changes"]):
        if index:
            yield ""
        yield line(change, diff=True)
        yield (
            f"  written    {change['at']}, sequence number {change['sequence_number']}, {change['shard']}, "
            f"event id {change['event_id']}"
        )
        if not change["handlers"]:
            yield "  unread     no handler has ever read this table's stream"
        for handler in change["handlers"]:
            yield from _handler(handler)
    if story.get("older"):
        yield ""
        yield (
            f"There are {story['older']} older changes of this item: --last "
            f"{len(story['changes']) + story['older']}"
        )


def _handler(handler: Mapping[str, Any]) -> Iterator[str]:
    state = handler["state"]
    name = click.style(f"{state:10}", fg=COLOURS.get(state))
    yield f"  {name} {printable(handler['handler'])}{_details(handler)}"
    if error := handler.get("error"):
        yield f"             {shown(printable(error))}"
    if trace := handler.get("traceback"):
        yield from (f"             {printable(text)}" for text in trace.rstrip().splitlines())


def _details(handler: Mapping[str, Any]) -> str:
    parts = []
    if attempts := handler.get("attempts"):
        parts.append(f"after {attempts} attempt{'s' if attempts > 1 else ''}")
    if (began := handler.get("running_ms")) is not None:
        parts.insert(0, f"at its handler for {format_duration(began)}")
    if (failing := handler.get("first_failure_ms")) is not None and handler["state"] in (
        "running",
        "retrying",
    ):
        parts.append(f"fails since {format_instant(failing)}")
    if failed := handler.get("last_failure_ms"):
        parts.append(f"last failure {format_instant(failed)}")
    if (behind := handler.get("before_it")) is not None and handler["state"] == "waiting":
        parts.append(
            f"{behind} before it {'is' if behind == 1 else 'are'} not settled"
            if behind
            else "it is the next one"
        )
    if handler.get("condition") == WAITS:
        parts.append("it waits behind an earlier change of its item, which failed")
    if (lag := handler.get("waiting_ms")) is not None and handler["state"] == "waiting":
        parts.append(f"for {format_duration(lag)}")
    if handler.get("saved_from_trim"):
        parts.append("saved before the stream forgot it")
    if handler.get("is_skipped"):
        parts.append("skipped by `tailrace checkpoint set` (tailrace audit)")
    if handler.get("is_gone"):
        parts.append("since then put back or dropped (tailrace audit)")
    return ": " + ", ".join(parts) if parts else ""
