"""`python -m tests.simulation --seeds N [--first S] [--jobs J] [--fleets | --snapshots | --journals |
--data-streams]`: a campaign of seeds, with progress and a dated summary. Resumable.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.evidence import write_evidence
from tests.simulation import data_stream_worlds, journal_worlds, snapshot_surroundings
from tests.simulation.campaign import ALL, Play, Report, campaign, run_seed, version
from tests.simulation.data_stream_worlds import run_data_stream
from tests.simulation.fleets import HAPPENED, run_fleet
from tests.simulation.journal_worlds import run_journal
from tests.simulation.snapshot_worlds import run_snapshot

ENOUGH = 2_700
"""So many seeds meet even the rarest fault and die at every yield: a key that is free again meanwhile, a
redrive that stops beside the claims of others.
"""
FEW_FLEETS = 100
FEW_SNAPSHOTS = 400
FEW_JOURNALS = 200
FEW_DATA_STREAMS = 100
KINDS: Mapping[str, tuple[str, Play, Sequence[str], int]] = {
    "": ("simulation", run_seed, ALL, ENOUGH),
    "fleets": ("simulation-of-fleets", run_fleet, HAPPENED, FEW_FLEETS),
    "snapshots": (
        "simulation-of-snapshots", run_snapshot, snapshot_surroundings.HAPPENED, FEW_SNAPSHOTS
    ),
    "journals": ("simulation-of-journals", run_journal, journal_worlds.HAPPENED, FEW_JOURNALS),
    "data_streams": (
        "simulation-of-data-streams", run_data_stream, data_stream_worlds.HAPPENED, FEW_DATA_STREAMS
    ),
}  # fmt: skip


def main() -> int:
    """Run the campaign; 1 when anything does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many seeds")
    parser.add_argument(
        "--first", type=int, default=0, help="the first seed; one seed alone: --first S --seeds 1"
    )
    parser.add_argument(
        "--fleets", action="store_true", help="fleets of many shards, and what leases promise"
    )
    parser.add_argument(
        "--snapshots", action="store_true", help="tables and mirrors, and whether they are equal in the end"
    )
    parser.add_argument(
        "--journals", action="store_true", help="journals, and whether they are what was written"
    )
    parser.add_argument(
        "--data-streams", action="store_true", help="records again and out of order, and whether they are not"
    )
    parser.add_argument("--jobs", type=int, default=1, help="in so many processes")
    arguments = parser.parse_args()
    asked = (name for name in ("fleets", "snapshots", "journals", "data_streams") if getattr(arguments, name))
    kind, play, expected, enough = KINDS[next(asked, "")]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no process of it stays behind
    print(f"{kind}: seeds {arguments.first} to {arguments.first + arguments.seeds - 1}", flush=True)
    kept = (
        Path(tempfile.gettempdir()) / f"tailrace-{kind}-{version()}-{arguments.first}-{arguments.seeds}.json"
    )
    report = campaign(
        arguments.first, arguments.seeds, show(arguments.seeds), kept, play, expected, arguments.jobs
    )
    print()
    print("\n".join(report.lines()))
    if arguments.seeds >= 1_000:
        write_evidence(
            kind,
            {
                "first_seed": report.first,
                "seeds": report.done,
                "machine_steps": report.steps,
                "steps_per_second": round(report.steps / report.seconds),
                "seeds_per_second": round(report.done / report.seconds, 1),
                "counts": dict(sorted(report.counts.items())),
                "violations": report.violations,
                "never_occurred": report.zeros,
            },
        )
    few = arguments.seeds < enough  # a handful cannot try everything
    holds = not report.violations if few else report.holds
    print(f"{kind}: holds" if holds else f"{kind}: DOES NOT HOLD")
    return 0 if holds else 1


def show(seeds: int):  # type: ignore[no-untyped-def]
    """A progress line."""

    def line(report: Report) -> None:
        rate = report.steps / max(report.seconds, 1e-9)
        verdict = f"{len(report.violations)} violations"
        print(
            f"\r\033[K{report.done:,} of {seeds:,} seeds, {rate:,.0f} steps/s, {verdict}", end="", flush=True
        )

    return line


if __name__ == "__main__":
    sys.exit(main())
