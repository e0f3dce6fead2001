"""The `sql` verb: a question to a DuckDB table that a sink or a projection of the running app keeps.

Rules of this file: it only reads; the process that writes a DuckDB file is the only one that can open it, so
it answers. In threads of its own, a page at a time: a long question holds up no other one, and ends with its
time or its client. Registered by `verbs`.
"""

import asyncio
import math
from base64 import b64encode
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from datetime import date, time
from typing import Any, Final, Protocol, TypeVar, runtime_checkable

from tailrace.errors import TailraceError
from tailrace.runtime.threads import SHARED, Threads
from tailrace.server.control import Arguments, Subject, verb_of_values

T = TypeVar("T")
MOST_S: Final = 60.0
"""What a question may take unless it is asked with another time."""
LEAST_S: Final = 0.1
"""A question is asked no more often, however it is watched."""
MOST_WATCHED: Final = 1_000
"""Rows of an answer that is watched."""
THREADS: Final = Threads("sql", 4)
LARGEST: Final = 1 << 53
"""Beyond it a number is text: many readers of JSON would round it."""


class SqlQuery(Protocol):
    """One question to a sink. Shape: `numbers` are the places of the columns that hold numbers."""

    numbers: list[int]

    def begin(self) -> list[str]:
        """Begin it. Returns: the columns."""

    def page(self) -> list[tuple[Any, ...]]:
        """The next rows, none at the end."""

    def close(self) -> None:
        """End it, whatever it is doing."""


@runtime_checkable
class Queryable(Protocol):
    """A sink that can be asked."""

    path: Any
    table: str

    def question(self, sql: str) -> SqlQuery:
        """One question, not begun."""


@verb_of_values("sql", streams=True)
async def sql(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: sql; table, which one's file is asked where sinks keep several; timeout_ms; every_ms, to be
    asked again so often. Answers: pages of columns and rows; with every_ms whole answers of MOST_WATCHED rows
    at most, each that is another one than the last.
    """
    if subject.worker is None:
        raise TailraceError("No app runs here, so no sink keeps a table.", hint="tailrace dev app.py")
    sink = _chosen(subject.worker.app.mappings, arguments.get("table"))
    most_s = _seconds(arguments.get("timeout_ms"), "timeout", MOST_S)
    text = str(arguments.get("sql"))
    if arguments.get("every_ms") is None:
        async for page in _pages(sink, text, most_s):
            yield page
        return
    every_s = _seconds(arguments.get("every_ms"), "every", LEAST_S)
    last: object = None
    while True:
        answer = await _answer(sink, text, most_s)
        if answer != last:
            last = answer
            yield answer
        await asyncio.sleep(max(every_s, LEAST_S))


async def _answer(sink: Queryable, text: str, most_s: float) -> dict[str, Any]:
    """The answer as a whole, as far as anyone watches it."""
    answer: dict[str, Any] = {}
    async with aclosing(_pages(sink, text, most_s)) as pages:
        async for page in pages:
            rows = [*answer.get("rows", ()), *page["rows"]]
            answer = {**page, **answer, "rows": rows[:MOST_WATCHED]}
            if len(rows) >= MOST_WATCHED:
                break
    return answer


async def _pages(sink: Queryable, text: str, most_s: float) -> AsyncGenerator[dict[str, Any], None]:
    due = asyncio.get_running_loop().time() + most_s
    question = await _within(due, most_s, lambda: sink.question(text))
    try:
        columns = await _within(due, most_s, question.begin)
        yield {"columns": columns, "numbers": question.numbers, "rows": []}
        while rows := await _within(due, most_s, question.page):
            yield {"columns": columns, "rows": [[plain(cell) for cell in row] for row in rows]}
    finally:
        SHARED.submit(question.close)  # it interrupts another thread, and no caller waits for that


async def _within(due: float, most_s: float, step: Callable[[], T]) -> T:
    try:
        async with asyncio.timeout_at(due):
            return await asyncio.get_running_loop().run_in_executor(THREADS, step)
    except TimeoutError as error:
        raise TailraceError(
            f"The question took longer than {most_s:g} s and was ended.",
            hint="ask for less, or allow it more: tailrace sql --timeout 10m …",
        ) from error


def _seconds(given_ms: object, name: str, otherwise_s: float) -> float:
    if given_ms is None:
        return otherwise_s
    if not isinstance(given_ms, int) or given_ms <= 0:
        raise TailraceError("`sql` needs milliseconds above 0.", hint=f"tailrace sql --{name} 5m …")
    return given_ms / 1_000


def plain(value: Any) -> Any:
    """A value of an answer as JSON has it; what JSON has not is text.

    >>> plain({1: [1 << 70, float("inf")]}), plain(b"\\x00a")
    ({'1': ['1180591620717411303424', 'inf']}, 'AGE=')
    """
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if -LARGEST <= value <= LARGEST else str(value)
        case float():
            return value if math.isfinite(value) else str(value)
        case bytes():
            return b64encode(value).decode()
        case date() | time():
            return value.isoformat()
        case dict():
            return {str(name): plain(member) for name, member in value.items()}
        case list() | tuple():
            return [plain(element) for element in value]
    return str(value)


def _chosen(mappings: Any, table: object) -> Queryable:
    places = [mapping.sink for mapping in mappings]
    places += [mapping.projection.into for mapping in mappings if mapping.projection is not None]
    tables = {(str(place.path), place.table): place for place in places if isinstance(place, Queryable)}
    if not tables:
        raise TailraceError(
            "No sink of this app keeps a table that can be asked.",
            hint="app.sink(orders, sinks.DuckDB('shop.duckdb', 'orders'))",
        )
    if table is not None:
        tables = {place: sink for place, sink in tables.items() if place[1] == table}
    files = {place[0] for place in tables}
    if len(files) != 1:
        words = ", ".join(sorted({place[1] for place in tables})) or "none"
        raise TailraceError(
            f"{'Several files keep tables' if tables else f'There is no table {table!r}'}: {words}.",
            hint='tailrace sql --table NAME "select …"',
        )
    return next(iter(tables.values()))
