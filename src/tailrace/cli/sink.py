"""`tailrace sink ls|verify|repair|compact`: whether a sink is what its table is, and making it so again.

Rules of this file: options and output; the `sink` verbs do it. Progress goes to standard error: a bar at a
terminal, lines elsewhere, nothing with --json. Registered in `main`.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import Any, Final

import click

from tailrace.cli import options
from tailrace.cli.changes import counted, printable, shown
from tailrace.cli.compacting import compact
from tailrace.cli.connection import answers, ask
from tailrace.cli.failures import UNDRAINED
from tailrace.cli.group import CommandGroup
from tailrace.cli.hints import next_line
from tailrace.cli.place import Place
from tailrace.cli.status import aligned
from tailrace.errors import SettingsError
from tailrace.verification.core.sampling import read_sample

DIFFERS: Final = 1
"""The exit code when rows are not what their items are."""
UNJUDGED: Final = UNDRAINED
"""The exit code when no row differs, and some moved whenever they were looked at."""


def sample_size(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A click callback: a sample as it is typed. Raises: BadParameter."""
    if value is not None:
        try:
            read_sample(value)
        except SettingsError as error:
            raise click.BadParameter(str(error.args[0]), context, parameter) from error
    return value


sample = click.option(
    "--sample",
    callback=sample_size,
    metavar="N|N%",
    help="Compare so many items, or such a share, drawn by chance, and say what that proves.",
)
read_units = click.option(
    "--read-units",
    "read_units_per_s",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Read no more than so many units a second of a table at AWS.",
)
yes = click.option("--yes", is_flag=True, help="Do not ask, whatever it costs or writes.")


@click.group(cls=CommandGroup)
def sink() -> None:
    """Compare what sinks show with their tables, and mend what differs.

    \b
    Example: tailrace sink ls
             tailrace sink verify orders.DuckDB
    Next:    tailrace sink repair orders.DuckDB --dry-run
    """


sink.add_command(compact)


@sink.command()
@options.options(*options.place_or_fleet, options.as_json)
def ls(place: Place, as_json: bool) -> None:
    """List the sinks of changes that the app declares, and whether each can be compared with its table.

    \b
    Example: tailrace sink ls
    Next:    tailrace sink verify NAME
    """
    answer = ask(place, "sink.ls")
    if as_json:
        click.echo(json.dumps(answer))
        return
    rows: list[tuple[str, ...]] = [("SINK", "TABLE", "KIND", "CAN BE COMPARED")]
    rows += [
        (
            printable(one["sink"]),
            printable(one["table"]),
            one["kind"],
            "yes" if one["comparable"] else f"no: {printable(one['why'])}",
        )
        for one in answer
    ]
    for text in aligned(rows) if answer else ["The app declares no sink of changes."]:
        click.echo(text)


@sink.command()
@click.argument("name")
@options.options(sample, read_units, yes, *options.place_or_fleet, options.as_json)
def verify(
    name: str, sample: str | None, read_units_per_s: float | None, yes: bool, place: Place, as_json: bool
) -> None:
    """Compare the rows of the sink NAME with the items of its table, while both change.

    The table is read once. What differs is looked at again until it stands still, so what is only on its way
    is never told. The exit code is 1 when rows differ, 3 when none does and some could not be judged.

    \b
    Example: tailrace sink verify orders.DuckDB
             tailrace sink verify orders.DuckDB --sample 1%
             tailrace sink verify orders.DuckDB --json | jq .missing
    Next:    tailrace sink repair orders.DuckDB --dry-run
    """
    asked = {"sink": name, "sample": sample, "read_units_per_s": read_units_per_s, "yes": yes}
    asked = _confirmed(place, asked, as_json=as_json)
    report = _compared(place, "sink.verify", asked, as_json=as_json)
    _tell(report, verdict_words, as_json=as_json)


@sink.command()
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Say which rows would be written, and write none.")
@options.options(sample, read_units, yes, *options.place_or_fleet, options.as_json)
def repair(
    name: str,
    dry_run: bool,
    sample: str | None,
    read_units_per_s: float | None,
    yes: bool,
    place: Place,
    as_json: bool,
) -> None:
    """Write rows of the sink NAME that are not what their items are, while both change.

    Each row is written under the version that it has, if it still has it: whatever is delivered meanwhile or
    later wins. An item that is gone becomes a deleted row. `tailrace audit` tells what was written.

    \b
    Example: tailrace sink repair orders.DuckDB --dry-run
             tailrace sink repair orders.DuckDB --yes
    Next:    tailrace sink verify orders.DuckDB
    """
    asked = {"sink": name, "sample": sample, "read_units_per_s": read_units_per_s, "yes": yes}
    asked = _confirmed(place, asked, as_json=as_json)
    if sys.stdin.isatty() and not (yes or dry_run or as_json):
        planned = _compared(place, "sink.repair", {**asked, "dry_run": True}, as_json=False)
        for text in repair_words(planned):
            click.echo(text)
        if not sum(difference["mended"] != "" for difference in planned["differences"]):
            _exit(planned)
        click.confirm("Write these rows?", abort=True)
        asked = {**asked, "yes": True}
    report = _compared(place, "sink.repair", {**asked, "dry_run": dry_run}, as_json=as_json)
    _tell(report, repair_words, as_json=as_json)


def _confirmed(place: Place, asked: Mapping[str, Any], *, as_json: bool) -> dict[str, Any]:
    """Say what reading costs, and ask at a terminal where it is much. Raises: Abort, CommandFailure."""
    if as_json or asked["yes"]:
        return dict(asked)
    plan = ask(place, "sink.plan", asked)
    for text in plan_words(plan):
        click.echo(text, err=True)
    if plan["asks"] and sys.stdin.isatty():
        click.confirm("Read it?", abort=True, err=True)
        return {**asked, "yes": True}
    return dict(asked)


