"""`tailrace as-of | history | blame | diff`: what the journal of a table says of its past.

Rules of this file: options and output; the app says where journals are, and what they tell is journal/. A
journal is its files, and none that runs is in the way; what the live stream has beyond it, where that is at
hand, is live_stream.py's. What is not known is told, with exit code 1, and never guessed. Registered in
`main`.
"""

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from tailrace.cli import options
from tailrace.cli.changes import counted, item_text, key_text, printable, shown, value_text
from tailrace.cli.failures import CommandFailure
from tailrace.cli.live_stream import StreamPlace, live_stream, stream_of
from tailrace.cli.loading import load
from tailrace.cli.status import aligned
from tailrace.errors import NotKnown

if TYPE_CHECKING:
    from tailrace.app.app import App, HandlerMapping
    from tailrace.journal.core.past import HistoryEntry, PastState
    from tailrace.journal.run.opened_past import LiveStream
    from tailrace.journal.run.past import PastReader
    from tailrace.tables.schema import TableSchema

of_app = click.option(
    "--app", required=True, metavar="APP", help="The app that keeps the journal: a file or a module."
)
INCOMPLETE: Final = "--incomplete answers with what is known"
incomplete_too = click.option(
    "--incomplete", is_flag=True, help="Answer with what is known where not everything is."
)


class Archived(NamedTuple):
    """A table with a journal."""

    schema: "TableSchema"
    reader: "PastReader"
    actor: str | None


@click.command("as-of")
@click.argument("time")
@click.argument("table", required=False)
@click.option("--key", metavar="TABLE/KEY", help="One item, as `tailrace why` takes it.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most so many items.")
@options.options(of_app, *stream_of, incomplete_too, options.as_json)
def as_of(
    time: str,
    table: str | None,
    key: str | None,
    limit: int | None,
    app: str,
    incomplete: bool,
    as_json: bool,
    **typed: Any,
) -> None:
    """Show a table, or one item, as it was at TIME, a line an item.

    TIME is ISO 8601 with a zone, or seconds since 1970. What the journal does not know is said: what was
    before it began, what lies in a gap of it, and changes within a second where times are that coarse, as at
    AWS. What the live stream has beyond the journal is in the answer where a node runs in the data directory,
    or with --endpoint.

    \b
    Example: tailrace as-of 2026-10-31T23:59Z orders --app app.py
             tailrace as-of 2026-10-31T23:59Z --key orders/o1 --app app.py
             tailrace as-of 2026-10-31T23:59Z orders --app app.py --json | jq .status
    Next:    tailrace history TABLE/KEY --app app.py
    """
    from tailrace.app.moments import moment_us
    from tailrace.cli.running import run_loop

    if key is not None and (table or limit):
        raise click.UsageError("--key asks for one item, and names its table: leave out TABLE and --limit")
    at_us, loaded = moment_us(time), load(app)
    stream = live_stream(loaded, StreamPlace(**typed))
    if key is not None:
        archived, wanted = _of_key(loaded, app, key, stream)
        run_loop(_show_item(archived, wanted, at_us, as_json))
    else:
        archived = archived_table(loaded, app, table, stream)
        run_loop(_show_table(archived, at_us, limit, incomplete, as_json))


@click.command()
@click.argument("key", metavar="TABLE/KEY")
@options.options(of_app, *stream_of, options.as_json)
def history(key: str, app: str, as_json: bool, **typed: Any) -> None:
    """List every change of an item, the oldest first: when, what differed, and who made it.

    Who is told by Time to Live, by the handler that wrote it, or by the attribute that app.archive(…, actor=)
    names; else it is unknown, for streams do not tell. What is missing before a change is said.

    \b
    Example: tailrace history orders/o1 --app app.py
             tailrace history 'shop/{"pk": "a/b", "sk": 7}' --app app.py --json
    Next:    tailrace blame TABLE/KEY --app app.py
    """
    from tailrace.cli.running import run_loop

    loaded = load(app)
    archived, wanted = _of_key(loaded, app, key, live_stream(loaded, StreamPlace(**typed)))
    run_loop(_show_history(key, archived, wanted, as_json))


@click.command()
@click.argument("key", metavar="TABLE/KEY")
@click.option("--path", metavar="ATTRIBUTE", help="Only this attribute, or member of a map: address.city.")
@options.options(of_app, *stream_of, options.as_json)
def blame(key: str, path: str | None, app: str, as_json: bool, **typed: Any) -> None:
    """Show for each attribute of an item which change last set it, when, and who made it.

    \b
    Example: tailrace blame orders/o1 --app app.py
             tailrace blame orders/o1 --path address.city --app app.py
    Next:    tailrace history TABLE/KEY --app app.py
    """
    from tailrace.cli.running import run_loop

    loaded = load(app)
    archived, wanted = _of_key(loaded, app, key, live_stream(loaded, StreamPlace(**typed)))
    run_loop(_show_blame(key, archived, wanted, path, as_json))


