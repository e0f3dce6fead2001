"""A campaign: many seeds, their violations, and what was never tried.

Rules of this file: it may be stopped and resumed; a seed is judged by checkers.py alone. Called by
__main__.py and the tests.
"""

import hashlib
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, Protocol, get_args

import tailrace
from tailrace.errors import InternalError
from tailrace.mapping.commands import Command, Completion
from tailrace.testing.simulation import Run
from tailrace.testing.simulation_drawing import plan
from tailrace.testing.simulation_plan import BRANCHES, DRAWN_FAULTS, FAULTS, MAPPING
from tailrace.testing.simulation_yields import all_yields
from tests.simulation.checkers import Checkers
from tests.simulation.lease_rows import LeaseRows

EXPECTED = (
    *(f"command {kind.__name__}" for kind in get_args(Command)),
    *(f"completion {kind.__name__}" for kind in get_args(Completion)),
    *(f"setting {name}" for name in BRANCHES),
    *(f"fault {name}" for name in (*FAULTS, *DRAWN_FAULTS)),
    *(f"style {name}" for name in ("vector", "whole", "partial")),
    *(f"setting workers{name}" for name in ("=1", "=2 or 3", ">3")),
    *(f"setting mappings{name}" for name in ("=1", "=2", " of two orders")),
)
"""What a report must have a number above zero for."""
YIELDS = tuple(f"died at {place}" for place in all_yields())
"""And so for every yield of the runtime's steps: it is a crash point."""
ALL: Final = (*EXPECTED, *YIELDS)


SIMULATED = (Path(tailrace.__file__).parent, Path(__file__).parent)
"""Where the code is that a run depends on."""
CHUNK = 10
"""Seeds that a process is given at once."""


@dataclass(slots=True)
class Report:
    """What a campaign found. Shape: `expected` is what must have occurred. Units: seconds of this machine,
    for the rate only.
    """

    first: int
    expected: Sequence[str] = ALL
    done: int = 0
    steps: int = 0
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[int, str, str]] = field(default_factory=list)

    @property
    def zeros(self) -> list[str]:
        """What never occurred, the yields of steps at which no worker died among them."""
        return [name for name in self.expected if not self.counts[name]]

    @property
    def holds(self) -> bool:
        """Whether nothing was violated and everything was tried."""
        return not self.violations and not self.zeros

    def lines(self) -> Iterable[str]:
        """The report, for people."""
        for name in self.expected:
            yield f"  {name:<45} {self.counts[name]:>10,}"
        yield (
            f"  {self.done:,} seeds, {self.steps:,} machine steps, "
            f"{self.steps / max(self.seconds, 1e-9):,.0f} steps/s"
        )
        yield from (f"VIOLATION seed {seed}: {checker}: {text}" for seed, checker, text in self.violations)
        yield from (f"NEVER OCCURRED {name}" for name in self.zeros)


def run_seed(seed: int) -> tuple[Run, list[tuple[str, str]]]:
    """One seed and what was wrong with it."""
    made = plan(seed)
    checkers = {mapping.id: Checkers(made, mapping) for mapping in made.mappings}
    run = Run(made, lambda mapping: checkers[mapping.id])
    run.rows = LeaseRows(run.rows, checkers[MAPPING].wrong)
    for checker in checkers.values():
        checker.run = run
    try:
        run.run()
    except InternalError as error:
        checkers[MAPPING].wrong("no internal error", str(error))
    return run, [violation for checker in checkers.values() for violation in checker.violations]


class PlayedRun(Protocol):
    """What a campaign asks of a run. Shape: `counts` of what occurred in it."""

    steps: int
    counts: Counter[str]


Play = Callable[[int], tuple[PlayedRun, list[tuple[str, str]]]]
"""One seed, and what was wrong with it."""


@dataclass(slots=True)
class Played:
    """What is left of a seed's run. Shape: violations as (checker, words)."""

    steps: int
    counts: Counter[str]
    violations: list[tuple[str, str]]


def played(play: Play, seed: int) -> Played:
    """Play one seed."""
    with _silence():
        run, violations = play(seed)
    counts = Counter(run.counts)
    if isinstance(run, Run):
        for place, times in run.performing.crashed.items():
            counts[f"died at {run.performing.names[place]}"] += times
    return Played(run.steps, counts, violations)


def campaign(
    first: int,
    seeds: int,
    progress: Callable[[Report], None] = lambda _: None,
    resume: Path | None = None,
    play: Play = run_seed,
    expected: Sequence[str] = ALL,
    jobs: int = 1,
) -> Report:
    """Run seeds from `first` on, in `jobs` processes. `resume` names a file that keeps the progress of an
    interrupted campaign.
    """
    report = (resume and _resumed(resume, first, expected)) or Report(first, expected)
    started = time.perf_counter()
    with _results(partial(played, play), range(first + report.done, first + seeds), jobs) as results:
        for seed, run in enumerate(results, first + report.done):
            report.seconds, started = report.seconds + time.perf_counter() - started, time.perf_counter()
            report.done += 1
            report.steps += run.steps
            report.counts.update(run.counts)
            report.violations += [(seed, *violation) for violation in run.violations]
            if report.done % 100 == 0 or report.done == seeds:
                progress(report)
                if resume is not None:
                    _keep(resume, report)
    if resume is not None:
        resume.unlink(missing_ok=True)
    return report


@contextmanager
def _results(playing: Callable[[int], Played], seeds: range, jobs: int) -> Iterator[Iterator[Played]]:
    """What is left of each seed, in their order."""
    if jobs == 1:
        yield map(playing, seeds)
        return
    with ProcessPoolExecutor(jobs) as processes:
        try:
            yield processes.map(playing, seeds, chunksize=CHUNK)
        finally:
            processes.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _silence() -> Iterator[None]:
    """What simulated workers warn of is what they were made to suffer."""
    log = logging.getLogger("tailrace")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


def version() -> str:
    """A fingerprint of what is simulated: progress made with other code is not resumed."""
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted(file for place in SIMULATED for file in place.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _keep(file: Path, report: Report) -> None:
    file.write_text(
        json.dumps(
            {
                "version": version(),
                "first": report.first,
                "done": report.done,
                "steps": report.steps,
                "seconds": report.seconds,
                "counts": report.counts,
                "violations": report.violations,
            }
        )
    )


def _resumed(file: Path, first: int, expected: Sequence[str]) -> Report | None:
    if not file.exists():
        return None
    kept = json.loads(file.read_text())
    if kept["version"] != version() or kept["first"] != first:
        return None
    violations = [(seed, checker, text) for seed, checker, text in kept["violations"]]
    counts = Counter[str](kept["counts"])
    return Report(first, expected, kept["done"], kept["steps"], kept["seconds"], counts, violations)