def plan_words(plan: Mapping[str, Any]) -> Iterator[str]:
    """What a comparison will read."""
    size = f"about {counted(plan['items'], 'item')}, {plan['bytes'] / 1_000_000:,.1f} MB"
    yield f"{printable(plan['sink'])}: reads {size} of table {printable(plan['table'])}"
    if plan["snapshot"]:
        yield f"  {plan['snapshot']}; what differs until it is over is not judged"
    if plan["charged"]:
        minutes = f"{plan['seconds'] / 60:,.1f} minutes"
        yield f"  {plan['read_units']:,} read units, {plan['usd']:,.2f} USD on demand, about {minutes}"


def _compared(place: Place, verb: str, asked: Mapping[str, Any], *, as_json: bool) -> dict[str, Any]:
    """The report of a comparison. Raises: CommandFailure; KeyboardInterrupt, after saying how far it was."""
    from tailrace.cli.telling import Bar

    told: Mapping[str, Any] = {}
    values = answers(place, verb, asked, endless=True)
    with Bar("reading the table", quiet=as_json) as bar, closing(values):
        try:
            for value in values:
                if "report" in value:
                    return dict(value["report"])
                told = value["progress"]
                bar.show(*progress_of(told))
        except KeyboardInterrupt:
            click.echo(f"\nstopped while {stopped_words(told)}; nothing of it is left behind", err=True)
            raise
    raise AssertionError("a comparison ends with its report")


def stopped_words(told: Mapping[str, Any]) -> str:
    """How far a comparison was."""
    if not told:
        return "it began"
    mended = f", {told['mended']:,} rows mended" if told["mended"] else ""
    read = f"{counted(told['items'], 'item')} and {counted(told['rows'], 'row')} read"
    return f"{told['phase']}: {read}, {told['judged']:,} looked at again{mended}"


def progress_of(told: Mapping[str, Any]) -> tuple[int, int, str, str]:
    """How far a comparison is in its phase, of how much, which phase that is, and what is counted."""
    done, total, noun = {
        "reading the table": (told["items"], told["estimate"], "item"),
        "reading the rows": (told["rows"], told["items"], "row"),
        "looking again": (told["judged"], told["suspects"], "item"),
    }.get(told["phase"], (0, 0, "item"))
    return done, total, told["phase"], noun


def _tell(
    report: Mapping[str, Any], words: Callable[[Mapping[str, Any]], Iterator[str]], *, as_json: bool
) -> None:
    if as_json:
        click.echo(json.dumps(report))
    else:
        for text in words(report):
            click.echo(text)
    _exit(report)


def _exit(report: Mapping[str, Any]) -> None:
    code = DIFFERS if report["left"] else UNJUDGED if report["unjudged"] else 0
    click.get_current_context().exit(code)


KINDS: Final = {
    "missing": "missing",
    "different": "different",
    "extra": "without an item",
    "waits": "waiting for a parked change or a dead letter",
    "failed": "of items that the transform fails on",
}


def verdict_words(report: Mapping[str, Any]) -> Iterator[str]:
    """What a comparison came to."""
    yield from _verdict(report)
    if sum(report[kind] for kind in ("missing", "different", "extra")):
        yield next_line(f"tailrace sink repair {report['sink']} --dry-run")


def repair_words(report: Mapping[str, Any]) -> Iterator[str]:
    """What a repair came to."""
    yield from _verdict(report)
    if report["mended"]:
        yield f"  {report['mended']:,} rows were written; {report['left']:,} are left"
        yield next_line(f"tailrace sink verify {report['sink']}")


def _verdict(report: Mapping[str, Any]) -> Iterator[str]:
    name, sampled = printable(report["sink"]), report["sample"]
    items, rows = counted(report["items"], "item"), counted(report["rows"], "row")
    looked = f"{name}: {report['wanted']:,} of {items}, {rows}"
    counts = {words: report[kind] for kind, words in KINDS.items() if report[kind]}
    if counts:
        differ = ", ".join(f"{count:,} {words}" for words, count in counts.items())
        yield click.style(f"{looked}: {differ}", fg="red")
    else:
        yield f"{looked}: as the table has them"
    if report["unjudged"] and report["snapshot"]:
        yield f"  {report['unjudged']:,} differ and could not be judged yet: {report['snapshot']}"
        yield next_line(f"tailrace snapshot status {name} --watch, then the same again")
    elif report["unjudged"]:
        moved = f"{report['unjudged']:,} moved whenever they were looked at, or the handler is behind"
        yield f"  {moved}: they could not be judged"
        yield next_line("tailrace status")
    if sampled is not None:
        most = f"{sampled['at_most']:.2%}"
        yield (
            f"  a sample: of {sampled['partition_keys']:,} partition keys {sampled['wrong']:,} have a row "
            f"that differs; so, with 95 % confidence, at most {most} of all have"
        )
    for difference in report["differences"]:
        key = difference["key"]
        text = shown(printable(key if isinstance(key, str) else json.dumps(key)))
        reason = f" ({printable(difference['reason'])})" if difference["reason"] else ""
        mended = f": {difference['mended']}" if difference["mended"] else ""
        yield f"  {difference['kind']} {text}{reason}{mended}"
    more = sum(report[kind] for kind in KINDS) - len(report["differences"])
    if more > 0:
        yield f"  and {more:,} more"
