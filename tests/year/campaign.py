"""The year of flights into each place, by processes that are killed on the way, and what must hold then.

Theory of operation: the changes are written once. Then each place is filled by a worker in a process of its
own (or several places by one); it says each commit that it begins and each that is done, and is killed at
some of these lines, one time within a commit and one time behind it; the next process goes on. At the end
each place is asked for its figures, and how many changes it has counted. Rates are those of commits alone,
over all processes; memory is that of the last one, from a tenth of its changes on.
Rules of this file: figures to compare with come from the source file, by a program that knows nothing of
tailrace (examples/flights/control.py).
"""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, TypeAlias

from msgspec import Struct

from tailrace.cli.demo import flights_directory, load
from tests.patience import PATIENCE_S
from tests.postgres import postgres
from tests.year.delivery import source_rows
from tests.year.places import KINDS, Figures, Place, folder_of, place_of

CARRIER: Final = "carrier "
Kills: TypeAlias = Sequence[tuple[str, float]]
"""At which kind of line, once which share of the changes is committed."""
KILLS: Final[Kills] = (("begun", 0.1), ("committed", 0.4))


class PlaceReport(Struct, frozen=True):
    """What happened at one place. Shape: `memory_mib` is the most in each tenth of the last process. Units:
    changes and rows a second, MiB.
    """

    changes: int
    lives: int
    counted: int | None
    rate: float
    raw_rate: float
    grew_mib: float
    memory_mib: tuple[float, ...]
    wrong: tuple[str, ...]

    @property
    def of_raw(self) -> float:
        """Changes a second of its raw COPY's rows a second. Units: percent."""
        return 100 * self.rate / self.raw_rate


class Life:
    """What one process has committed at each place. Shape: `memory` are samples of (changes, MiB)."""

    def __init__(self) -> None:
        self.changes: dict[str, int] = {}
        self.seconds: dict[str, float] = {}
        self.memory: list[tuple[int, float]] = []

    def take(self, line: str) -> str:
        """Count a line. Returns: of which kind it is."""
        word, *rest = line.split()
        if word == "committed":
            kind, changes, seconds, mib = rest
            self.changes[kind] = self.changes.get(kind, 0) + int(changes)
            self.seconds[kind] = self.seconds.get(kind, 0.0) + float(seconds)
            self.memory.append((sum(self.changes.values()), float(mib)))
        return word


def control_figures(rows: Sequence[Mapping[str, str]]) -> Figures:
    """Each carrier's figures, counted straight from the source file."""
    control: Any = load(flights_directory() / "control.py")
    statistics: Figures = control.count(iter(rows))["statistics"]
    return {
        name.removeprefix(CARRIER): counts for name, counts in statistics.items() if name.startswith(CARRIER)
    }


def run(
    directory: Path,
    tell: Callable[[str], None],
    *,
    is_week: bool = False,
    batch_size: int = 10_000,
    at_once: bool = False,
    kinds: Sequence[str] = KINDS,
    kills: Kills = KILLS,
) -> dict[str, PlaceReport]:
    """Fill the places, one after the other or all `at_once`. Returns: a report for each. Raises:
    AssertionError when a process ends by itself.
    """
    rows = source_rows(is_week)
    wanted = control_figures(rows)
    data = directory / "data"
    (written,) = spoken("write", data, *(["--week"] if is_week else []))
    changes = int(written.split()[1])
    tell(f"{len(rows):,} flights, {changes:,} changes in the stream")
    reports: dict[str, PlaceReport] = {}
    with ExitStack() as ends:
        where = {kind: folder_of(kind, directory) for kind in kinds}
        if "postgresql" in kinds:
            where["postgresql"] = ends.enter_context(postgres()).database()
        for group in [kinds] if at_once else [[kind] for kind in kinds]:
            lives = delivered(data, {kind: where[kind] for kind in group}, changes, batch_size, kills)
            for kind in group:
                reports[kind] = report(kind, where[kind], lives, changes, wanted)
                tell(words(kind, reports[kind]))
    return reports


