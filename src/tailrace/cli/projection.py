"""`tailrace projection ls|show|verify|rebuild|swap|drop`: what projections say, and new builds.

Rules of this file: options and output; the `projection` verbs do it. What is only read is answered without a
server too. Registered in `main`.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from tailrace.app.plain import to_plain
from tailrace.cli import options
from tailrace.cli.changes import counted, printable, shown
from tailrace.cli.connection import ask, pause
from tailrace.cli.durations import format_duration
from tailrace.cli.failures import CommandFailure
from tailrace.cli.group import CommandGroup
from tailrace.cli.hints import as_typed, next_line
from tailrace.cli.place import Place
from tailrace.cli.status import aligned

dry_run = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
MOST_SHOWN = 50
LOOK_S = 0.5
"""How often `rebuild --wait` looks."""
DIFFERS = 1
"""The exit code of `verify` when something is not as it should be."""


@click.group(cls=CommandGroup)
def projection() -> None:
    """Look at projections, compare them with their tables, build them anew.

    \b
    Example: tailrace projection ls
             tailrace projection show sales
             tailrace projection ls --state dynamodb:tailrace-state --app app.py
    Next:    tailrace projection verify sales
    """


@projection.command()
@options.options(*options.place_or_fleet, options.as_json)
def ls(place: Place, as_json: bool) -> None:
    """List every build of every projection: which one is served, how far the others are.

    \b
    Example: tailrace projection ls
    Next:    tailrace projection show NAME
    """
    answer = ask(place, "projection.ls")
    if as_json:
        click.echo(json.dumps(answer))
        return
    rows: list[tuple[str, ...]] = [
        ("PROJECTION", "BUILD", "STATE", "FROM", "FILLED IN", "FAILED", "PARKED", "ROWS IN")
    ]
    rows += [
        (
            printable(build["projection"]),
            build["build"],
            state_words(build),
            build["from"],
            filled_words(build),
            str(build["failures"]),
            str(build["parked_keys"]),
            printable(build["into"]),
        )
        for build in answer
    ]
    for text in aligned(rows) if answer else ["No projection is known here."]:
        click.echo(text)
    for build in answer:
        if build["changed"]:
            name = printable(build["projection"])
            text = (
                f"  {name} {build['build']}: its function is another than the one it was built by; raise "
                "its version, or"
            )
            click.echo(click.style(f"{text} {as_typed(f'tailrace projection rebuild {name}')}", fg="yellow"))
        for words in build["lacking"][:3]:
            click.echo(f"  {printable(build['projection'])} {build['build']}: {printable(words)}")
        for key, error in build["failed"][:3]:
            click.echo(f"  {printable(build['projection'])} {build['build']}: item {key}: {printable(error)}")


def state_words(build: Mapping[str, Any]) -> str:
    """Where a build stands."""
    if build["served"]:
        return "served" if build["filled"] else "served, filling"
    if build["filled"] and build["lacking"]:
        return "lacks history"
    return "ready or catching up" if build["filled"] else "filling"


def filled_words(build: Mapping[str, Any]) -> str:
    """How far the filling is, and about how long it takes yet."""
    if build["filled"] or not build["total"]:
        return str(build["items"])
    left_ms = build["left_ms"]
    left = "" if left_ms is None else f", about {format_duration(max(1_000, left_ms))} left"
    return f"{min(build['items'], build['total'])} of {build['total']}{left}"


@projection.command()
@click.argument("name")
@click.option("--build", help="Another build than the one that is served.")
@options.options(*options.place_or_fleet, options.as_json)
def show(name: str, build: str | None, place: Place, as_json: bool) -> None:
    """Show the groups of the projection NAME: key, how many items, state.

    \b
    Example: tailrace projection show sales
             tailrace projection show sales --build 2
    Next:    tailrace projection verify sales
    """
    answer = ask(place, "projection.read", {"projection": name, "build": build})
    if as_json:
        click.echo(json.dumps({**answer, "groups": [with_key(group) for group in answer["groups"]]}))
        return
    for text in groups_words(answer):
        click.echo(text)


def groups_words(answer: Mapping[str, Any]) -> Iterator[str]:
    """The groups as a table."""
    groups = answer["groups"]
    unfinished = "" if answer["filled"] else ", which is still being filled"
    many = counted(len(groups), "group")
    yield f"{printable(answer['projection'])}: {many} in build {answer['build']}{unfinished}"
    rows: list[tuple[str, ...]] = [("KEY", "ITEMS", "STATE")]
    rows += [
        (plain(json.loads(group["key"])), str(group["count"]), plain(group["state"]))
        for group in groups[:MOST_SHOWN]
    ]
    if groups:
        yield from aligned(rows)
    if len(groups) > MOST_SHOWN:
        yield f"  and {len(groups) - MOST_SHOWN} more: --json has all of them"


def with_key(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row for programs, with its key as JSON; the verb has it as the text that names rows."""
    try:
        return {**row, "key": json.loads(row["key"])}
    except ValueError:  # the key of an item that is not readable any more, in hexadecimal digits
        return dict(row)


