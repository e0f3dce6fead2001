"""The questions of the demo, in DuckDB over the flights as they are written, against what the data says.

Rules of this file: no node; `tests/acceptance/test_demo.py` has one.
"""

import io
from typing import Any

import duckdb
import pyarrow
import pytest
from flights_demo.asking import QUESTIONS, Charts, mean
from flights_demo.comparing import Result, control_figures
from rich.console import Console

from tailrace.cli.demo import flights_directory, load

FILES = flights_directory()
ATTRIBUTES = ("status", "carrier", "origin", "destination")
FIGURES = ("scheduled", "scheduled_arrival", "departure_delay", "arrival_delay")


@pytest.fixture(scope="module")
def control() -> Result:
    """What the data of the week says."""
    return control_figures(FILES / "control.py", FILES / "week.csv.gz")


@pytest.fixture(scope="module")
def answers() -> list[dict[str, Any]]:
    """What DuckDB says of the flights when all is written."""
    program: Any = load(FILES / "replay.py")
    flights: dict[str, dict[str, Any]] = {}
    for write in program.replay(program.week_rows()):
        flights.setdefault(write.flight, {}).update(write.changes)
    with duckdb.connect() as file:
        columns = ", ".join(
            [*(f"{name} VARCHAR" for name in ATTRIBUTES), *(f"{name} BIGINT" for name in FIGURES)]
        )
        file.execute(f"CREATE TABLE flights ({columns})")
        names = (*ATTRIBUTES, *FIGURES)
        rows = {name: [flight.get(name) for flight in flights.values()] for name in names}
        file.register("rows", pyarrow.table(rows))
        file.execute("INSERT INTO flights BY NAME SELECT * FROM rows")
        return [answered(file.execute(question.sql)) for question in QUESTIONS]


def answered(cursor: Any) -> dict[str, Any]:
    """An answer as the node gives it."""
    rows = [list(row) for row in cursor.fetchall()]
    numbers = [place for place, cell in enumerate(rows[0]) if isinstance(cell, int)]
    return {"columns": [column[0] for column in cursor.description], "numbers": numbers, "rows": rows}


def test_every_answer_is_what_the_data_says_to_the_row(
    control: Result, answers: list[dict[str, Any]]
) -> None:
    charts = Charts()
    charts.add(answers)
    assert charts.differences(control) == []
    assert [len(answer["rows"]) for answer in answers] == [15, 19, 8]


def test_a_row_that_differs_lacks_or_is_too_many_is_told(
    control: Result, answers: list[dict[str, Any]]
) -> None:
    first, *others = answers
    (carrier, flights, *rest), *rows = first["rows"]
    for wrong, words in (
        ([[carrier, flights + 1, *rest], *rows], f"['{carrier}', {flights + 1}, "),
        (rows[:-1], "None answered"),
        ([*first["rows"], ["XX", 1, 0, 0]], "None in the data"),
    ):
        charts = Charts()
        charts.add([{**first, "rows": wrong}, *others])
        differences = charts.differences(control)
        assert any(words in difference for difference in differences), differences


def test_each_question_has_a_chart_that_fits_a_screen(answers: list[dict[str, Any]]) -> None:
    charts, out = Charts(), io.StringIO()
    for _ in range(30):
        charts.add(answers)
    charts.show(Console(file=out, width=80, highlight=False, markup=False))
    shown = out.getvalue()
    assert all(question.title in shown for question in QUESTIONS)
    assert "UA" in shown
    assert "05:00" in shown
    assert "…" not in shown
    assert all(len(line.rstrip()) <= 110 for line in shown.splitlines())


@pytest.mark.parametrize(("total", "expected"), [(7, 3), (-7, -3), (0, 0), (6, 3)])
def test_a_mean_is_cut_towards_zero_as_sql_does(total: int, expected: int) -> None:
    assert mean({"delay": total, "flights": 2}, "delay", "flights") == expected
    assert duckdb.sql(f"select ({total})::hugeint // 2::bigint").fetchall() == [(expected,)]
    assert mean({"delay": total, "flights": 0}, "delay", "flights") is None
