"""What is done to a fleet, in which order, and for how long: decided by a seed before anything runs.

Rules of this file: pure. To whom it is done is chosen by a number between 0 and 1 among the workers that are
well at that moment; the size of the fleet stays within its bounds whatever the order is.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from tests.fleets.relay import WAYS

Kind: TypeAlias = Literal["kill", "stop", "cut off from tables", "cut off from state", "add", "remove"]

KINDS: Final[tuple[Kind, ...]] = (
    "kill",
    "stop",
    "cut off from tables",
    "cut off from state",
    "add",
    "remove",
)
TABLE_WAYS: Final = ("refused", "lost", "throttled", "failing", "late")
FIRST: Final = 4
"""So many workers there are at first."""
LEAST: Final = 3
MOST: Final = 6
LEASE_S: Final = 2.0
TURN: Final = 2 * len(KINDS)
"""Every kind comes twice before any comes a third time."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. Shape: `way` is how it is cut off, "" for other kinds; `choice` below 1. Units: seconds:
    how long it lasts, and how long nothing is done before it.
    """

    kind: Kind
    choice: float
    way: str
    lasts_s: float
    before_s: float
    splits: bool
    """A shard splits beside it."""

    def __str__(self) -> str:
        way = f" ({self.way})" if self.way else ""
        lasts = f" for {self.lasts_s:.1f} s" if self.lasts_s else ""
        return f"{self.kind}{way}{lasts}{', and a split' if self.splits else ''}"


def plan(seed: int, faults: int) -> Iterator[Fault]:
    """Every kind in turn, in a new order each time around.

    >>> {fault.kind for fault in plan(1, 12)} == set(KINDS)
    True
    """
    chance = random.Random(seed)
    order: list[Kind] = []
    for number in range(faults):
        if not order:
            order = turn(chance)
        kind = order.pop(0)
        way, lasts_s = _how(kind, chance)
        yield Fault(kind, chance.random(), way, lasts_s, chance.uniform(0.05, 0.6), number % 6 == 3)


def turn(chance: random.Random) -> list[Kind]:
    """Every kind twice, so that the fleet is never too small or too large."""
    while True:
        order = chance.sample([*KINDS, *KINDS], TURN)
        size = FIRST
        for kind in order:
            size += (kind == "add") - (kind == "remove")
            if not LEAST <= size <= MOST:
                break
        else:
            return order


def _how(kind: Kind, chance: random.Random) -> tuple[str, float]:
    match kind:
        case "stop":
            return "", chance.uniform(1.25, 2) * LEASE_S
        case "cut off from tables":
            return chance.choice(TABLE_WAYS), chance.uniform(0.25, 1.5) * LEASE_S
        case "cut off from state":
            return chance.choice(WAYS), chance.uniform(0.25, 2) * LEASE_S
        case _:
            return "", 0.0