def delivered(
    data: Path, where: Mapping[str, str], changes: int, batch_size: int, kills: Kills
) -> list[Life]:
    """Deliver to these places, by processes of which all but the last are killed."""
    options = ["--batch-size", str(batch_size), *(f"--{kind}={place}" for kind, place in where.items())]
    lives: list[Life] = []
    done = 0
    for line_kind, share in (*kills, ("", 0.0)):
        life = Life()
        for line in spoken("deliver", data, *options):
            word = life.take(line)
            here = done + sum(life.changes.values())
            if word == line_kind and here >= share * changes * len(where):
                break
        done += sum(life.changes.values())
        lives.append(life)
    return lives


def spoken(*arguments: object, module: str = "tests.year.delivery") -> Iterator[str]:
    """The lines of a process; it is killed when no more are taken. Raises: AssertionError when it fails."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    is_over = False
    try:
        yield from process.stdout
        is_over = True
    finally:
        if not is_over:
            process.send_signal(signal.SIGKILL)
        process.stdout.close()
        code = process.wait(PATIENCE_S)
    assert code == 0, f"{command} ended with {code}"


def wrong_at(place: Place, changes: int, wanted: Figures) -> list[str]:
    """What a place shows that is not so, a sentence each."""
    counted = place.counted()
    wrong = list(differences(place.figures(), wanted))
    if counted not in (None, changes):
        wrong.append(f"{counted:,} changes were counted, and the stream has {changes:,}")
    return wrong


def report(kind: str, where: str, lives: Sequence[Life], changes: int, wanted: Figures) -> PlaceReport:
    """Ask a place, and compare."""
    place = place_of(kind, where)
    seconds = sum(life.seconds.get(kind, 0.0) for life in lives)
    committed = sum(life.changes.get(kind, 0) for life in lives)
    return PlaceReport(
        changes=changes,
        lives=len(lives),
        counted=place.counted(),
        rate=committed / seconds,
        raw_rate=place.raw_rate(),
        grew_mib=grown(lives[-1].memory),
        memory_mib=tuple(round(mib) for mib in tenths(lives[-1].memory)),
        wrong=tuple(wrong_at(place, changes, wanted)),
    )


def tenths(memory: Sequence[tuple[int, float]]) -> list[float]:
    """The most memory in each tenth of a process's changes that has a sample.

    >>> tenths([(1, 100.0), (10, 150.0), (52, 170.0), (100, 160.0)])
    [150.0, 170.0, 160.0]
    """
    most: dict[int, float] = {}
    for count, mib in memory:
        tenth = -(-10 * count // memory[-1][0])
        most[tenth] = max(mib, most.get(tenth, 0.0))
    return list(most.values())


def grown(memory: Sequence[tuple[int, float]]) -> float:
    """By how much a process grew after the first tenth of its changes."""
    first, *others = tenths(memory)
    return max([first, *others]) - first


def differences(shown: Figures, wanted: Figures) -> Iterator[str]:
    """What a place says otherwise than the source file, a sentence a figure.

    >>> shown, wanted = ({"UA": {"arrived": 2, "arrival_delay": minutes}} for minutes in (5, 6))
    >>> list(differences(shown, wanted))
    ['UA: arrival_delay is 5 instead of 6', 'UA: the mean delay is 5/2 instead of 3']
    """
    for carrier in sorted({*shown, *wanted}):
        here, there = shown.get(carrier, {}), wanted.get(carrier, {})
        for name in sorted({*here, *there}):
            if here.get(name) != there.get(name):
                yield f"{carrier}: {name} is {here.get(name)} instead of {there.get(name)}"
        if mean_delay(here) != mean_delay(there):
            yield f"{carrier}: the mean delay is {mean_delay(here)} instead of {mean_delay(there)}"


def mean_delay(counts: Mapping[str, int]) -> Fraction | None:
    """The exact mean delay of arrivals. Units: minutes."""
    return Fraction(counts["arrival_delay"], counts["arrived"]) if counts.get("arrived") else None


def words(kind: str, report: PlaceReport) -> str:
    """One line about a place."""
    counted = "" if report.counted is None else f", {report.counted:,} changes counted"
    verdict = "; ".join(report.wrong[:3]) or "figures equal those of the source file"
    return (
        f"{kind}: {verdict}{counted}, {report.lives - 1} kills; {report.rate:,.0f} changes/s, "
        f"raw COPY {report.raw_rate:,.0f} rows/s ({report.of_raw:.0f} %); "
        f"memory by tenths {', '.join(f'{mib:.0f}' for mib in report.memory_mib)} MiB"
    )