def plain(value: Mapping[str, Any]) -> str:
    """An attribute value for people."""
    plain_value = to_plain(dict(value))
    if plain_value is None or isinstance(plain_value, bool):
        return json.dumps(plain_value)
    return shown(printable(str(plain_value)))


@projection.command()
@click.argument("name")
@options.options(*options.place_or_fleet, options.as_json)
def verify(name: str, place: Place, as_json: bool) -> None:
    """Compare the projection NAME with the items of its table as they are, and its groups with its items.

    What is on its way is waited for. The exit code is 1 when something differs.

    \b
    Example: tailrace projection verify sales
    Next:    tailrace projection rebuild sales
    """
    answer = ask(place, "projection.verify", {"projection": name})
    if as_json:
        differences = [with_key(difference) for difference in answer["differences"]]
        click.echo(json.dumps({**answer, "differences": differences}))
    else:
        for text in verdict_words(answer):
            click.echo(text)
    if answer["differing"]:
        click.get_current_context().exit(DIFFERS)


def verdict_words(answer: Mapping[str, Any]) -> Iterator[str]:
    """What a comparison came to."""
    name = printable(answer["projection"])
    items, groups = counted(answer["items"], "item"), counted(answer["groups"], "group")
    looked = f"{name}, build {answer['build']}: {items}, {groups}"
    moving = f"; {answer['in_flight']} kept moving and could not be judged" if answer["in_flight"] else ""
    if not answer["differing"]:
        yield f"{looked}: as the table has them{moving}"
        return
    yield click.style(f"{looked}: {answer['differing']} differ{moving}", fg="red")
    for difference in answer["differences"]:
        reason = f" ({printable(difference['reason'])})" if difference["reason"] else ""
        yield f"  {difference['kind']} {shown(printable(difference['key']))}{reason}"
        yield f"    expected {shown(printable(json.dumps(difference['expected'])))}"
        yield f"    found    {shown(printable(json.dumps(difference['found'])))}"
    yield next_line(f"tailrace projection rebuild {name}")


@projection.command()
@click.argument("name")
@click.option(
    "--from",
    "source",
    type=click.Choice(["table", "journal"]),
    help="What it is filled from; the table's journal, where app.archive keeps one, unless told.",
)
@click.option("--wait", is_flag=True, help="Show how far it is, until it is served, or ready for `swap`.")
@dry_run
@options.options(*options.place_or_fleet, options.as_json)
def rebuild(name: str, source: str | None, wait: bool, dry_run: bool, place: Place, as_json: bool) -> None:
    """Build the projection NAME anew from its table or the table's journal, beside the build that is served.

    It is served when it has caught up, or, with swap="manual", by `projection swap`; the build before it is
    removed then. A journal that does not know everything is no source but for a projection with history: then
    what it lacks is named, and `projection swap --force` accepts it. The workers of a fleet begin with it
    within a minute.

    \b
    Example: tailrace projection rebuild sales --dry-run
             tailrace projection rebuild sales --wait
    Next:    tailrace projection ls
    """
    answer = ask(place, "projection.rebuild", {"projection": name, "source": source, "dry_run": dry_run})
    if as_json and not (wait and not dry_run):
        click.echo(json.dumps(answer))
        return
    if not as_json:
        _say_rebuild(name, answer, dry_run=dry_run)
    if wait and not dry_run:
        build = _waited(place, name, answer["build"], answer["swap"], as_json=as_json)
        words = f"{name}: build {build['build']} is {state_words(build)}"
        click.echo(json.dumps(build) if as_json else words)


