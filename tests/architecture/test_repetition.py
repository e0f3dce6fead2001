"""What the runtime does is written once: simulation and scenarios drive it, and hold no copy of it.

Rules of this file: `ALLOWED` may only shrink. What a repetition is, is said in `repetition`.
"""

from pathlib import Path

import pytest

import tailrace
from tests.architecture.repetition import LINES, Sources, lines_of, repetitions
from tests.architecture.tidy import RUNS

ROOT = Path(tailrace.__file__).parents[2]
ALLOWED: frozenset[tuple[str, str]] = frozenset()
"""Pairs of modules that still repeat one another."""


def sources(*patterns: str) -> Sources:
    """The modules of some places, by their paths."""
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for pattern in patterns
        for path in sorted(ROOT.glob(pattern))
    }


RUNTIME = sources(*(f"src/tailrace/{run}**/*.py" for run in RUNS))
SIMULATION = sources("src/tailrace/testing/simulation*.py", "src/tailrace/testing/simulation*/**/*.py")
SCENARIOS = sources("tests/scenarios/**/*.py")
PAIRS = {
    "runtime and simulation": (RUNTIME, SIMULATION),
    "runtime and scenarios": (RUNTIME, SCENARIOS),
    "simulation and scenarios": (SIMULATION, SCENARIOS),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_no_code_stands_twice(pair: str) -> None:
    ones, others = PAIRS[pair]
    assert ones
    assert others
    repeated = [repetition for repetition in repetitions(ones, others) if repetition.places not in ALLOWED]
    assert not repeated, "\n".join(map(str, repeated))


def test_what_is_allowed_is_still_needed() -> None:
    places = {
        repetition.places for ones, others in PAIRS.values() for repetition in repetitions(ones, others)
    }
    assert places >= ALLOWED, f"take {sorted(ALLOWED - places)} out of ALLOWED"


ORIGINAL = """
async def save(self, command):
    row = await self._state.get(self._place.key)
    fields = {} if row is None else row.fields
    totals = dict(fields["totals"])
    for each in command.settled:
        totals[each.outcome] = totals.get(each.outcome, 0) + each.count
    await self._state.transact([Write(self._place.key, {"totals": totals})])
"""
COPY = """
# the same again, for the simulation
async def keep(world, told):
    \"\"\"Keep what was told.\"\"\"
    found = await world.rows.get(world.place.key)  # may be None

    known = {} if found is None else found.fields
    counts = dict(known["sums"])
    for run in told.runs:
        counts[run.end] = counts.get(run.end, 1) + run.count
    await world.rows.transact([Put(world.place.key, {"sums": counts})])
"""


def test_a_copy_with_other_names_is_found() -> None:
    (repetition,) = repetitions({"one.py": ORIGINAL}, {"other.py": COPY})
    assert repetition.one_lines == (2, 8)
    assert repetition.places == ("one.py", "other.py")


def test_five_lines_are_no_repetition() -> None:
    five = "\n".join(ORIGINAL.splitlines()[2:7]) + "\n"
    plain = five.replace("    ", "", 1).replace("\n    ", "\n").replace("await ", "")
    assert len(lines_of(plain)) == LINES - 1
    assert list(repetitions({"one.py": plain}, {"other.py": plain})) == []


def test_lines_that_say_nothing_are_no_repetition() -> None:
    fields = "class Fields:\n" + "".join(f"    field{number}: int\n" for number in range(20))
    imports = "from x import (\n" + "".join(f"    name{number},\n" for number in range(20)) + ")\n"
    assert list(repetitions({"one.py": imports + fields}, {"other.py": imports + fields})) == []
