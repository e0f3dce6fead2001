"""Trying many orders of one action and its delivery, until one of them fails; then making that one small.

Theory of operation: every schedule starts at the same state, a copy of what is durable. First nothing is
held; then each step of a handler alone, held until nothing else could go on; then a few holds by chance of
the seed. A schedule that fails is made small by leaving holds and faults out, and told in at most ten lines.
Called by `world.explore`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from time import perf_counter
from traceback import extract_tb
from typing import Any, Final, Protocol

from tailrace.errors import InternalError, SettingsError
from tailrace.testing.exploring_loop import RanStep
from tailrace.testing.faults import plan
from tailrace.testing.schedules import WRITE, HeldStep, Schedule, Until, read_schedule, shrunk
from tailrace.testing.telling import order_lines

MOST_HOLDS: Final = 4
SHRINKING: Final = 400
"""So many attempts at most to make a failing schedule small."""
FRUITLESS: Final = 1_000
"""After so many draws in a row that were tried before, there is nothing left to try."""


class BrokenOrder(AssertionError):
    """An order of things breaks the test.

    Shape:   `schedule` are its lines, at most ten; `replay` is what `explore(replay=…)` takes.
    """

    def __init__(self, message: str, schedule: Sequence[str], replay: str, order: int) -> None:
        super().__init__(message)
        self.schedule = list(schedule)
        self.replay = replay
        self.order = order
        """Tells orders of handlers' steps apart: the same in every replay."""


@dataclass(frozen=True, slots=True)
class Exploration:
    """What was tried. Shape: `orders` is how many orders of handlers' steps the schedules had."""

    schedules: int
    orders: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"explored {self.schedules:,} schedules, {self.orders:,} different orders, "
            f"{self.per_second:,.0f} a second"
        )

    @property
    def per_second(self) -> float:
        """Schedules a second."""
        return self.schedules / self.seconds if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class ExploredAction:
    """What is explored: the action, and how to tell whether an order was right."""

    action: Callable[[], object]
    check: Callable[[], object] | None
    same: Callable[[], object] | None
    faults: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tried:
    """One schedule, played. Shape: without `error` nothing was wrong; `struck` are the injected faults."""

    error: Exception | None
    ran: Sequence[RanStep]
    order: int
    struck: Sequence[str]
    answer: object = None


class Play(Protocol):
    """Goes one way from where a world is, and comes back unless told to stay there."""

    def __call__(
        self, schedule: Schedule, asked: ExploredAction, *, tells: bool = False, stays: bool = False
    ) -> Tried: ...


class Explorer:
    """Explores one action in one world."""

    def __init__(self, go: Play, asked: ExploredAction, seed: int, schedules: int) -> None:
        self._go = go
        self._asked = asked
        self._seed = seed
        self._schedules = schedules
        self._usual: object = None
        self._orders: set[int] = set()
        self._pool = Pool()

    def run(self) -> Exploration:
        """Play schedules until one fails. Raises: BrokenOrder."""
        __tracebackhide__ = True
        began, count = perf_counter(), 0
        for count, schedule in enumerate(self._candidates(), start=1):
            tried = self._play(schedule)
            if tried.error is not None:
                raise self._broken(schedule, tried, f"schedule {count:,} of {self._schedules:,}")
            self._orders.add(tried.order)
            self._pool.add(tried.ran)
        exploration = Exploration(count, len(self._orders), perf_counter() - began)
        self._go(Schedule(fault_seed=self._seed, faults=()), self._asked, stays=True)
        return exploration

    def replay(self, text: str) -> Exploration:
        """Play one schedule. Raises: BrokenOrder."""
        __tracebackhide__ = True
        schedule = read_schedule(text)
        self._usual = self._go(Schedule(faults=()), self._asked).answer
        began = perf_counter()
        tried = self._play(schedule)
        if tried.error is not None:
            raise self._tell(schedule, tried, "the replayed schedule")
        self._go(schedule, self._asked, stays=True)
        return Exploration(1, 1, perf_counter() - began)

    # ---- which schedules -----------------------------------------------------------------------------------

    def _candidates(self) -> Iterator[Schedule]:
        tried: set[tuple[HeldStep, ...]] = set()
        drawn = 0
        for holds in self._holds():
            if len(tried) + drawn >= self._schedules:
                return
            if holds in tried:
                # The same order under other faults is another schedule.
                if not self._asked.faults:
                    continue
                drawn += 1
            tried.add(holds)
            yield Schedule(holds, self._seed + len(tried) + drawn - 1, None)

    def _holds(self) -> Iterator[tuple[HeldStep, ...]]:
        yield ()
        for until in ("still", "later"):
            for task, step in list(self._pool.theirs + self._pool.writes):
                yield (HeldStep(task, step, until),)
        for number in range(self._schedules + FRUITLESS):
            chance = Random(f"{self._seed}/{number}")
            yield self._pool.draw(chance)

    # ---- one schedule --------------------------------------------------------------------------------------

    def _play(self, schedule: Schedule, *, tells: bool = False, stays: bool = False) -> Tried:
        tried = self._go(schedule, self._asked, tells=tells, stays=stays)
        if tried.error is not None or self._asked.same is None:
            return tried
        if not self._orders and self._usual is None:
            self._usual = tried.answer
        elif tried.answer != self._usual:
            words = f"same= gives {tried.answer!r}, and {self._usual!r} in the order in which nothing is held"
            return replace(tried, error=AssertionError(words))
        return tried

    def _broken(self, schedule: Schedule, tried: Tried, words: str) -> BrokenOrder:
        assert tried.error is not None
        kind, held, left = type(tried.error), len(schedule.holds), SHRINKING
        schedule = replace(schedule, faults=tuple(tried.struck))

        def fails(made: Schedule) -> bool:
            return isinstance(self._play(made).error, kind)

        def without_faults(faults: Sequence[str]) -> bool:
            return fails(replace(schedule, faults=tuple(faults)))

        faults, left = shrunk(tried.struck, without_faults, left)
        schedule = replace(schedule, faults=tuple(faults))

        def without_holds(holds: Sequence[HeldStep]) -> bool:
            return fails(replace(schedule, holds=tuple(holds)))

        holds, left = shrunk(schedule.holds, without_holds, left)
        schedule = replace(schedule, holds=tuple(holds))
        parts = [f"{len(holds)} of its {held} holds"] if held else []
        parts += [f"{len(faults)} of its {len(tried.struck)} faults"] if tried.struck else []
        matter = f"; {' and '.join(parts)} matter" if parts else ""
        return self._tell(schedule, self._play(schedule), f"{words} (seed {self._seed}{matter})")

    def _tell(self, schedule: Schedule, tried: Tried, words: str) -> BrokenOrder:
        shown = self._play(schedule, tells=True, stays=True)
        error = shown.error if shown.error is not None else tried.error
        if error is None:
            raise InternalError(f"the schedule {schedule} fails no more: something in it is left to chance")
        if not self._asked.faults:
            schedule = replace(schedule, faults=None)
        lines = order_lines(shown.ran, shown.struck, str(schedule))
        text = "\n".join(f"  {line}" for line in lines)
        broken = BrokenOrder(
            f"{words} breaks it: {_error_words(error)}\n{text}", lines, str(schedule), shown.order
        )
        broken.__cause__ = error
        return broken


