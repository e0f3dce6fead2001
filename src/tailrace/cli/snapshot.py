"""`tailrace snapshot start | pause | resume | status`: a whole table for a sink, and how far that is.

Rules of this file: options and output; the answer is the `snapshot` verbs'. Registered in `main`.
"""

import json
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from tailrace.cli import options
from tailrace.cli.changes import printable
from tailrace.cli.connection import ask
from tailrace.cli.durations import format_duration, format_instant
from tailrace.cli.place import Place
from tailrace.cli.screen import screen
from tailrace.cli.status import aligned
from tailrace.snapshots.core.snapshot import JOURNAL

BAR = 24
WATCH_S = 1.0
HEADING = ("HANDLER", "NUMBER", "WHY", "STATE", "READ", "ITEMS", "RATE", "TIME", "DELETED", "FAILED")


@click.group()
def snapshot() -> None:
    """Bring a whole table to a sink, and see how far that is.

    A sink with snapshot=True gets one by itself at the first start, after a gap, and when the table has
    another stream.

    \b
    Example: tailrace snapshot status
             tailrace snapshot start copy
    Next:    tailrace sink verify copy
    """


@snapshot.command()
@click.argument("handler")
@click.option(
    "--partition-key",
    "keys",
    multiple=True,
    metavar="VALUE",
    help='Only these partitions; S, or JSON as {"N":"7"}.',
)
@click.option("--segment", metavar="I/N", help="Only segment I of N, 0 is the first.")
@click.option("--where", metavar="EXPRESSION", help="Only items that this FilterExpression takes.")
@click.option("--names", metavar="JSON", help="With --where: its ExpressionAttributeNames.")
@click.option("--values", metavar="JSON", help="With --where: its ExpressionAttributeValues.")
@click.option("--read-units", type=click.FloatRange(min=1), help="Use at most so many read units a second.")
@click.option(
    "--from",
    "source",
    metavar="EXPORTS",
    help="Out of exports: a directory, or s3://BUCKET/PREFIX, as the worker sees it; or out of the table's "
    "journal: journal.",
)
@click.option("--export", metavar="ID", help="The full export to begin with; else the newest that will do.")
@click.option(
    "--read-price",
    type=click.FloatRange(min=0),
    metavar="USD",
    help="What a million read units cost, if not AWS's list price on demand.",
)
@click.option("--dry-run", is_flag=True, help="Say what it would read and cost, and begin nothing.")
@click.option("--yes", is_flag=True, help="Do not ask, whatever it costs.")
@options.options(*options.place_or_fleet, options.as_json)
def start(
    handler: str,
    keys: tuple[str, ...],
    segment: str | None,
    where: str | None,
    names: str | None,
    values: str | None,
    read_units: float | None,
    source: str | None,
    export: str | None,
    read_price: float | None,
    dry_run: bool,
    yes: bool,
    place: Place,
    as_json: bool,
) -> None:
    """Read the table again and correct the rows of HANDLER's sink; rows of items that are gone are deleted.

    Live delivery goes on. Of a table at AWS it uses read units: one for 4 KB. What it comes to is said first,
    and asked for where it is much; without a terminal it is then refused, unless with --yes. With --from it
    uses none: an empty sink is filled out of a full export and the incremental ones that follow it, up to
    where the stream tells everything; out of a journal (app.archive) any sink is corrected.

    \b
    Example: tailrace snapshot start copy
             tailrace snapshot start copy --read-units 200 --dry-run
             tailrace snapshot start copy --partition-key user#7
             tailrace snapshot start copy --where "country = :c" --values '{":c":{"S":"DE"}}'
             tailrace snapshot start copy --from s3://backups/dynamodb
             tailrace snapshot start copy --from journal
    Next:    tailrace snapshot status copy
    """
    if keys and segment:
        raise click.UsageError("Name partitions or a segment, not both.")
    if (names or values) and not where:
        raise click.UsageError("--names and --values are those of --where.")
    if source and (keys or segment or where or read_units):
        raise click.UsageError("--from reads whole exports, and no table: it goes with --export alone.")
    if export and source in (None, "journal"):
        raise click.UsageError("--export is one of --from: name where the exports lie.")
    asked = {
        "handler": handler,
        "partitions": [_key(key) for key in keys],
        "segment": None if segment is None else _segment(segment),
        "read_units": read_units,
        "where": where,
        "names": _json("--names", names),
        "values": _json("--values", values),
        "source": _place_of(source),
        "export": export,
        "read_price": read_price,
        "yes": yes,
    }
    if dry_run:
        planned = ask(place, "snapshot.plan", asked)
        click.echo(json.dumps(planned) if as_json else _plan_words(handler, planned))
        return
    if not as_json:
        asked["yes"] = _is_confirmed(handler, ask(place, "snapshot.plan", asked), yes=yes)
    _tell([ask(place, "snapshot.start", asked)], as_json=as_json)


def _is_confirmed(handler: str, planned: Mapping[str, Any] | None, *, yes: bool) -> bool:
    """Say what a snapshot comes to, and ask at a terminal where it is much. Raises: Abort."""
    click.echo(_plan_words(handler, planned), err=True)
    if planned is None or yes or not (planned["asks"] and sys.stdin.isatty()):
        return yes
    click.confirm("Begin it?", abort=True, err=True)
    return True


def _plan_words(handler: str, planned: Mapping[str, Any] | None) -> str:
    words = "what it reads is known only where the app runs" if planned is None else planned["words"]
    return f"{printable(handler)}: {printable(words)}"


