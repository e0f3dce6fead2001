"""An order of steps in at most ten lines: what began, what went on where, what was held.

Rules of this file: steps of handlers only; the steps that were held stay, then what is nearest to them;
numbers show what is left out.
"""

import linecache
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from tailrace.app.change import Batch, Change
from tailrace.testing.exploring_loop import RanStep
from tailrace.testing.journal import named
from tailrace.testing.schedules import WRITE, Until

MOST_LINES: Final = 10
LONGEST: Final = 60


def order_lines(ran: Sequence[RanStep], struck: Sequence[str], replay: str) -> list[str]:
    """The lines, the last one says how to replay it."""
    lines, held = _lines(ran)
    last = f'replay: world.explore(…, replay="{replay}")'
    faults = [f"faults: {', '.join(struck)}"[:200]] if struck else []
    room = MOST_LINES - 1 - len(faults)
    chosen = nearest(len(lines), held, room)
    return [*(f"{index + 1:>3}  {lines[index]}" for index in chosen), *faults, last]


def nearest(count: int, marked: Sequence[int], room: int) -> list[int]:
    """Which of so many lines are shown: the marked ones, then those nearest to one, the earlier ones first.

    >>> nearest(20, [8], 4)
    [6, 7, 8, 9]
    """
    anchors = marked or [count - 1]
    ranked = sorted(range(count), key=lambda index: (min(abs(index - anchor) for anchor in anchors), index))
    return sorted(ranked[:room])


def _lines(ran: Sequence[RanStep]) -> tuple[list[str], list[int]]:
    lines: list[str] = []
    held: list[int] = []
    waiting: dict[str, Until] = {}
    for step in ran:
        if step.track.name == WRITE:
            if step.until is not None:
                held.append(len(lines))
                lines.append(
                    f"delivery goes on {_until(step.until)} after write {step.number}, before the next one"
                )
            continue
        if step.until is not None:
            waiting[step.track.name] = step.until
        if step.label is None:
            continue
        until = waiting.pop(step.track.name, None)
        words = f"{_label(step.label)}  {_place(step)}"
        if until is not None:
            held.append(len(lines))
            words += f"  ← held {_until(until)}"
        lines.append(words)
    return lines, held


def _until(until: Until) -> str:
    match until:
        case "still":
            return "until nothing else could go on"
        case "later":
            return "until the next timer"
        case turns:
            return f"for {turns} turns"


def _label(label: tuple[str, Any]) -> str:
    handler, argument = label
    keys: Sequence[Any] = (
        [argument] if isinstance(argument, Change) else argument if isinstance(argument, Batch) else []
    )
    return f"{handler.rpartition('.')[2]} ← {named(change.key for change in keys)}"


def _place(step: RanStep) -> str:
    if step.number == 0:
        return "begins"
    if step.place is None:
        return "goes on"
    path, line = step.place
    text = linecache.getline(path, line).strip()
    return f"goes on at {Path(path).name}:{line}  {text[:LONGEST]}".rstrip()
