"""The answer to a question as people look at it: columns, bars for figures, and a line of how they went.

Theory of operation: the first column of numbers is the figure. Its bar is as long as the figure is large
beside the others of the answer; its line shows the last answers of the same row, which is known by its other
columns.
Rules of this file: pure; a figure is shown whole, its bar takes what is left of the width. A bar begins at
zero: one that did not would lie. Drawn by cli/sql.py and the demo.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.table import Table

EIGHTHS: Final = " ▏▎▍▌▋▊▉█"
HEIGHTS: Final = "▁▂▃▄▅▆▇█"
BAR: Final = 24
"""Cells of the longest bar."""
KEPT: Final = 24
"""Answers that a line shows."""


def bar(figure: Decimal, most: Decimal, cells: int = BAR) -> str:
    """A bar of at most so many cells, to the eighth of one; a negative figure has none.

    >>> bar(Decimal(1), Decimal(2), 4), bar(Decimal(2), Decimal(2), 4), bar(Decimal(-1), Decimal(2), 4)
    ('██', '████', '')
    """
    if figure <= 0 or most <= 0:
        return ""
    eighths = max(1, round(figure / most * cells * 8))
    return "█" * (eighths // 8) + (EIGHTHS[eighths % 8] if eighths % 8 else "")


def sparkline(figures: Sequence[Decimal]) -> str:
    """How a figure went: the least at the bottom, the largest at the top; a still one stays at the bottom.

    >>> sparkline([Decimal(number) for number in (1, 2, 3, 8)])
    '▁▂▃█'
    """
    if not figures:
        return ""
    least = min(figures)
    span = max(figures) - least
    steps = len(HEIGHTS) - 1
    return "".join(HEIGHTS[int((figure - least) / span * steps) if span else 0] for figure in figures)


def figure_of(value: object) -> Decimal | None:
    """The number behind a cell of an answer, which may be text where JSON would round it.

    >>> figure_of("1180591620717411303424"), figure_of(True), figure_of("NL")
    (Decimal('1180591620717411303424'), None, None)
    """
    if value is None or isinstance(value, bool):
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


class Figures:
    """Which column of the answers is the figure, and how it went in each row. Shape: `column` is its place,
    None: there is none; `wanted` its name, unless it is the first one of numbers.
    """

    def __init__(self, wanted: str | None = None) -> None:
        self.column: int | None = None
        self._wanted = wanted
        self._numbers: Sequence[int] = ()
        self._went: dict[tuple[str, ...], deque[Decimal]] = {}

    def add(self, answer: Mapping[str, Any]) -> None:
        """Take one more answer. Raises: ValueError when the wanted column lacks or holds no numbers."""
        self._numbers = answer["numbers"]
        self.column = self._chosen(answer["columns"])
        if self.column is None:
            return
        before, self._went = self._went, {}
        for row in answer["rows"]:
            if (figure := figure_of(row[self.column])) is not None:
                name = self._name(row)
                went = self._went[name] = before.get(name) or deque(maxlen=KEPT)
                went.append(figure)

    def went(self, row: Sequence[Any]) -> str:
        """The line of a row."""
        return sparkline(list(self._went.get(self._name(row), ())))

    def _name(self, row: Sequence[Any]) -> tuple[str, ...]:
        """What a row is known by: its cells that are no numbers."""
        return tuple(str(cell) for place, cell in enumerate(row) if place not in self._numbers)

    def _chosen(self, columns: Sequence[str]) -> int | None:
        if self._wanted is None:
            return next(iter(self._numbers), None)
        if self._wanted not in columns:
            raise ValueError(f"the answer has no column {self._wanted!r}: it has {', '.join(columns)}")
        if (place := columns.index(self._wanted)) not in self._numbers:
            raise ValueError(f"column {self._wanted!r} holds no numbers")
        return place


def drawn(answer: Mapping[str, Any], figures: Figures, *, most_rows: int = 1_000) -> "Table":
    """An answer as a table with its bars and lines, of at most so many rows. Shape: `answer` has `columns`,
    `numbers` (the places of those that hold numbers) and `rows`, and was added to `figures`.
    """
    from rich.table import Table

    rows, column = answer["rows"], figures.column
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, name in enumerate(answer["columns"]):
        is_number = place in answer["numbers"]
        table.add_column(name, justify="right" if is_number else "left", no_wrap=is_number)
    if column is not None:
        table.add_column("", no_wrap=True, style="cyan")
        table.add_column("", no_wrap=True, style="green")
    most = max(_figures(rows, column), default=Decimal(0))
    for row in rows[:most_rows]:
        cells = [_cell(cell) for cell in row]
        if column is not None:
            cells += [bar(figure_of(row[column]) or Decimal(0), most), figures.went(row)]
        table.add_row(*cells)
    if len(rows) > most_rows:
        table.add_row(f"… and {len(rows) - most_rows:,} more")
    return table


def _figures(rows: Sequence[Sequence[Any]], column: int | None) -> list[Decimal]:
    if column is None:
        return []
    return [figure for row in rows if (figure := figure_of(row[column])) is not None]


def _cell(cell: object) -> str:
    return "" if cell is None else str(cell).replace("[", r"\[")
