"""`tailrace sql`: SQL over the tables that DuckDB sinks keep, while changes arrive.

Rules of this file: options and output, a page at a time; beside a running app its process answers (the `sql`
verb), elsewhere --file is opened to be read. Registered in `main`.
"""

import json
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from tailrace.cli import options
from tailrace.cli.charts import Figures, drawn
from tailrace.cli.connection import answers
from tailrace.cli.durations import duration, format_duration
from tailrace.cli.failures import CommandFailure
from tailrace.cli.place import Place
from tailrace.cli.screen import screen
from tailrace.errors import TailraceError

MOST_SHOWN = 1_000
PLAIN_WIDTH = 1_000
"""Nothing is cut where no terminal is."""
MARGIN = 3
"""Lines of a screen beside the rows."""
Pages = Iterator[dict[str, Any]]


@click.command()
@click.argument("question", metavar="SELECT")
@click.option("--table", help="Which sink's file is asked, where there are several.")
@click.option(
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A DuckDB file that no app is writing.",
)
@click.option(
    "--timeout",
    "timeout_ms",
    callback=duration,
    default="60s",
    show_default=True,
    metavar="DURATION",
    help="How long the answer may take.",
)
@click.option("--watch", is_flag=True, help="Ask again and again, and draw each new answer over the last.")
@click.option(
    "--every",
    "every_ms",
    callback=duration,
    default="1s",
    show_default=True,
    metavar="DURATION",
    help="With --watch: how often at most.",
)
@click.option(
    "--bar", "figure", metavar="COLUMN", help="With --watch: the bars' column, for the first one of numbers."
)
@options.options(*options.place_or_fleet, options.as_json)
def sql(
    question: str,
    table: str | None,
    file: Path | None,
    timeout_ms: int,
    watch: bool,
    every_ms: int,
    figure: str | None,
    place: Place,
    as_json: bool,
) -> None:
    """Ask the tables that DuckDB sinks keep: one SELECT in DuckDB's SQL.

    `app.sink(orders, sinks.DuckDB("shop.duckdb", "orders"))` keeps a table in step with the stream. Beside
    the app it is asked while changes arrive; --file asks one without an app. Nothing but reading is allowed,
    and nothing but the file's own tables can be reached: no other file, no extension, no network.
    Ctrl-C ends the question, also in the app's process.

    --watch shows the answer as changes arrive: bars for its first column of numbers, and a line of how each
    row went. q or Ctrl-C ends it. Where no terminal is, and with --json, each new answer is printed.

    \b
    Example: tailrace sql "select country, sum(total) from orders group by all"
             tailrace sql --watch "select country, count(*) from orders group by all order by 2 desc"
             tailrace sql --json "select count(*) from orders"
    Next:    tailrace status
    """
    asked: dict[str, Any] = {"sql": question, "table": table, "timeout_ms": timeout_ms}
    if watch:
        if file is not None:
            raise click.UsageError("--watch asks a running app: nothing changes in a file that no app writes")
        frames = answers(place, "sql", {**asked, "every_ms": every_ms}, endless=True)
        _watch(frames, figure, as_json)
        return
    pages: Pages = (
        answers(place, "sql", asked, endless=True) if file is None else _from_file(file, question, timeout_ms)
    )
    with closing(pages):  # type: ignore[type-var]
        (_print_json if as_json else _print_table)(pages)


def _watch(frames: Pages, figure: str | None, as_json: bool) -> None:
    """Show each answer that is another one."""
    figures = Figures(figure)
    if as_json:
        for frame in frames:
            click.echo(json.dumps([dict(zip(frame["columns"], row, strict=True)) for row in frame["rows"]]))
        return
    if not sys.stdout.isatty():
        console = Console(highlight=False, markup=False, width=PLAIN_WIDTH)
        for frame in frames:
            console.print(_drawn(frame, figures))
            console.print()
        return
    with screen("asking: the answer is drawn again whenever it is another one") as shown:
        for frame in frames:
            height, width = max(1, shown.console.height - MARGIN), shown.console.width
            shown.draw(_drawn(frame, figures, height, width))


def _drawn(
    frame: dict[str, Any], figures: Figures, most_rows: int = MOST_SHOWN, width: int = PLAIN_WIDTH
) -> Table:
    try:
        figures.add(frame)
    except ValueError as error:
        raise CommandFailure(f"{error}.", hint="tailrace sql --watch --bar COLUMN …") from error
    return drawn(frame, figures, most_rows=most_rows, width=width)


def _print_json(pages: Pages) -> None:
    separator = "["
    for page in pages:
        for row in page["rows"]:
            click.echo(
                separator + json.dumps(dict(zip(page["columns"], row, strict=True)), default=str), nl=False
            )
            separator = ", "
    click.echo("[]" if separator == "[" else "]")


def _print_table(pages: Pages) -> None:
    shown = Table(box=None, pad_edge=False)
    first = next(pages)
    for name in first["columns"]:
        shown.add_column(name)
    rows = (row for page in pages for row in page["rows"])
    for row in islice(rows, MOST_SHOWN):
        shown.add_row(*("" if cell is None else str(cell) for cell in row))
    Console(highlight=False, markup=False).print(shown)
    if next(rows, None) is not None:
        click.echo(f"… only the first {MOST_SHOWN:,} rows are shown: ask for less, or with --json", err=True)


def _from_file(file: Path, question: str, timeout_ms: int) -> Pages:
    from threading import Event, Timer

    from tailrace.server.sql import plain
    from tailrace.sinks.duckdb_table import DuckDB

    late = Event()
    try:
        with DuckDB.read(file) as table:
            asked = table.question(question)

            def give_up() -> None:
                late.set()
                asked.close()

            timer = Timer(timeout_ms / 1_000, give_up)
            timer.daemon = True
            timer.start()
            try:
                columns = asked.begin()
                yield {"columns": columns, "rows": []}
                while rows := asked.page():
                    yield {"columns": columns, "rows": [[plain(cell) for cell in row] for row in rows]}
            finally:
                timer.cancel()
                asked.close()
    except TailraceError as error:
        if late.is_set():
            raise CommandFailure(
                f"The question took longer than {format_duration(timeout_ms)} and was ended.",
                hint="ask for less, or allow it more: --timeout 10m",
            ) from error
        raise CommandFailure(str(error.args[0]), hint=error.hint) from error
