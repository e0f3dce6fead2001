"""Three questions to the DuckDB table that follows the flights, their answers as charts, and what the data
says to each.

Theory of operation: the running node answers, as it does `tailrace sql`. It is asked a few times on the way,
so that each row has a line of how it went; the last answers, when all is settled, must be those of the
control figures. Figures are whole numbers, divided as integers, so that both sides can be equal.
Rules of this file: what is asked, what is expected, pictures; asked by `replaying`, shown by `showing`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Final

from rich.console import Console

from tailrace.cli.charts import Figures, drawn

from .comparing import HOME, Result

FEW: Final = 10
"""A destination with fewer landings is left out."""
WORST: Final = 8
Row = list[Any]
Rows = list[Row]
Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """One question. Shape: `expected` are the rows that the control figures say."""

    title: str
    sql: str
    expected: Callable[[Result], Rows]


def mean(row: Mapping[str, int], total: str, count: str) -> int | None:
    """A mean in whole numbers, cut towards zero as SQL's integer division does; None of nothing.

    >>> mean({"delay": -7, "flights": 2}, "delay", "flights")
    -3
    """
    if not row.get(count):
        return None
    cut = abs(row[total]) // row[count]
    return cut if row[total] >= 0 else -cut


def carriers(control: Result) -> Rows:
    """Each carrier's flights, the share that left over an hour late, and the mean delay."""
    rows = [
        [
            name.removeprefix("carrier "),
            row["scheduled"],
            100 * row["late"] // row["scheduled"],
            mean(row, "departure_delay", "departed"),
        ]
        for name, row in control.statistics.items()
        if name.startswith("carrier ")
    ]
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def hours(control: Result) -> Rows:
    """Each hour's mean delay and flights."""
    rows = [
        [f"{int(hour):02}:00", mean(row, "departure_delay", "departed"), row["scheduled"]]
        for hour, row in control.hours.items()
        if row["departed"]
    ]
    return sorted(rows)


def destinations(control: Result) -> Rows:
    """Where flights landed latest."""
    rows: Rows = [
        [name.removeprefix("airport "), mean(row, "arrival_delay", "arrived"), row["arrived"]]
        for name, row in control.statistics.items()
        if name.startswith("airport ") and name not in HOME and row["arrived"] >= FEW
    ]
    return sorted(rows, key=lambda row: (-row[1], row[0]))[:WORST]


QUESTIONS: Final = (
    Question(
        "how many flights has each carrier, and how many of a hundred left over an hour late?",
        """\
select carrier, count(*) as flights,
       100 * count(*) filter (departure_delay > 60) // count(*) as late_percent,
       sum(departure_delay) // count(departure_delay) as mean_delay
from flights group by carrier order by flights desc, carrier""",
        carriers,
    ),
    Question(
        "how does a day go? (mean delay in minutes, by the hour of New York's clocks)",
        # The clocks of New York: five hours behind UTC, four from 10 March to 3 November 2013.
        """\
select lpad(((scheduled - 300 + 60 * (scheduled >= 22714980 and scheduled < 23057640)::int)
             // 60 % 24)::varchar, 2, '0') || ':00' as hour,
       sum(departure_delay) // count(departure_delay) as mean_delay, count(*) as flights
from flights group by hour having count(departure_delay) > 0 order by hour""",
        hours,
    ),
    Question(
        "where does one land latest? (mean delay in minutes)",
        f"""\
select destination, sum(arrival_delay) // count(*) as mean_delay, count(*) as landed
from flights where status = 'arrived' group by destination having count(*) >= {FEW}
order by mean_delay desc, destination limit {WORST}""",
        destinations,
    ),
)


class Charts:
    """The answers so far. Shape: `answers` are the last ones, by the question's place; none: never asked."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self._figures = [Figures() for _ in QUESTIONS]

    def add(self, answers: Sequence[Answer]) -> None:
        """Take the answers to all questions."""
        self.answers = list(answers)
        for figures, answer in zip(self._figures, answers, strict=True):
            figures.add(answer)

    def show(self, console: Console) -> None:
        """Print each question with its chart."""
        for question, answer, figures in zip(QUESTIONS, self.answers, self._figures, strict=True):
            console.print(f"· {question.title}", soft_wrap=True)
            console.print(f"{question.sql}\n", style="dim", soft_wrap=True)
            console.print(drawn(answer, figures, width=console.width))
            console.print()

    def differences(self, control: Result) -> list[str]:
        """Every row that the data has otherwise."""
        lines = []
        for question, answer in zip(QUESTIONS, self.answers, strict=True):
            expected = question.expected(control)
            for ours, theirs in zip_longest(answer["rows"], expected):
                if ours != theirs:
                    asked = question.title.partition("?")[0]
                    lines.append(f"SQL, {asked}: {ours} answered, {theirs} in the data")
        return lines
