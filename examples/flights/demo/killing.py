"""Where and when the demo kills its own server and worker, and what each kill made happen twice.

Rules of this file: one seed decides points and counts. What was called is read from a file that the
application writes with O_APPEND and that outlives it; what was settled is read from the store after the kill.
A call that was settled and is made again is a fault, and is said to be one. Called by `replaying`.
"""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from tailrace import telemetry
from tailrace.runtime.watermark import HandlerPosition
from tailrace.streams.record import SequenceNumber

ANY_MOMENT: Final = "any moment"
KILLS: Final = 26
"""Every point once, some moments in between, and more of both as the seed chooses."""
LEAST: Final = 20
"""With so many kills and every point among them, a plan may end early when the flights run out."""
ONCE_A_START: Final = {"lease.taken"}
MOMENTS: Final = 6
WRITES_A_SHARE: Final = {"write.received": 40, "write.mutated": 40, ANY_MOMENT: 20} | dict.fromkeys(
    ("commit.begun", "commit.written", "commit.done", "answer.sent"), 400
)
"""The furthest passing is this share of all writes: a group or a batch passes once for many."""


class Planned(NamedTuple):
    """One kill: at the count-th passing of a point, or after so many writes at any moment."""

    point: str
    passing: int

    @property
    def crash_at(self) -> str | None:
        """What the composition root reads from TAILRACE_CRASH_AT; None when the parent kills."""
        return None if self.point == ANY_MOMENT else f"{self.point}:{self.passing}"


def plan(seed: int, writes: int, kills: int = KILLS) -> list[Planned]:
    """Every named point of the write path and of delivery and some more, in an order of the seed's; kills at
    any moment spread them over the replay.

    >>> {kill.point for kill in plan(1, 18_000)} == {*telemetry.FLOW_POINTS, ANY_MOMENT}
    True
    """
    chance = random.Random(seed)
    points = len(telemetry.FLOW_POINTS)
    names = [*telemetry.FLOW_POINTS, *chance.choices(telemetry.FLOW_POINTS, k=kills - points - MOMENTS)]
    names += [ANY_MOMENT] * MOMENTS
    chance.shuffle(names)
    return [Planned(name, _passing(name, writes, chance)) for name in names]


def _passing(name: str, writes: int, chance: random.Random) -> int:
    if name in ONCE_A_START:
        return 1
    far = max(2, writes // WRITES_A_SHARE.get(name, 1_000))
    return chance.randint(max(1, far // 3), far)


def is_enough(points: Collection[str]) -> bool:
    """Whether these kills are a campaign: enough of them, and every point among them."""
    return len(points) >= LEAST and set(telemetry.FLOW_POINTS) <= set(points)


class Call(NamedTuple):
    """One call of a handler for one change."""

    handler: str
    sequence: int


def read_calls(path: Path, start: int) -> tuple[list[Call], int]:
    """Calls noted after a position of the file, and the position after the last whole line."""
    if not path.exists():
        return [], start
    with path.open("rb") as file:
        file.seek(start)
        data = file.read()
    whole = data[: data.rfind(b"\n") + 1]
    noted = (line.split() for line in whole.decode().splitlines())
    calls = [Call(handler, int(SequenceNumber.from_wire(number))) for handler, number in noted]
    return calls, start + len(whole)


@dataclass(slots=True)
class Kill:
    """One kill as it went. Units: writes and calls."""

    point: str
    passing: int
    written: int
    calls_in_flight: frozenset[Call]
    writes_in_flight: int = 0
    writes_repeated: int = 0
    calls_repeated: list[Call] = field(default_factory=list)

    @property
    def strangers(self) -> list[Call]:
        """Calls that were repeated although they were not in flight: there must be none."""
        return [call for call in self.calls_repeated if call not in self.calls_in_flight]

    def as_json(self) -> dict[str, object]:
        """For --json."""
        return {
            "point": self.point,
            "passing": self.passing,
            "written": self.written,
            "in_flight": {"writes": self.writes_in_flight, "calls": len(self.calls_in_flight)},
            "repeated": {"writes": self.writes_repeated, "calls": len(set(self.calls_repeated))},
        }


class Witness:
    """Knows which calls were made before, and which of them no checkpoint covers."""

    def __init__(self, notes: Path) -> None:
        self._notes = notes
        self._position = 0
        self._made: dict[str, set[int]] = {}

    def repeated(self) -> list[Call]:
        """Calls made since the last question that had been made before it."""
        calls, self._position = read_calls(self._notes, self._position)
        again = [call for call in calls if call.sequence in self._made.get(call.handler, ())]
        for call in calls:
            self._made.setdefault(call.handler, set()).add(call.sequence)
        return again

    def unsettled(self, positions: Sequence[HandlerPosition]) -> frozenset[Call]:
        """Calls made so far that are above their handler's checkpoint and in none of its settled ranges."""
        return frozenset(
            Call(name, sequence)
            for name, sequences in self._made.items()
            for sequence in sequences
            if not any(
                _covers(position, sequence) for position in positions if position.mapping.handler == name
            )
        )


def _covers(position: HandlerPosition, sequence: int) -> bool:
    # One shard follows the other and is begun only after it, so the furthest checkpoint says it for all
    # before.
    return sequence <= position.watermark or any(first <= sequence <= last for first, last in position.ranges)


def line(number: int, kill: Kill) -> str:
    """One kill, for people."""
    place = kill.point if kill.point == ANY_MOMENT else f"{kill.point} (passing {kill.passing})"
    return (
        f"kill {number:>2}  {place:<30} after {kill.written:>6,} writes; in flight {kill.writes_in_flight} "
        f"writes, {len(kill.calls_in_flight)} calls; repeated {kill.writes_repeated} writes, "
        f"{len(set(kill.calls_repeated))} calls"
    )