@snapshot.command()
@click.argument("handler")
@options.options(*options.place_or_fleet, options.as_json)
def pause(handler: str, place: Place, as_json: bool) -> None:
    """Let the snapshot of HANDLER stand still after the page that is being written.

    \b
    Example: tailrace snapshot pause copy
    Next:    tailrace snapshot resume copy
    """
    _tell([ask(place, "snapshot.pause", {"handler": handler})], as_json=as_json)


@snapshot.command()
@click.argument("handler")
@options.options(*options.place_or_fleet, options.as_json)
def resume(handler: str, place: Place, as_json: bool) -> None:
    """Let it go on with the next page.

    \b
    Example: tailrace snapshot resume copy
    Next:    tailrace snapshot status copy
    """
    _tell([ask(place, "snapshot.resume", {"handler": handler})], as_json=as_json)


@snapshot.command()
@click.argument("handler", required=False)
@click.option("--watch", is_flag=True, help="Look again every second, until no snapshot is at work.")
@options.options(*options.place_or_fleet, options.as_json)
def status(handler: str | None, watch: bool, place: Place, as_json: bool) -> None:
    """See how far snapshots are, of HANDLER or of all. It exits with 1 when one has failed.

    How long reading takes yet is said by the rate so far and what DescribeTable says of the table.

    \b
    Example: tailrace snapshot status
             tailrace snapshot status copy --watch
             tailrace snapshot status copy --json
    Next:    tailrace sink verify copy
    """
    looks = _looks(place, handler)
    answer = next(looks)
    if watch and not as_json and sys.stdout.isatty():
        from rich.text import Text

        with screen("asking") as shown:
            shown.draw(Text.from_ansi("\n".join(_lines(answer))))
            while _is_at_work(answer):
                answer = next(looks)
                shown.draw(Text.from_ansi("\n".join(_lines(answer))))
        _tell(answer, as_json=False)
    elif watch:
        _tell(answer, as_json=as_json)
        while _is_at_work(answer):
            before, answer = answer, next(looks)
            if answer != before:
                _tell(answer, as_json=as_json)
    else:
        _tell(answer, as_json=as_json)
    if any(value["state"] == "failed" for value in answer):
        click.get_current_context().exit(1)


def _looks(place: Place, handler: str | None) -> Iterator[list[Mapping[str, Any]]]:
    """How far snapshots are, again and again."""
    while True:
        yield ask(place, "snapshot.status", {"handler": handler})
        threading.Event().wait(WATCH_S)


def _is_at_work(values: Iterable[Mapping[str, Any]]) -> bool:
    return any(value["state"] not in ("done", "failed") for value in values)


def _tell(values: list[Mapping[str, Any]], *, as_json: bool) -> None:
    for line in (json.dumps(values),) if as_json else _lines(values):
        click.echo(line)


def _lines(values: list[Mapping[str, Any]]) -> Iterator[str]:
    if not values:
        yield "No snapshot was ever wanted: app.sink(…, snapshot=True), or tailrace snapshot start HANDLER."
        return
    rows: list[tuple[str, ...]] = [HEADING]
    for value in values:
        share, about = value.get("share"), value.get("estimated_items") or 0
        items = f"{value.get('items', 0):,}" + (f" of about {about:,}" if about else "")
        rows.append(
            (
                printable(value["handler"]),
                str(value["number"]),
                value["why"],
                value["state"],
                _bar(share),
                items,
                "-" if value.get("items_per_s") is None else f"{value['items_per_s']:,.0f}/s",
                _time(value),
                f"{value.get('swept', 0):,}",
                f"{value.get('failures', 0):,}",
            )
        )
    yield from aligned(rows)
    for value in values:
        if value.get("refused"):
            yield f"{printable(value['handler'])}: {value['refused']}"
        for failure in value.get("failed", ()):
            yield f"  {failure['key']}: {printable(failure['error'])}"


def _time(value: Mapping[str, Any]) -> str:
    """How long it takes yet, or when it ended."""
    if value.get("ended_ms"):
        return f"ended {format_instant(value['ended_ms'])}"
    left_ms = value.get("left_ms")
    return "-" if left_ms is None else f"about {format_duration(max(1_000, left_ms))} left"


def _bar(share: float | None) -> str:
    if share is None:
        return "?"
    full = int(share * BAR)
    return f"[{'#' * full}{'.' * (BAR - full)}] {share:.0%}"


def _place_of(source: str | None) -> str | None:
    """A place as a worker in another directory has it; a directory that is called journal is ./journal."""
    if source == "journal":
        return JOURNAL
    return source if source is None or "://" in source else str(Path(source).absolute())


def _key(text: str) -> str:
    if text.startswith("{"):
        try:
            value = json.loads(text)
        except ValueError:
            value = None
        if not (isinstance(value, dict) and len(value) == 1 and {*value} <= {"S", "N", "B"}):
            raise click.UsageError(f'--partition-key {text} is no key: a text, or JSON as {{"N":"7"}}.')
        return json.dumps(value)
    return json.dumps({"S": text})


def _json(option: str, text: str | None) -> str | None:
    """A JSON object as text."""
    try:
        is_object = text is None or isinstance(json.loads(text), dict)
    except ValueError:
        is_object = False
    if not is_object:
        raise click.UsageError(f'{option} {text} is no JSON object, as {{":c":{{"S":"DE"}}}} for --values.')
    return text


def _segment(text: str) -> list[int]:
    number, _, of = text.partition("/")
    if not (number.isdigit() and of.isdigit() and int(number) < int(of) <= 1_000_000):
        raise click.UsageError(f"--segment {text} is none: I/N, as 0/4 for the first of four.")
    return [int(number), int(of)]