def _error_words(error: Exception) -> str:
    """What an error says, and where it was raised."""
    places = extract_tb(error.__traceback__)[-1:]
    lines = [f"{type(error).__name__}: {str(error).strip()}".rstrip(": ")]
    lines += [f"  at {Path(place.filename).name}:{place.lineno}  {place.line}" for place in places]
    return "\n".join([*lines, *(f"  {note}" for note in getattr(error, "__notes__", ()))])


class Pool:
    """Steps that were seen, from which holds are drawn."""

    def __init__(self) -> None:
        self.theirs: list[tuple[str, int]] = []
        """Steps of tasks that run handlers."""
        self.writes: list[tuple[str, int]] = []
        self._others: list[tuple[str, int]] = []
        self._by_handler: dict[str, list[tuple[str, int]]] = {}
        self._seen: set[tuple[str, int]] = set()

    def add(self, ran: Sequence[RanStep]) -> None:
        """Steps of a schedule that was played."""
        for step in ran:
            place = (step.track.name, step.number)
            if place in self._seen:
                continue
            self._seen.add(place)
            if step.track.name == WRITE:
                self.writes.append(place)
            elif step.track.label is not None:
                self.theirs.append(place)
                self._by_handler.setdefault(step.track.label[0], []).append(place)
            else:
                self._others.append(place)

    def draw(self, chance: Random) -> tuple[HeldStep, ...]:
        """Some holds, mostly of steps of one handler or two: those that race are as a rule no more."""
        handlers = chance.sample(
            sorted(self._by_handler), min(len(self._by_handler), chance.choice((1, 1, 2)))
        )
        theirs = [place for handler in handlers for place in self._by_handler[handler]]
        holds: dict[tuple[str, int], Until] = {}
        for _ in range(chance.randint(1, MOST_HOLDS)):
            steps = chance.choices((theirs, self.writes, self._others), (7, 2, 1))[0]
            if steps:
                place = chance.choice(steps)
                turns = 1 + int(chance.expovariate(1 / 8))
                holds[place] = chance.choices(("still", "later", turns), (5, 1, 4))[0]
        return tuple(HeldStep(task, step, until) for (task, step), until in sorted(holds.items()))


def check_asked(schedules: int, faults: Mapping[str, Any]) -> None:
    """Raises: SettingsError."""
    number: object = schedules
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise SettingsError(f"explore: schedules={schedules!r} is not allowed; it is a whole number from 1")
    if "seed" in faults:
        raise SettingsError("explore: the faults of every schedule have a seed of their own; leave seed= out")
    plan(faults)
