"""`tailrace dlq ls|show|diff|redrive|drop`: what handlers were given up on, and what to do about it.

Rules of this file: options and output; the answers are the `dlq` verbs'. Beside a running server and without
one. Registered in `main`.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

import click

from tailrace.cli import options
from tailrace.cli.changes import line, printable, shown
from tailrace.cli.connection import answers, ask
from tailrace.cli.durations import format_duration, format_instant, instant
from tailrace.cli.group import CommandGroup
from tailrace.cli.hints import next_line, next_start
from tailrace.cli.place import Place, StateAt
from tailrace.cli.status import aligned, aligned_pages
from tailrace.cli.telling import Bar

OVERTAKEN: Final = "overtaken"
"""A discarded change of whose item a later one was handled since."""
Function = TypeVar("Function", bound=Callable[..., Any])
where = options.options(
    click.option("--error", metavar="PATTERN", help="Only errors that fit, as in 'SMTP*'."),
    click.option("--key", metavar="PATTERN", help="Only items whose key fits: o1, or PK/SK."),
    click.option("--since", callback=instant, metavar="ISO", help="Only what failed last at or after this."),
    click.option("--until", callback=instant, metavar="ISO", help="Only what failed last before this."),
    click.option(
        "--fingerprint", metavar="TEXT", help="Only failures that look like these (`dlq ls` groups them)."
    ),
    click.option("--event", metavar="EVENT_ID", help="Only this change."),
)
dry_run = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")


def chosen(**filters: Any) -> dict[str, Any]:
    """The filter's options in the words of the verbs."""
    names = {"since": "since_ms", "until": "until_ms", "event": "event_id"}
    return {names.get(name, name): value for name, value in filters.items() if value is not None}


@click.group(cls=CommandGroup)
def dlq() -> None:
    """Look at changes that handlers were given up on, put them back, or drop them.

    A failing item is parked with its later changes, in order, while every other item goes on; nothing of it
    is lost.

    \b
    Example: tailrace dlq ls
             tailrace dlq redrive receipt --error 'SMTP*' --rate 10/s
    Next:    tailrace why EVENT_ID
    """


@dlq.command()
@click.argument("handler", required=False)
@where
@options.options(*options.place_or_fleet, options.as_json)
def ls(handler: str | None, place: Place, as_json: bool, **filters: Any) -> None:
    """List dead letters and parked changes, then count those whose failures look alike.

    \b
    Example: tailrace dlq ls receipt --error 'SMTP*'
    Next:    tailrace dlq show EVENT_ID
    """
    answer = answers(place, "dlq.ls", {"handler": handler, "where": chosen(**filters)})
    first = next(answer)
    if as_json:
        for text in json_listed(first, answer):
            click.echo(text, nl=False)
        return
    for text in listed(first, answer):
        click.echo(text)


@dlq.command()
@click.argument("event_id")
@click.option("--handler", help="Whose dead letter, when several handlers have one.")
@options.options(*options.place_or_fleet, options.as_json)
def show(event_id: str, handler: str | None, place: Place, as_json: bool) -> None:
    """Show one dead letter whole: both images, the failure, and what waits behind it.

    \b
    Example: tailrace dlq show 4f0c…
    Next:    tailrace dlq diff EVENT_ID
    """
    answer = ask(place, "dlq.show", {"event_id": event_id, "handler": handler})
    if as_json:
        click.echo(json.dumps(answer))
        return
    for text in (*head(answer), *_waiting(answer["behind"]), *_advice(answer)):
        click.echo(text)


@dlq.command()
@click.argument("event_id")
@click.option("--handler", help="Whose dead letter, when several handlers have one.")
@options.options(*options.place_or_fleet, options.as_json)
def diff(event_id: str, handler: str | None, place: Place, as_json: bool) -> None:
    """Show the item of a dead letter as it was then and as it is now.

    \b
    Example: tailrace dlq diff 4f0c…
    Next:    tailrace dlq redrive HANDLER --event EVENT_ID
    """
    answer = ask(place, "dlq.diff", {"event_id": event_id, "handler": handler})
    if as_json:
        click.echo(json.dumps(answer))
        return
    for text in differences(answer):
        click.echo(text)


@dlq.command()
@click.argument("handler")
@where
@click.option("--rate", metavar="N/s", help="At most so many changes: 10/s, 100/m.")
@click.option(
    "--even-if-overtaken", is_flag=True, help="Also what a later change of the same item has overtaken."
)
@dry_run
@options.options(*options.place_or_fleet, options.as_json)
def redrive(
    handler: str,
    rate: str | None,
    even_if_overtaken: bool,
    dry_run: bool,
    place: Place,
    as_json: bool,
    **filters: Any,
) -> None:
    """Put changes back to their HANDLER: of each item in order, then the item flows again.

    It can be repeated and interrupted. Without a running app it is remembered and done at the next start.

    \b
    Example: tailrace dlq redrive receipt --error 'SMTP*' --rate 10/s --dry-run
    Next:    tailrace dlq ls
    """
    arguments = {
        "handler": handler,
        "where": chosen(**filters),
        "rate": rate,
        "even_if_overtaken": even_if_overtaken,
        "dry_run": dry_run,
    }
    watch(answers(place, "dlq.redrive", arguments), "put back", as_json, place)


