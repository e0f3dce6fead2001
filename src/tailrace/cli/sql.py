"""`tailrace sql`: SQL over the tables that DuckDB sinks keep, while changes arrive.

Rules of this file: options and output; beside a running app its process answers (the `sql` verb), elsewhere --file is opened to be read.
Registered in `main`.
"""

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from tailrace.cli import options
from tailrace.cli.connection import ask
from tailrace.cli.failures import CommandFailure
from tailrace.errors import TailraceError

MOST_SHOWN = 1_000


@click.command()
@click.argument("question", metavar="SELECT")
@click.option("--table", help="Which sink's file is asked, where there are several.")
@click.option(
    "--file", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A DuckDB file that no app is writing.",
)  # fmt: skip
@options.options(options.data, options.as_json)
def sql(question: str, table: str | None, file: Path | None, directory: Path, as_json: bool) -> None:
    """Ask the tables that DuckDB sinks keep: one SELECT in DuckDB's SQL.

    `app.sink(orders, sinks.DuckDB("shop.duckdb", "orders"))` keeps a table in step with the stream. Beside the app it is asked while
    changes arrive; --file asks one that nobody writes. Nothing but reading is allowed.

    \b
    Example: tailrace sql "select country, sum(total) from orders group by all"
             tailrace sql --json "select count(*) from orders"
    Next:    tailrace status
    """
    answer = (
        ask(directory, "sql", {"sql": question, "table": table})
        if file is None
        else _from_file(file, question)
    )
    columns, rows = answer["columns"], answer["rows"]
    if as_json:
        click.echo(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], default=str))
        return
    shown = Table(box=None, pad_edge=False)
    for name in columns:
        shown.add_column(name)
    for row in rows[:MOST_SHOWN]:
        shown.add_row(*("" if cell is None else str(cell) for cell in row))
    Console(highlight=False, markup=False).print(shown)
    if len(rows) > MOST_SHOWN:
        click.echo(f"… {len(rows) - MOST_SHOWN:,} more rows: ask for less, or with --json", err=True)


def _from_file(file: Path, question: str) -> dict[str, Any]:
    from tailrace.sinks.duckdb_table import DuckDB

    try:
        columns, rows = DuckDB.ask(file, question)
    except TailraceError as error:
        raise CommandFailure(str(error.args[0]), hint=error.hint) from error
    return {"columns": columns, "rows": [list(row) for row in rows]}
