"""Where and when the demo kills its own server and worker, and what each kill made happen twice.

Rules of this file: one seed decides points and counts. What was called is read from a file that the application writes
with O_APPEND and that outlives it; what was settled is read from the store after the kill. A call that was settled and
is made again is a fault, and is said to be one. Called by `replaying`.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from tailrace import telemetry
from tailrace.streams.sequence import SequenceNumber

ANY_MOMENT: Final = "any moment"
KILLS: Final = 26
"""Every point once, and as many again at points and moments that the seed chooses."""
PER_WRITE: Final = {"write.received", "write.mutated"}
ONCE_A_START: Final = {"lease.taken"}


class Planned(NamedTuple):
    """One kill: at the count-th passing of a point, or after so many writes at any moment."""

    point: str
    passing: int

    @property
    def crash_at(self) -> str | None:
        """What the composition root reads from TAILRACE_CRASH_AT; None when the parent kills."""
        return None if self.point == ANY_MOMENT else f"{self.point}:{self.passing}"


def plan(seed: int, writes: int, kills: int = KILLS) -> list[Planned]:
    """Every named point in an order of the seed's, then as many more; far enough apart to spread over the replay.

    >>> {kill.point for kill in plan(1, 18_000)} == {*telemetry.POINTS, ANY_MOMENT}
    True
    """
    chance = random.Random(seed)
    spread = max(2, writes // (2 * kills))
    names = chance.sample(telemetry.POINTS, len(telemetry.POINTS))
    names += [
        chance.choice((ANY_MOMENT, ANY_MOMENT, *telemetry.POINTS)) for _ in range(kills - len(names) - 1)
    ]
    return [Planned(name, _count(name, spread, chance)) for name in (*names, ANY_MOMENT)]


def _count(name: str, spread: int, chance: random.Random) -> int:
    if name in ONCE_A_START:
        return 1
    far = spread if name in PER_WRITE or name == ANY_MOMENT else max(1, spread // 30)
    return chance.randint(max(1, far // 3), far)


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
            "point": self.point, "passing": self.passing, "written": self.written,
            "in_flight": {"writes": self.writes_in_flight, "calls": len(self.calls_in_flight)},
            "repeated": {"writes": self.writes_repeated, "calls": len(set(self.calls_repeated))},
        }  # fmt: skip


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

    def unsettled(self, handlers: list[Mapping[str, Any]]) -> frozenset[Call]:
        """Calls made so far that are above their handler's checkpoint and in none of its settled ranges."""
        return frozenset(
            Call(name, sequence)
            for name, sequences in self._made.items()
            for sequence in sequences
            if not any(_covers(handler, sequence) for handler in handlers if handler["handler"] == name)
        )


def _covers(handler: Mapping[str, Any], sequence: int) -> bool:
    # One shard follows the other and is read only after it, so the furthest checkpoint says it for all before.
    return any(
        sequence <= int(shard["watermark"])
        or any(int(first) <= sequence <= int(last) for first, last in shard["ranges"])
        for shard in handler["shards"]
    )


def line(number: int, kill: Kill) -> str:
    """One kill, for people."""
    place = kill.point if kill.point == ANY_MOMENT else f"{kill.point} (passing {kill.passing})"
    return (
        f"kill {number:>2}  {place:<30} after {kill.written:>6,} writes; in flight {kill.writes_in_flight} writes, "
        f"{len(kill.calls_in_flight)} calls; repeated {kill.writes_repeated} writes, {len(set(kill.calls_repeated))} calls"
    )