@dlq.command()
@click.argument("handler")
@where
@click.option("--all", "everything", is_flag=True, help="All of them: needed when nothing else chooses.")
@click.option("--with-waiting", is_flag=True, help="Also what waits behind them, and free the items.")
@dry_run
@options.options(*options.place_or_fleet, options.as_json)
def drop(
    handler: str,
    everything: bool,
    with_waiting: bool,
    dry_run: bool,
    place: Place,
    as_json: bool,
    **filters: Any,
) -> None:
    """Forget changes that HANDLER was given up on. What waits behind them stays, to be redriven.

    \b
    Example: tailrace dlq drop receipt --event 4f0c… --dry-run
    Next:    tailrace dlq redrive HANDLER
    """
    choice = chosen(**filters)
    if not choice and not everything:
        raise click.UsageError("say which: --event, --error, --key, --since, --fingerprint, or --all")
    arguments = {"handler": handler, "where": choice, "with_waiting": with_waiting, "dry_run": dry_run}
    watch(answers(place, "dlq.drop", arguments), "dropped", as_json, place)


# ---- telling -----------------------------------------------------------------------------------------------


def watch(values: Iterator[Mapping[str, Any]], verb: str, as_json: bool, place: Place) -> None:
    """A redrive or a drop, as it goes on; with --json its last word."""
    last: Mapping[str, Any] = {}
    bar = Bar(verb, "change", quiet=as_json)
    for last in values:
        if last["state"] == "running":
            bar.show(last["done"] + last["failed"] + last["overtaken"] + last["busy"], last["total"])
    bar.end()
    if as_json:
        click.echo(json.dumps(last))
        return
    for text in outcome(last, verb, place):
        click.echo(text)


def outcome(last: Mapping[str, Any], verb: str, place: Place) -> Iterator[str]:
    """How it ended, in words."""
    keys, changes, single = last["parked_keys"], last["parked_changes"], last["discarded"]
    amount = f"{changes} changes of {keys} parked items, {single} discarded changes"
    match last["state"]:
        case "planned" if last["dry_run"]:
            yield (
                f"would be {verb}: {amount}; of the discarded ones {last['overtaken']} are overtaken and stay"
            )
        case "planned":
            yield "nothing fits: nothing was done"
        case "requested" if isinstance(place, StateAt):
            yield f"noted: {amount}. Workers that run the handler carry it out, or the next one that begins."
            yield next_line(f"tailrace dlq ls {last['handler']}")
        case "requested":
            yield f"noted: {amount}. The handler does not run here; its next start puts them back."
            yield next_line(next_start())
        case _:
            yield (
                f"{verb}: {last['done']} changes, {last['unparked_keys']} items free again; failed again "
                f"{last['failed']}, overtaken {last['overtaken']}, busy {last['busy']}"
            )
            yield from (f"  {shown(printable(error))}" for error in last["errors"])
            if last["stopped"]:
                yield click.style(f"stopped: {printable(last['stopped'])}", fg="yellow")