@click.command()
@click.argument("since", metavar="T1")
@click.argument("until", metavar="T2")
@click.argument("table", required=False)
@options.options(of_app, *stream_of, incomplete_too, options.as_json)
def diff(
    since: str,
    until: str,
    table: str | None,
    app: str,
    incomplete: bool,
    as_json: bool,
    **typed: Any,
) -> None:
    """Show the items that are not the same at T1 and at T2: added, removed, and changed with what differs.

    \b
    Example: tailrace diff 2026-10-31T00:00Z 2026-10-31T23:59Z orders --app app.py
    Next:    tailrace history TABLE/KEY --app app.py
    """
    from tailrace.app.moments import moment_us
    from tailrace.cli.running import run_loop

    times, loaded = (moment_us(since), moment_us(until)), load(app)
    archived = archived_table(loaded, app, table, live_stream(loaded, StreamPlace(**typed)))
    run_loop(_show_diff(archived, times, incomplete, as_json))


# ---- which table -------------------------------------------------------------------------------------------


def archive_of(app: "App", named: str, table: str | None) -> "HandlerMapping":
    """The archive of a table of the app; without a name the only one. Raises: CommandFailure."""
    from tailrace.app.mapping import archives_of

    archives = archives_of(app.mappings)
    if not archives:
        raise CommandFailure(
            f"{named} keeps no journal, so nothing of the past is known.",
            hint="app.archive(TABLE, 'history/') in the app keeps one from now on",
        )
    if table is None and len(archives) > 1:
        raise CommandFailure(f"Which table? Those with a journal are: {', '.join(sorted(archives))}.")
    mapping = archives.get(table or next(iter(archives)))
    if mapping is None:
        raise CommandFailure(
            f"Table {printable(table or '')!r} has no journal in {named}. Those that have one: "
            f"{', '.join(sorted(archives))}."
        )
    return mapping


def archived_table(app: "App", named: str, table: str | None, stream: "LiveStream | None" = None) -> Archived:
    """A table of the app with a journal, and its live stream where that is at hand; without a name the only
    one. Raises: CommandFailure.
    """
    from tailrace.app.table import schema_of
    from tailrace.journal.run.opened_past import open_past

    mapping = archive_of(app, named, table)
    actor = None if mapping.archive is None else mapping.archive.actor
    return Archived(schema_of(mapping.table), open_past(app.region, mapping, stream), actor)


def _of_key(app: "App", named: str, key: str, stream: "LiveStream | None") -> tuple[Archived, bytes]:
    """The table and the key of TABLE/KEY. Raises: CommandFailure, TailraceError."""
    archived = archived_table(app, named, key.partition("/")[0], stream)
    return archived, key_in(archived.schema, key)


def key_in(schema: "TableSchema", text: str) -> bytes:
    """The key of TABLE/KEY, where the table is known. Raises: CommandFailure, TailraceError."""
    from tailrace.server.why_targets import KeyTarget, read_target

    target = read_target(text, [schema])
    if not isinstance(target, KeyTarget):
        raise CommandFailure(f"{printable(text)!r} is no key: write it as {schema.name}/KEY.")
    return schema.key_bytes(target.key)


@contextmanager
def advised(hint: str) -> Iterator[None]:
    """What the past does not know, with what can be typed about it. Raises: NotKnown."""
    try:
        yield
    except NotKnown as error:
        error.hint = hint
        raise


# ---- answers -----------------------------------------------------------------------------------------------


def _say_unread(archived: Archived) -> None:
    """Say why the journal alone has answered."""
    from tailrace.journal.core.past import unread_words

    if archived.reader.unread:
        click.echo(f"  {unread_words(archived.reader.unread)}", err=True)


async def _show_item(archived: Archived, key: bytes, at_us: int, as_json: bool) -> None:
    then = await archived.reader.at(at_us)
    state = await then.state(key)
    if as_json:
        click.echo(json.dumps({**_state(state), "later": then.later}))
    elif state.is_known:
        item = None if state.item is None else json.loads(state.item)
        click.echo("there was no such item" if item is None else item_text(item))
        for words in _notes(state, then.later):
            click.echo(words, err=True)
    else:
        raise CommandFailure(
            f"It is not known: {state.unknown}.", hint="tailrace history TABLE/KEY --app APP"
        )
    if not state.is_known:
        click.get_current_context().exit(1)


def _state(state: "PastState") -> dict[str, Any]:
    return {
        "known": state.is_known,
        "unknown": state.unknown,
        "item": None if state.item is None else json.loads(state.item),
        "since_us": state.since_us,
        "version": None if state.version is None else state.version.text,
        "near": [version.text for version in state.near],
    }


