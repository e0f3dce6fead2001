"""Schedules: which steps of which tasks are held, and which faults strike. As text, and made small.

Theory of operation: tasks go on in the order in which they became ready, except for a few *holds*: a step
that waits until nothing else could go on, until time has passed, or for some turns of the loop. Few holds
reach most races, and each can be left out alone.
Rules of this file: pure. Written and read by exploring.py, carried out by exploring_loop.py.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, TypeVar

from tailrace.errors import SettingsError

Until: TypeAlias = Literal["still", "later"] | int
"""Until nothing else could go on, until the next timer has gone off, or for so many turns."""
WRITE: Final = "write"
"""Stands for a task: after the test's n-th write the delivery goes on, before the next one."""
LETTERS: Final[dict[str, Until]] = {"s": "still", "l": "later"}
HOLD: Final = re.compile(r"([0-9a-f]{8}|write)\.(\d+)(s|l|\+\d+)")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HeldStep:
    """One step that does not go on at once. Shape: a task's name is eight digits; steps count from 1."""

    task: str
    step: int
    until: Until

    def __str__(self) -> str:
        return f"{self.task}.{self.step}{f'+{self.until}' if isinstance(self.until, int) else self.until[0]}"


@dataclass(frozen=True, slots=True)
class Schedule:
    """One order of everything.

    Shape:   `faults` are the occasions that may strike under `fault_seed`; None: all of them.
    """

    holds: tuple[HeldStep, ...] = ()
    fault_seed: int = 0
    faults: tuple[str, ...] | None = None

    def __str__(self) -> str:
        text = " ".join(map(str, self.holds))
        if self.faults is None:
            return text
        return f"{text} | {self.fault_seed}: {' '.join(self.faults)}".strip()


def read_schedule(text: str) -> Schedule:
    """A schedule from its text. Raises: SettingsError.

    >>> read_schedule("3fa2c1d0.2s write.1+3 | 7: duplicate.1")
    Schedule(holds=(HeldStep(task='3fa2c1d0', step=2, until='still'), HeldStep(task='write', step=1,
    until=3)), fault_seed=7, faults=('duplicate.1',))
    """
    words, bar, rest = text.partition("|")
    holds = tuple(_read_hold(word) for word in words.split())
    if not bar:
        return Schedule(holds)
    seed, colon, faults = rest.partition(":")
    if not colon or not seed.strip().isdigit():
        raise SettingsError(f"replay: {rest.strip()!r} is no list of faults; it is copied from a failure")
    return Schedule(holds, int(seed), tuple(faults.split()))


def _read_hold(word: str) -> HeldStep:
    match = HOLD.fullmatch(word)
    if match is None:
        raise SettingsError(f"replay: {word!r} is no step of a schedule; it is copied from a failure")
    task, step, until = match.groups()
    return HeldStep(task, int(step), LETTERS[until] if until in LETTERS else int(until))


def shrunk(parts: Iterable[T], fails: Callable[[Sequence[T]], bool], attempts: int) -> tuple[list[T], int]:
    """As few of the parts as still fail, one by one none can be left out; and how many attempts are left.

    Shape:   `fails` is asked at most `attempts` times. Source: Zeller and Hildebrandt, "Simplifying and
             isolating failure-inducing input" (2002), the minimizing half of it.

    >>> shrunk(range(10), lambda chosen: {3, 7} <= set(chosen), 100)[0]
    [3, 7]
    """
    remaining = list(parts)
    size = len(remaining)
    while remaining and size:
        start = 0
        while start < len(remaining):
            if not attempts:
                return remaining, 0
            rest = remaining[:start] + remaining[start + size :]
            attempts -= 1
            if fails(rest):
                remaining = rest
            else:
                start += size
        size = size // 2 if size > 1 else 0
    return remaining, attempts