def json_listed(first: Mapping[str, Any], pages: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """One JSON object in pieces: its letters may be more than memory holds. The windows come last."""
    summary = {name: value for name, value in first.items() if name != "longest_item"}
    yield f'{json.dumps(summary)[:-1]}, "letters": ['
    comma, is_at_windows = "", False
    for page in pages:
        if "windows" in page and not is_at_windows:
            yield '], "windows": ['
            comma, is_at_windows = "", True
        for row in page.get("letters", ()) or page.get("windows", ()):
            yield comma + json.dumps(row)
            comma = ", "
    yield "]}\n" if is_at_windows else '], "windows": []}\n'


def listed(first: Mapping[str, Any], pages: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Letters as they come, then how many there are."""
    if not first["count"] and not first["lost_windows"]:
        yield "Nothing was given up."
        return
    windows: list[str] = []
    if first["count"]:
        yield from _letters(first, pages, windows)
    else:
        windows += [text for page in pages for window in page["windows"] for text in _window(window)]
    yield from windows


def _letters(
    first: Mapping[str, Any], pages: Iterable[Mapping[str, Any]], windows: list[str]
) -> Iterator[str]:
    """Letters, then how many there are; what is said of windows is kept for later."""
    names = [len(printable(group["handler"])) for group in first["groups"]]
    widest = (max(names, default=0), first.get("longest_item", 0), 0, len(OVERTAKEN))
    heading = ("HANDLER", "ITEM", "CHANGE", "STATE", "ATTEMPTS", "EVENT ID", "ERROR")
    yield from aligned_pages(heading, _rows(pages, windows), widest)
    yield ""
    yield from _counts(first)
    yield next_line("tailrace dlq show EVENT_ID, tailrace dlq redrive HANDLER")


def _counts(first: Mapping[str, Any]) -> Iterator[str]:
    """How many failed of each handler in the same way, and in all."""
    rows: list[tuple[str, ...]] = [("COUNT", "HANDLER", "FIRST FAILURE", "LAST FAILURE", "FINGERPRINT")]
    rows += [
        (
            str(group["count"]),
            printable(group["handler"]),
            format_instant(group["first_failure_ms"]),
            format_instant(group["last_failure_ms"]),
            shown(printable(group["fingerprint"])),
        )
        for group in first["groups"]
    ]
    yield from aligned(rows)
    waiting = first.get("waiting", 0)
    failed = first["count"] - waiting
    behind = (
        f", and {waiting} later {'change waits' if waiting == 1 else 'changes wait'} behind them"
        if waiting
        else ""
    )
    yield f"{failed} {'change' if failed == 1 else 'changes'} failed{behind}."


def _rows(pages: Iterable[Mapping[str, Any]], windows: list[str]) -> Iterator[list[tuple[str, ...]]]:
    for page in pages:
        if "letters" in page:
            yield [_row(letter) for letter in page["letters"]]
        windows += [text for window in page.get("windows", ()) for text in _window(window)]


def _window(window: Mapping[str, Any]) -> Iterator[str]:
    """A tumbling window whose final invoke was given up."""
    span = f"{format_instant(window['start_ms'])} to {format_instant(window['end_ms'])}"
    yield (
        f"{printable(window['handler'])}: the final call of the window from {span} was given up after "
        f"{window['attempts']} attempts ({window['condition']})"
    )
    yield f"    {shown(printable(window['error'].partition(chr(10))[0]))}; in {window['shard_id']}"
    yield f"    the state it would have been given: {shown(printable(window['state']))}"


def _row(letter: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        printable(letter["handler"]),
        f"{printable(letter['table'])}/{printable(letter['key'])}",
        letter["event_name"],
        OVERTAKEN if letter["overtaken_by"] else letter["state"],
        str(letter["attempts"]),
        letter["event_id"],
        shown(printable(letter["error"].partition("\n")[0])),
    )


def head(letter: Mapping[str, Any]) -> Iterator[str]:
    """A letter: its change, both images, how it failed, the traceback."""
    yield line(letter, diff=True)
    yield (
        f"  {letter['state']:10} by {printable(letter['handler'])} after {letter['attempts']} attempts "
        f"({letter['condition']})"
    )
    if letter["first_failure_ms"]:
        lasted = letter["last_failure_ms"] - letter["first_failure_ms"]
        yield f"  failed     {format_instant(letter['first_failure_ms'])}, for {format_duration(lasted)}"
    yield (
        f"  event id   {letter['event_id']}, trace {printable(letter['trace'])}, code "
        f"{letter['code_version'] or '-'}"
    )
    yield f"  old image  {json.dumps(letter['old'])}"
    yield f"  new image  {json.dumps(letter['new'])}"
    if letter["error"]:
        yield f"  error      {shown(printable(letter['error']))}"
    yield from (f"             {printable(text)}" for text in letter["traceback"].rstrip().splitlines())


def _waiting(behind: list[Mapping[str, Any]]) -> Iterator[str]:
    if behind:
        yield f"{len(behind)} later changes of the item wait behind it:"
        yield from (f"  {line(change, diff=True)}" for change in behind)


def _advice(letter: Mapping[str, Any]) -> Iterator[str]:
    yield next_line(f"tailrace dlq redrive {letter['handler']} --event {letter['event_id']}")


def differences(answer: Mapping[str, Any]) -> Iterator[str]:
    """Then and now."""
    yield (
        f"{printable(answer['table'])}/{printable(answer['key'])}: given up as {answer['event_name']}, "
        f"{answer['state']}"
    )
    if answer["overtaken_by"]:
        yield click.style(
            f"overtaken: {printable(answer['handler'])} has since handled change {answer['overtaken_by']} of "
            "this item, so a redrive passes it over unless --even-if-overtaken",
            fg="yellow",
        )
    if answer["now"] is None:
        yield "the item is not there any more"
    if not answer["changed"]:
        yield "the item is as it was then"
        return
    rows: list[tuple[str, ...]] = [("ATTRIBUTE", "THEN", "NOW")]
    rows += [
        (printable(name), *("-" if value is None else shown(json.dumps(value)) for value in pair))
        for name, pair in answer["changed"].items()
    ]
    yield from aligned(rows)