def _notes(state: "PastState", later: str) -> Iterator[str]:
    from tailrace.journal.core.moment import spoken

    if state.since_us is not None:
        yield f"  so since {spoken(state.since_us)}"
    if state.near:
        yield f"  within a second of that time it was written {len(state.near)} times; times are that coarse"
    if later:
        yield f"  {later}"


async def _show_table(
    archived: Archived, at_us: int, limit: int | None, incomplete: bool, as_json: bool
) -> None:
    then = await archived.reader.at(at_us, incomplete=incomplete)
    left = limit
    async with aclosing(then.items()) as items:
        with advised(INCOMPLETE):
            async for _, image in items:
                click.echo(image if as_json else item_text(json.loads(image)))
                if left is not None and (left := left - 1) <= 0:
                    break
    for words in filter(None, (then.unknown, then.later)):
        click.echo(f"  {words}", err=True)


async def _show_history(named: str, archived: Archived, key: bytes, as_json: bool) -> None:
    from tailrace.journal.core.attributes import author_of

    entries = await archived.reader.history(key)
    _say_unread(archived)
    told = [(entry, author_of(entry.change, archived.actor)) for entry in entries]
    if as_json:
        click.echo(json.dumps([_entry(entry, author) for entry, author in told]))
        return
    if not told:
        click.echo(f"{printable(named)}: the journal has no change of it")
    for entry, author in told:
        if entry.lost:
            click.echo(click.style(f"  {entry.lost}", fg="magenta"))
        click.echo(_line(entry, author.who))


def _line(entry: "HistoryEntry", who: str) -> str:
    from tailrace.journal.core.moment import spoken

    parts = [_differs(one.name, one.before, one.after) for one in entry.differences]
    return (
        f"{click.style(spoken(entry.change.created_us), dim=True)}  {entry.happened:6}  by {printable(who)}  "
        f"{shown(', '.join(parts) or 'nothing differs')}"
    )


def _differs(name: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    if before is None:
        return f"+{printable(name)} {value_text(after or {})}"
    if after is None:
        return f"-{printable(name)} {value_text(before)}"
    return f"{printable(name)} {value_text(before)} → {value_text(after)}"


def _entry(entry: "HistoryEntry", author: Any) -> dict[str, Any]:
    change = entry.change
    return {
        "created_us": change.created_us,
        "happened": entry.happened,
        "version": change.version.text,
        "old": None if change.old is None else json.loads(change.old),
        "new": None if change.new is None else json.loads(change.new),
        "who": author.who,
        "how": author.how,
        "lost": entry.lost,
    }


async def _show_blame(named: str, archived: Archived, key: bytes, path: str | None, as_json: bool) -> None:
    from tailrace.journal.core.moment import spoken

    blamed = await archived.reader.blame(key, archived.actor)
    _say_unread(archived)
    chosen = [one for one in blamed if path is None or one.name == path or one.name.startswith(f"{path}.")]
    if not chosen:
        have = ", ".join(printable(one.name) for one in blamed)
        words = f"it has no {printable(path or '')!r}, but {have}" if blamed else "there is no such item now"
        raise CommandFailure(f"{printable(named)}: {words}.", hint="tailrace history TABLE/KEY --app APP")
    if as_json:
        rows = [
            {
                "path": one.name,
                "value": one.value,
                "who": one.author.who,
                "how": one.author.how,
                "created_us": one.created_us,
                "version": None if one.version is None else one.version.text,
            }
            for one in chosen
        ]
        click.echo(json.dumps(rows))
        return
    lines: list[tuple[str, ...]] = [("ATTRIBUTE", "SET", "BY", "VALUE")]
    for one in chosen:
        when = "before the journal" if one.created_us is None else spoken(one.created_us)
        lines.append((printable(one.name), when, printable(one.author.who), shown(value_text(one.value))))
    click.echo("\n".join(aligned(lines)))


async def _show_diff(archived: Archived, times: tuple[int, int], incomplete: bool, as_json: bool) -> None:
    differing: AsyncIterator[Any] = archived.reader.diff(*times, incomplete=incomplete)
    count = 0
    with advised(INCOMPLETE):
        async for one in differing:
            count += 1
            key = archived.schema.read_key(one.key)
            if as_json:
                row = {
                    "key": key,
                    "happened": one.happened,
                    "before": None if one.before is None else json.loads(one.before),
                    "after": None if one.after is None else json.loads(one.after),
                }
                click.echo(json.dumps(row))
            else:
                parts = ", ".join(_differs(part.name, part.before, part.after) for part in one.differences)
                click.echo(f"{one.happened:7}  {key_text(key)}  {shown(parts)}")
    _say_unread(archived)
    if not as_json:
        click.echo(f"{counted(count, 'item')} differ{'s' if count == 1 else ''}", err=True)
