"""`tailrace checkpoint show|set`: where a handler stands in each shard, and setting it to a named position.

Rules of this file: options and output; the answers are the `checkpoint` verbs'. Beside a running server,
without one and of a fleet. Registered in `main`.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from tailrace.cli import options
from tailrace.cli.changes import printable
from tailrace.cli.confirming import ask_and_tell
from tailrace.cli.connection import ask
from tailrace.cli.durations import format_instant, parse_instant
from tailrace.cli.group import CommandGroup
from tailrace.cli.place import Place
from tailrace.cli.status import aligned


@click.group(cls=CommandGroup)
def checkpoint() -> None:
    """See where a handler stands in each shard, and set it to another position.

    \b
    Example: tailrace checkpoint show receipt
             tailrace checkpoint set receipt 2026-11-28T10:00Z --dry-run
    Next:    tailrace status
    """


@checkpoint.command()
@click.argument("handler", required=False)
@options.options(*options.place_or_fleet, options.as_json)
def show(handler: str | None, place: Place, as_json: bool) -> None:
    """Show where HANDLER, or every handler, stands in each shard.

    A version is GENERATION:SEQUENCE: the number of the table's stream, and that of the last change before
    which everything is settled. SETTLED ABOVE counts the ranges behind it that are settled, too. TARGET is
    where a target that has the positions beside its rows stands: that counts, VERSION follows it.

    \b
    Example: tailrace checkpoint show receipt
             tailrace checkpoint show receipt --json
    Next:    tailrace checkpoint set HANDLER POSITION --dry-run
    """
    answer = ask(place, "checkpoint.show", {"handler": handler})
    if as_json:
        click.echo(json.dumps(answer))
        return
    for text in shown_places(answer) if answer else ["No handler is known here."]:
        click.echo(text)


def position_of(context: click.Context, parameter: click.Parameter, value: str) -> str | int:
    """A click callback: a position's name as it is, or the milliseconds of a time. Raises: BadParameter."""
    if value in ("beginning", "end") or value.startswith(("at:", "after:")):
        return value
    try:
        return parse_instant(value)
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is no position: write beginning, end, at:SEQUENCE, after:SEQUENCE, or a time like "
            "2026-11-28T10:00Z",
            context,
            parameter,
        ) from None


