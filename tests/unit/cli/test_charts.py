"""Answers as they are drawn: bars, lines, and which column is the figure."""

from decimal import Decimal
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tailrace.cli.charts import BAR, HEIGHTS, KEPT, Figures, bar, drawn, figure_of, sparkline


def answer(
    *rows: tuple[Any, ...], columns: str = "country n total", numbers: tuple[int, ...] = (1, 2)
) -> dict[str, Any]:
    return {"columns": columns.split(), "numbers": list(numbers), "rows": [list(row) for row in rows]}


def lines(shown: dict[str, Any], figures: Figures, **options: int) -> list[str]:
    console = Console(width=200, no_color=True)
    with console.capture() as capture:
        console.print(drawn(shown, figures, **options))
    return [line.rstrip() for line in capture.get().splitlines()]


@given(st.decimals(1, 10**9, places=2), st.decimals(1, 10**9, places=2))
def test_a_bar_is_as_long_as_its_share_to_the_eighth_of_a_cell(one: Decimal, other: Decimal) -> None:
    most = max(one, other)
    for figure in (one, other):
        drawn_eighths = sum(8 if cell == "█" else " ▏▎▍▌▋▊▉".index(cell) for cell in bar(figure, most))
        assert abs(drawn_eighths - figure / most * BAR * 8) <= 1
    assert len(bar(most, most)) == BAR


@pytest.mark.parametrize(("figure", "most"), [(0, 5), (-3, 5), (0, 0), (-1, -1)])
def test_what_is_not_above_zero_has_no_bar(figure: int, most: int) -> None:
    assert bar(Decimal(figure), Decimal(most)) == ""


def test_the_least_figure_above_zero_is_seen() -> None:
    assert bar(Decimal(1), Decimal(10**9)) == "▏"


@given(st.lists(st.integers(-(10**12), 10**12).map(Decimal), min_size=1, max_size=40))
def test_a_line_has_a_mark_for_each_figure_and_keeps_their_order(figures: list[Decimal]) -> None:
    heights = [HEIGHTS.index(mark) for mark in sparkline(figures)]
    assert len(heights) == len(figures)
    for (small, low), (large, high) in combinations(sorted(zip(figures, heights, strict=True)), 2):
        assert low <= high or small == large


def test_the_first_column_of_numbers_is_the_figure_unless_another_is_wanted() -> None:
    figures = Figures()
    figures.add(answer(("NL", 2, "4.50"), ("BE", 4, "1.00")))
    assert figures.column == 1
    assert lines(answer(("NL", 2, "4.50"), ("BE", 4, "1.00")), figures)[1:] == [
        "NL       2   4.50  " + "█" * 12 + " " * 12 + "  ▁",
        "BE       4   1.00  " + "█" * 24 + "  ▁",
    ]
    figures = Figures("total")
    figures.add(answer(("NL", 2, "4.50")))
    assert figures.column == 2


@pytest.mark.parametrize(
    ("wanted", "words"), [("turnover", "it has country, n, total"), ("country", "holds no numbers")]
)
def test_a_wanted_column_that_cannot_be_drawn_is_refused_by_its_name(wanted: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        Figures(wanted).add(answer(("NL", 2, "4.50")))
    assert wanted in str(caught.value)


def test_a_row_keeps_its_line_when_the_order_changes_and_loses_it_when_it_goes() -> None:
    figures = Figures()
    figures.add(answer(("NL", 1, "0"), ("BE", 9, "0")))
    figures.add(answer(("BE", 3, "0"), ("NL", 5, "0")))
    assert (figures.went(["NL", 5, "0"]), figures.went(["BE", 3, "0"])) == ("▁█", "█▁")
    figures.add(answer(("BE", 3, "0")))
    figures.add(answer(("NL", 5, "0"), ("BE", 3, "0")))
    assert (figures.went(["NL", 5, "0"]), figures.went(["BE", 3, "0"])) == ("▁", "█▁▁▁")


def test_a_line_shows_the_last_answers_only() -> None:
    figures = Figures()
    for number in range(KEPT + 5):
        figures.add(answer(("NL", number, "0")))
    assert len(figures.went(["NL", 0, "0"])) == KEPT


def test_an_answer_without_numbers_is_drawn_without_bars() -> None:
    figures = Figures()
    shown = answer(("NL",), (None,), columns="country", numbers=())
    figures.add(shown)
    assert lines(shown, figures) == ["country", "NL", ""]


def test_an_answer_of_numbers_alone_is_known_by_its_first_column() -> None:
    figures = Figures()
    for count in (1, 2):
        shown = answer((5, 9, "0"), (6, count, "0"), columns="hour n total", numbers=(0, 1, 2))
        figures.add(shown)
    assert (figures.column, figures.went([6, 2, "0"])) == (1, "▁█")
    alone = answer((5,), columns="n", numbers=(0,))
    figures.add(alone)
    assert lines(alone, figures)[1].startswith("5  █")


def test_bars_and_lines_take_what_the_columns_leave_and_no_name_or_figure_is_cut() -> None:
    figures = Figures()
    for number in range(KEPT):
        figures.add(answer(("Netherlands", number + 1, "100000")))
    shown = answer(("Netherlands", KEPT, "100000"))
    for width, drawn_cells in ((40, 6), (37, 5), (36, 0)):
        row = lines(shown, figures, width=width)[1]
        assert row.split()[:3] == ["Netherlands", str(KEPT), "100000"], row
        assert (row.count("█"), len(row.rstrip()) <= width) == (drawn_cells + bool(drawn_cells), True), row


def test_rows_that_do_not_fit_are_counted() -> None:
    figures = Figures()
    shown = answer(*((f"c{number}", number, "0") for number in range(5)))
    figures.add(shown)
    assert lines(shown, figures, most_rows=2)[-1].startswith("… and 3 more")


@pytest.mark.parametrize(
    ("cell", "figure"),
    [
        (None, None),
        (True, None),
        ("NaN", None),
        ("x", None),
        (1.5, Decimal("1.5")),
        ("9" * 38, Decimal("9" * 38)),
    ],
)
def test_a_figure_is_read_with_all_its_digits(cell: Any, figure: Decimal | None) -> None:
    assert figure_of(cell) == figure