def _waited(place: Place, name: str, build: str, swap: str, *, as_json: bool) -> Mapping[str, Any]:
    """The build when it is served, or filled where a person swaps. Raises: CommandFailure for one that will
    not be; KeyboardInterrupt, after saying that it goes on.
    """
    from tailrace.cli.telling import Bar

    try:
        with Bar(f"building {name}", quiet=as_json) as bar:
            while True:
                told = next((one for one in ask(place, "projection.ls") if _is_it(one, name, build)), None)
                if told is None:
                    raise CommandFailure(
                        f"Build {build} of {name} is there no more: another one took its place.",
                        hint="tailrace projection ls",
                    )
                if told["served"] or (told["filled"] and swap != "auto"):
                    return dict(told)
                if told["filled"] and (told["lacking"] or told["failures"] or told["parked_keys"]):
                    raise CommandFailure(
                        f"Build {build} of {name} is filled and lacks something, so it is not served.",
                        hint=f"tailrace projection ls, then: tailrace projection swap {name} --force",
                    )
                bar.show(told["items"], told["total"])
                pause(LOOK_S)
    except KeyboardInterrupt:
        click.echo(f"\nbuild {build} of {name} goes on without this command", err=True)
        click.echo(next_line("tailrace projection ls"), err=True)
        raise


def _is_it(build: Mapping[str, Any], name: str, wanted: str) -> bool:
    return bool(build["projection"] == name and build["build"] == wanted)


def _say_rebuild(name: str, answer: Mapping[str, Any], *, dry_run: bool) -> None:
    """What will be, or has begun."""
    then = (
        "is served when it has caught up"
        if answer["swap"] == "auto"
        else f"waits for: {as_typed(f'tailrace projection swap {name}')}"
    )
    of = "the journal" if answer["from"] == "journal" else f"about {counted(answer['items'], 'item')}"
    if dry_run:
        click.echo(
            f"{name} would be built anew from {of}, beside build {answer['served']}; the new build {then}"
        )
        return
    out_of = " from the journal" if answer["from"] == "journal" else ""
    click.echo(
        f"{name} is built anew{out_of} as build {answer['build']}, beside build {answer['served']}; it {then}"
    )


@projection.command()
@click.argument("name")
@click.option("--force", is_flag=True, help="Also when the new build has not caught up or lacks items.")
@dry_run
@options.options(*options.place_or_fleet, options.as_json)
def swap(name: str, force: bool, dry_run: bool, place: Place, as_json: bool) -> None:
    """Serve the newest build of the projection NAME, and remove the one before it.

    \b
    Example: tailrace projection swap sales --dry-run
    Next:    tailrace projection verify sales
    """
    answer = ask(place, "projection.swap", {"projection": name, "force": force, "dry_run": dry_run})
    if as_json:
        click.echo(json.dumps(answer))
        return
    removed = ", ".join(answer["removes"]) or "nothing"
    if dry_run:
        click.echo(
            f"{name} would be served from build {answer['build']} instead of {answer['before']}; "
            f"removed: {removed}"
        )
    else:
        click.echo(f"{name} is served from build {answer['build']}; removed: {removed}")
    if answer["not_ready"]:
        click.echo(click.style(f"  it is not ready: {printable(answer['not_ready'])}", fg="yellow"))


@projection.command()
@click.argument("name")
@dry_run
@options.options(*options.place_or_fleet, options.as_json)
def drop(name: str, dry_run: bool, place: Place, as_json: bool) -> None:
    """Forget the projection NAME, which the app no longer declares: rows, checkpoints and dead letters.

    Rows in a table or a DuckDB file stay there. Of a fleet no worker may run meanwhile.

    \b
    Example: tailrace projection drop sales --dry-run
    Next:    tailrace dev app.py
    """
    answer = ask(place, "projection.drop", {"projection": name, "dry_run": dry_run})
    if as_json:
        click.echo(json.dumps(answer))
        return
    click.echo(f"{name}: {counted(answer['rows'], 'row')} {'would go' if dry_run else 'are gone'}")
    for target in answer["left"]:
        click.echo(f"  rows in {printable(target)} stay there")