@checkpoint.command("set")
@click.argument("handler")
@click.argument("position", callback=position_of)
@click.option("--shard", metavar="ID", help="This shard alone; STREAM/ID where several streams have one.")
@click.option("--yes", is_flag=True, help="Also when changes that were never handled would be skipped.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@options.options(*options.place_or_fleet, options.as_json)
def set_position(
    handler: str,
    position: str | int,
    shard: str | None,
    yes: bool,
    dry_run: bool,
    place: Place,
    as_json: bool,
) -> None:
    """Let HANDLER go on at POSITION: beginning, end, at:SEQUENCE, after:SEQUENCE, or a time.

    Backwards, what was handled is delivered again, in order; what once=True and change.transaction have
    applied they do not apply again, and what is parked stays parked. Forwards, what was not handled is
    skipped: it is a gap, named in `tailrace gaps`. Workers that run go on at the new position within
    seconds. A time means the first change of that second.

    \b
    Example: tailrace checkpoint set receipt 2026-11-28T10:00Z --dry-run
             tailrace checkpoint set receipt end --yes
    Next:    tailrace checkpoint show HANDLER
             tailrace gaps HANDLER
    """
    arguments = {"handler": handler, "position": position, "shard": shard, "dry_run": dry_run, "yes": yes}
    question = "What was never handled is skipped. Go on?"
    ask_and_tell(place, "checkpoint.set", arguments, told_positions, _skips, question, as_json=as_json)


def _skips(answer: Mapping[str, Any]) -> bool:
    return any(entry["gaps"] for entry in answer["shards"])


# ---- telling -----------------------------------------------------------------------------------------------


def shown_places(answer: list[Mapping[str, Any]]) -> Iterator[str]:
    """Handlers with their shards."""
    for index, handler in enumerate(answer):
        if index:
            yield ""
        yield f"{click.style(printable(handler['handler']), bold=True)} ← {printable(handler['table'])}"
        target = handler.get("target")  # a server of before does not say
        heads = ("WRITTEN", "SETTLED ABOVE", "PARKED", "EPOCH", "OWNER")
        in_target = () if target is None else ("TARGET",)
        rows: list[tuple[str, ...]] = [("  STREAM", "SHARD", "STATE", "VERSION", *in_target, *heads)]
        rows += [_row(shard, target) for shard in handler["shards"]]
        yield from aligned(rows)
        if target is not None and target["error"] is not None:
            words = f"  where its target stands is not known: {printable(target['error'])}"
            yield click.style(words, fg="yellow")


def _in_target(shard: Mapping[str, Any], target: Mapping[str, Any]) -> str:
    there = shard["target"]
    if there is not None:
        return str(there["watermark"])
    return "nothing" if target["error"] is None else "?"


def _row(shard: Mapping[str, Any], target: Mapping[str, Any] | None) -> tuple[str, ...]:
    state = "finished" if shard["finished"] else "closed" if shard["closed"] else "open"
    if not shard["begun"]:
        state = "not begun"
    return (
        f"  {printable(shard['stream'])}",
        printable(shard["shard"]),
        state,
        shard["watermark"] or "-",
        *(() if target is None else (_in_target(shard, target),)),
        format_instant(shard["created_ms"]) if shard["created_ms"] else "-",
        str(len(shard["ranges"])),
        str(shard["parked_keys"]),
        "-" if shard["epoch"] is None else str(shard["epoch"]),
        printable(shard["owner"] or "-"),
    )


def told_positions(answer: Mapping[str, Any]) -> Iterator[str]:
    """What is set or would be, in words: by shard, then in all."""
    is_dry, name = answer["dry_run"], printable(answer["handler"])
    moving = [shard for shard in answer["shards"] if shard["to"] is not None]
    if not moving:
        yield f"{name}: stands there already in all {len(answer['shards'])} shards"
        return
    rows: list[tuple[str, ...]] = [("SHARD", "FROM", "TO", "REPEATED", "SKIPPED")]
    rows += [
        (
            printable(shard["shard"]),
            shard["from"] or "not begun",
            shard["to"],
            str(shard["repeated"]),
            str(shard["skipped"]),
        )
        for shard in moving
    ]
    yield from aligned(rows)
    for shard in moving:
        yield from _notes(shard)
    repeated, skipped = answer["repeated"], answer["skipped"]
    still = len(answer["shards"]) - len(moving)
    yield (
        f"{name}: {repeated} {'change' if repeated == 1 else 'changes'} "
        f"{'would be' if is_dry else 'will be'} repeated, {skipped} {'would be' if is_dry else 'are'} skipped"
        f"{f'; {still} shards stay as they are' if still else ''}"
    )


def _notes(shard: Mapping[str, Any]) -> Iterator[str]:
    """What one shard's new position means beside the numbers."""
    for gap in shard["gaps"]:
        times = [format_instant(gap[end]) if gap[end] else "?" for end in ("from_ms", "until_ms")]
        count = f"{gap['count']} changes" if gap["count"] else "lost by the stream"
        text = f"  gap in {printable(shard['shard'])}: {gap['first']} to {gap['last']}, {count}, written "
        yield click.style(f"{text}{times[0]} to {times[1]}", fg="yellow")
    if shard["repeated"] and shard["parked_keys"]:
        yield (
            f"  {shard['parked_keys']} parked items of {printable(shard['shard'])} stay parked: their "
            "changes are not repeated (tailrace dlq redrive)"
        )
    if shard["window_lost"]:
        yield f"  the tumbling window of {printable(shard['shard'])} begins anew: its state is dropped"
