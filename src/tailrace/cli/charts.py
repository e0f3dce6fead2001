"""The answer to a question as people look at it: columns, bars for figures, and a line of how they went.

Theory of operation: the first column of numbers is the figure. Its bar is as long as the figure is large
beside the others of the answer; its line shows the last answers of the same row, which is known by its
columns that are no numbers. Where all are numbers (`select hour, count(*) …`) it is known by the first one.
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
PADDING: Final = 2
"""Between two columns."""
LEAST: Final = 5
"""A shorter bar shows nothing."""


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
        self._names: Sequence[int] = ()
        self._went: dict[tuple[str, ...], deque[Decimal]] = {}

    def add(self, answer: Mapping[str, Any]) -> None:
        """Take one more answer. Raises: ValueError when the wanted column lacks or holds no numbers."""
        places = range(len(answer["columns"]))
        self._names = [place for place in places if place not in answer["numbers"]] or places[:-1][:1]
        self.column = self._chosen(answer["columns"], answer["numbers"])
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
        """What a row is known by."""
        return tuple(str(row[place]) for place in self._names)

    def _chosen(self, columns: Sequence[str], numbers: Sequence[int]) -> int | None:
        if self._wanted is None:
            return next((place for place in numbers if place not in self._names), None)
        if self._wanted not in columns:
            raise ValueError(f"the answer has no column {self._wanted!r}: it has {', '.join(columns)}")
        if (place := columns.index(self._wanted)) not in numbers:
            raise ValueError(f"column {self._wanted!r} holds no numbers")
        return place


def drawn(
    answer: Mapping[str, Any], figures: Figures, *, most_rows: int = 1_000, width: int = 1_000
) -> "Table":
    """An answer as a table with its bars and lines, of at most so many rows. Shape: `answer` has `columns`,
    `numbers` (the places of those that hold numbers) and `rows`, and was added to `figures`; `width` are the
    cells that there are: bars and lines take what its columns leave.
    """
    from rich.table import Table

    rows, column = answer["rows"][:most_rows], figures.column
    shown = [[_cell(cell) for cell in row] for row in rows]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, name in enumerate(answer["columns"]):
        is_number = place in answer["numbers"]
        table.add_column(name, justify="right" if is_number else "left", no_wrap=is_number)
    cells, kept = (0, 0) if column is None else _shares(width - _width(answer["columns"], shown))
    if cells:
        table.add_column("", no_wrap=True, style="cyan")
        table.add_column("", no_wrap=True, style="green")
    most = max(_figures(answer["rows"], column), default=Decimal(0))
    for row, texts in zip(rows, shown, strict=True):
        if column is not None and cells:
            line = figures.went(row)[-kept:]
            texts = [*texts, bar(figure_of(row[column]) or Decimal(0), most, cells), line]
        table.add_row(*(text.replace("[", r"\[") for text in texts))
    if len(answer["rows"]) > most_rows:
        table.add_row(f"… and {len(answer['rows']) - most_rows:,} more")
    return table


def _width(names: Sequence[str], shown: Sequence[Sequence[str]]) -> int:
    """What the columns take, each with its space."""
    columns = zip(names, *shown, strict=True)
    return sum(max(map(len, column)) + PADDING for column in columns)


def _shares(left: int) -> tuple[int, int]:
    """Cells of the longest bar and of a line in what is left; none where it is too little for a picture.

    >>> _shares(100), _shares(30), _shares(11)
    ((24, 24), (14, 14), (0, 0))
    """
    share = (left - PADDING) // 2 if left else 0
    return (min(share, BAR), min(share, KEPT)) if share >= LEAST else (0, 0)


def _figures(rows: Sequence[Sequence[Any]], column: int | None) -> list[Decimal]:
    if column is None:
        return []
    return [figure for row in rows if (figure := figure_of(row[column])) is not None]


def _cell(cell: object) -> str:
    return "" if cell is None else str(cell)
