"""`tailrace status`: how far every handler is.

Rules of this file: options and output; the answer is the `status` verb's. Registered in `main`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import click

from tailrace.cli import options
from tailrace.cli.changes import printable, shown
from tailrace.cli.connection import ask
from tailrace.cli.durations import format_duration, format_instant
from tailrace.cli.hints import next_line, next_start
from tailrace.cli.place import Place

WAITS_MS: Final = 60_000
"""How long a change waits for its data stream before people are told."""


@click.command()
@options.options(*options.place_or_fleet, options.as_json)
def status(place: Place, as_json: bool) -> None:
    """See how far every handler is: lag, what it settled, dead letters, its last progress.

    Of what fails at this moment it tells the last error and since when. It works beside a running server and
    without one.

    \b
    Example: tailrace status
             tailrace status --url http://localhost:8000    a node of yours by its port
    Next:    tailrace why shop/o1            the story of one change
             tailrace tail shop --diff       what is written now
    """
    answer = ask(place, "status")
    if as_json:
        click.echo(json.dumps(answer))
        return
    for text in lines(answer):
        click.echo(text)


def lines(answer: Mapping[str, Any]) -> Iterator[str]:
    """The answer for people."""
    yield from _tables(answer["tables"])
    yield ""
    if not answer["handlers"]:
        yield "No handler has read anything yet."
        yield next_line(next_start())
        return
    rows: list[tuple[str, ...]] = [
        (
            "HANDLER",
            "TABLE",
            "LAG",
            "HANDLED",
            "FILTERED",
            "PARKED",
            "DISCARDED",
            "TRIMMED",
            "THREADS",
            "LAST PROGRESS",
        )
    ]
    rows += [_handler(handler) for handler in answer["handlers"]]
    yield from aligned(rows)
    for handler in answer["handlers"]:
        if handler.get("paused"):
            yield from _paused(handler)
        yield from _gaps(handler)
        yield from _snapshot(handler)
        if (threads := handler.get("threads")) and threads["busy"] == threads["of"]:
            yield from _hanging(handler, threads)
        if late := (handler.get("windows") or {}).get("late"):
            yield from _late(handler, late)
        yield from _failing(handler)
        for shard in handler["shards"]:
            if shard["blocked"]:
                yield click.style(
                    f"{printable(handler['handler'])} waits in {shard['shard']}: {shard['blocked']}",
                    fg="yellow",
                )
    if worst := max((handler["dead_letters"] for handler in answer["handlers"]), default=0):
        yield ""
        yield click.style(f"Dead letters are kept: {worst} at most for one handler.", fg="yellow")
        yield next_line("tailrace dlq ls")


def _paused(handler: Mapping[str, Any]) -> Iterator[str]:
    name = printable(handler["handler"])
    reason = handler["pause_reason"]
    yield click.style(f"{name} is paused" if reason is None else printable(reason), fg="yellow")
    yield next_line(f"tailrace resume {name}")


def _failing(handler: Mapping[str, Any]) -> Iterator[str]:
    """What fails now, with its last error and since when: at its changes, and at its windows."""
    if at_changes := handler.get("failing"):
        yield _fails(handler, at_changes, at_changes["changes"], "change")
        yield next_line(f"tailrace why {at_changes['event_id']}")
    if at_windows := (handler.get("windows") or {}).get("failing"):
        yield _fails(handler, at_windows, at_windows["windows"], "window")


def _fails(handler: Mapping[str, Any], failing: Mapping[str, Any], count: int, noun: str) -> str:
    lasted = failing["last_ms"] - failing["since_ms"]
    since = f"{format_instant(failing['since_ms'])}{f', for {format_duration(lasted)}' if lasted else ''}"
    many = f"{count} {noun} is" if count == 1 else f"{count} {noun}s are"
    error = shown(printable(first_line(failing["error"])))
    return click.style(
        f"{printable(handler['handler'])} fails since {since}; {many} tried again: {error}",
        fg="yellow",
    )


def first_line(error: str) -> str:
    """What went wrong, in one line."""
    return error.strip().partition("\n")[0] or "no reason was given"


def _hanging(handler: Mapping[str, Any], threads: Mapping[str, int]) -> Iterator[str]:
    yield click.style(
        f"{printable(handler['handler'])}: all its {threads['of']} threads are busy and {threads['waiting']} "
        "calls wait: a handler that is not async may hang; no other handler is held up",
        fg="yellow",
    )
    yield next_line("give what it calls a time-out, or declare it async def with timeout=")


def _late(handler: Mapping[str, Any], late: int) -> Iterator[str]:
    many = "1 change" if late == 1 else f"{late} changes"
    yield click.style(
        f"{printable(handler['handler'])}: {many} since the start came after the window was closed "
        "for good, and are in none",
        fg="yellow",
    )
    yield next_line("give the window a longer keep=")


def _gaps(handler: Mapping[str, Any]) -> Iterator[str]:
    count, name = handler.get("open_gaps", 0), printable(handler["handler"])
    if count:
        yield click.style(
            f"{name} has lost changes: {count} gap{'' if count == 1 else 's'}, trimmed before it "
            "came to them",
            fg="red",
        )
        yield next_line(f"tailrace gaps {name}, then tailrace gaps acknowledge {name}")


def _snapshot(handler: Mapping[str, Any]) -> Iterator[str]:
    """A snapshot that is wanted, or has failed."""
    snapshot = handler.get("snapshot")
    if snapshot is not None and snapshot["state"] != "done":
        words = f"{printable(handler['handler'])}: {snapshot_words(snapshot)}"
        yield click.style(words, fg="red" if snapshot["state"] == "failed" else "yellow")
        yield next_line(f"tailrace snapshot status {printable(handler['handler'])}")


def snapshot_words(snapshot: Mapping[str, Any]) -> str:
    """How far a snapshot is, in a sentence.

    >>> snapshot_words({"number": 2, "state": "scanning", "items": 1_200, "estimated_items": 4_000,
    ...                 "left_ms": 65_000})
    'snapshot 2 is scanning: 1,200 of about 4,000 items, about 1m5s left'
    """
    begun = f"snapshot {snapshot['number']} is {snapshot['state']}"
    if "items" not in snapshot:
        return begun
    about, left_ms = snapshot["estimated_items"], snapshot["left_ms"]
    of = f" of about {about:,}" if about else ""
    left = f", about {format_duration(max(1_000, left_ms))} left" if left_ms is not None else ""
    return f"{begun}: {snapshot['items']:,}{of} items{left}"


def _tables(tables: list[Mapping[str, Any]]) -> Iterator[str]:
    if not tables:
        yield "There is no table yet."
        return
    rows: list[tuple[str, ...]] = [("TABLE", "STREAM", "SHARDS")]
    for table in tables:
        counts = ", ".join(f"{count} {state}" for state, count in table["shards"].items() if count)
        rows.append((printable(table["table"]), table["view_type"] or "off", counts or "-"))
    yield from aligned(rows)
    for table in tables:
        for destination in table.get("destinations", ()):
            yield from _destination(printable(table["table"]), destination)


def _destination(table: str, destination: Mapping[str, Any]) -> Iterator[str]:
    """What is not well of a data stream that a table is copied to."""
    into = f"{table} into {printable(destination['stream'])}"
    if destination["status"] == "ENABLE_FAILED":
        yield click.style(f"{into}: ENABLE_FAILED", fg="red")
        yield next_line(f"aws dynamodb describe-kinesis-streaming-destination --table-name {table}")
    if (oldest_ms := destination["oldest_ms"]) >= WAITS_MS:
        yield click.style(f"{into}: the oldest change waits for {format_duration(oldest_ms)}", fg="yellow")
        yield next_line("aws kinesis describe-stream-summary: is the stream there, and are its shards busy?")
    for count, words in (
        (destination["failed"], "that are too large for it"),
        (destination["lost"], "lost, for it was away or busy for a day"),
    ):
        if count:
            yield click.style(f"{into}: changes {words}: {count}", fg="red")


def _handler(handler: Mapping[str, Any]) -> tuple[str, ...]:
    settled = handler["settled"]
    lag = handler["lag_ms"]
    still = handler["last_progress_ms"]
    threads = handler.get("threads")
    return (
        printable(handler["handler"]),
        printable(handler["table"]),
        format_duration(lag) if lag else "none",
        *(
            str(settled.get(outcome, 0))
            for outcome in ("handled", "filtered", "parked", "discarded", "trimmed")
        ),
        "-" if threads is None else f"{threads['busy']}/{threads['of']}",
        "-" if still is None else f"{format_duration(still)} ago",
    )


def aligned(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Rows as columns; the first row is the heading."""
    return aligned_pages(rows[0], [rows[1:]])


def aligned_pages(
    heading: tuple[str, ...], pages: Iterable[list[tuple[str, ...]]], widest: Sequence[int] = ()
) -> Iterator[str]:
    """Rows as columns, a page at a time: none is narrower than on pages before, or than `widest` says."""
    widths = [max(len(cell), *widest[index : index + 1], 0) for index, cell in enumerate(heading)]
    is_first = True
    for page in pages:
        widths = [max(width, *map(len, column)) for width, *column in zip(widths, *page, strict=True)]
        if is_first:
            yield click.style(_padded(heading, widths), bold=True)
            is_first = False
        yield from (_padded(row, widths) for row in page)


def _padded(row: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
