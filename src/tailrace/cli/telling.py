"""How far long work is: on a terminal one line that is drawn again, elsewhere a line now and then.

Theory of operation: both say the same words: how much is done, of how much, how fast, how long it will take.
The estimate is rich's, over the last minute, and the work that a resumed command finds done does not
count into it. What is written to the terminal meanwhile, also by a handler, comes to stand above the bar.
Rules of this file: output only, on standard error, from the thread that works; the one place where commands
say how far they are. Beside JSON nothing is said.
"""

import sys
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.table import Column
from rich.text import Text

from tailrace.cli.changes import counted, printable
from tailrace.cli.durations import format_duration

DRAWN_S: Final = 0.1
"""How often it is drawn again at most."""
LINE_S: Final = 10.0
"""How often a line is written where nothing can be drawn again."""
BAR_WIDTH: Final = 20
ESTIMATED_S: Final = 60.0
"""Over how long it is looked how fast the work is."""


class Bar:
    """One piece of work. It appears with the first figure.

    Shape:   `words` say what is done, `noun` what is counted; `console` and `clock` stand for the terminal
             and its time. Units: clock in seconds.
    """

    def __init__(
        self,
        words: str,
        noun: str = "item",
        *,
        quiet: bool = False,
        console: Console | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._words = words
        self._noun = noun
        self._quiet = quiet
        self._clock = clock
        self._console = console or Console(stderr=True, highlight=False, emoji=False)
        self._is_drawn = sys.stderr.isatty() if console is None else console.is_terminal
        self._is_drawn = self._is_drawn and not self._console.is_dumb_terminal
        self._progress: Progress | None = None
        self._task = TaskID(0)
        self._moved_s = self._told_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def show(
        self, done: int, total: int | None = None, words: str | None = None, noun: str | None = None
    ) -> None:
        """Say how far it is. Shape: `total` None or 0: it is not known; `words` that are others than before
        begin another piece of the work, with a `noun` of its own.
        """
        if self._quiet:
            return
        now_s = self._clock()
        is_new = words is not None and words != self._words
        if self._progress is None or is_new:
            self._noun = noun or self._noun
            self._begin(words or self._words, done, total, now_s)
        elif now_s - self._moved_s < DRAWN_S:
            return
        self._moved_s = now_s
        progress = self._begun
        task = progress.tasks[0]
        task.total = known_total(done, total)  # said to rich's update, it would forget how fast the work was
        progress.update(self._task, completed=done)
        if self._is_drawn:
            progress.refresh()
        elif now_s - self._told_s >= LINE_S:
            self._told_s = now_s
            self._console.print(f"  {task.description}: {self._pace(task)}", markup=False, soft_wrap=True)

    def end(self) -> None:
        """Take it away. Repeatable."""
        if self._progress is not None and self._is_drawn:
            self._progress.stop()
        self._progress = None

    @property
    def _begun(self) -> Progress:
        assert self._progress is not None
        return self._progress

    def _begin(self, words: str, done: int, total: int | None, now_s: float) -> None:
        """A piece of work of which so much is done already, which says nothing about how fast it is."""
        self.end()
        self._words, self._told_s = words, now_s
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            BarColumn(bar_width=BAR_WIDTH),
            _Pace(self._pace),
            console=self._console,
            auto_refresh=False,  # a thread that draws would be one more to be told apart from a handler's
            transient=True,
            redirect_stdout=sys.stdout.isatty(),
            speed_estimate_period=ESTIMATED_S,
            get_time=self._clock,
        )
        self._task = self._progress.add_task(printable(words), completed=done, total=known_total(done, total))
        if self._is_drawn:
            self._progress.start()

    def _pace(self, task: Task) -> str:
        total = None if task.total is None else int(task.total)
        return pace_words(int(task.completed), total, self._noun, task.speed, task.time_remaining)


def known_total(done: int, total: int | None) -> int | None:
    """Of how much; None: it is not known. An estimate that was too low is none.

    >>> known_total(3, 4), known_total(5, 4), known_total(0, 0)
    (4, None, None)
    """
    return total if total and total >= done else None


class _Pace(ProgressColumn):
    """The words behind a bar."""

    max_refresh = None

    def __init__(self, words: Callable[[Task], str]) -> None:
        super().__init__(Column(no_wrap=True))
        self._words_of = words

    def render(self, task: Task) -> Text:
        """Those of now."""
        return Text(self._words_of(task))


def pace_words(done: int, total: int | None, noun: str, rate: float | None, left_s: float | None) -> str:
    """How far, how fast, how long still. Shape: what is None is not known. Units: rate a second.

    >>> pace_words(1_200, 5_000, "change", 310.4, 12.2)
    '1,200 of 5,000 changes, 310 a second, about 12s left'
    >>> pace_words(1, 1, "item", None, None), pace_words(7, None, "item", 0.25, None)
    ('1 of 1 item', '7 items, 0.2 a second')
    """
    parts = [counted(done, noun) if total is None else f"{done:,} of {counted(total, noun)}"]
    if rate:
        parts.append(f"{rate:,.0f} a second" if rate >= 10 else f"{rate:,.1f} a second")
    if rate and left_s and total is not None and done < total:
        parts.append(f"about {format_duration(max(1, round(left_s)) * 1_000)} left")
    return ", ".join(parts)
