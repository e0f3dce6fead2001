"""`python -m tests.fuzz --requests N [--seed S]`: mutated requests, with progress and
a dated summary. Resumable.

A quarter is sent to a process of its own, before and after which memory is measured; what has been done is
kept in a file, and the same call goes on.
"""

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.evidence import write_evidence
from tests.fuzz.campaign import BLOCK, Report
from tests.fuzz.mutations import Request
from tests.fuzz.resuming import here, version
from tests.fuzz.served import ServedWorld, has_grown, told

LONG = 10_000
"""From so many requests on memory is judged and the run is evidence."""
SERVED_FROM = 10_000_000
"""The numbers of the requests to the process, far from the others."""


def main() -> int:
    """Run the campaign; 1 when anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=100_000, help="how many requests")
    parser.add_argument("--seed", type=int, help="the seed; without one it is drawn, and printed")
    parser.add_argument(
        "--first",
        type=int,
        default=0,
        help="the first number: to replay a finding, that of its block, with --served 1 from 10000000 on",
    )
    parser.add_argument(
        "--served", type=float, default=0.25, help="the share that is sent to a process of its own"
    )
    given = parser.parse_args()
    seed = random.randrange(10**6) if given.seed is None else given.seed
    print(f"fuzz: seed {seed}, {given.requests:,} requests from {given.first}", flush=True)
    served = int(given.requests * given.served)
    kept = (
        Path(tempfile.gettempdir()) / f"tailrace-fuzz-{version()}-{seed}-{given.first}-{given.requests}.json"
    )
    report = here(seed, given.first, given.requests - served, kept, _progress)
    memory = _served(report, max(given.first, SERVED_FROM), served) if served else ""
    print()
    print("\n".join([*report.lines(), memory]))
    if given.requests >= LONG:
        write_evidence(
            "fuzz",
            {
                "seed": seed,
                "requests": report.sent,
                "to_a_process": served,
                "answers": dict(sorted(report.statuses.items())),
                "operations": len(report.operations),
                "accepted": sum(report.accepted.values()),
                "memory": memory,
                "findings": sorted(report.findings),
            },
        )
    print("fuzz: DOES NOT HOLD" if report.findings else "fuzz: holds")
    return 1 if report.findings else 0


def _served(report: Report, begin: int, count: int) -> str:
    """The share of a process. Returns: what became of its memory."""
    warm_up = count // 3
    with tempfile.TemporaryDirectory() as directory:
        world = ServedWorld(Path(directory))
        try:
            for first in range(0, warm_up, BLOCK):
                world.send(report, begin + first, min(BLOCK, warm_up - first))
                _progress(report, report.sent)
            before = world.memory()
            for first in range(warm_up, count, BLOCK):
                world.send(report, begin + first, min(BLOCK, count - first))
                _progress(report, report.sent)
            after = world.memory()
        finally:
            code = world.stop()
    words = told(before, after)
    nobody = Request("the process", "", "", {}, b"")
    if code:
        report.add(0, nobody, 0, f"the process ended with {code}", "")
    if count >= LONG // 4 and has_grown(before, after):
        report.add(0, nobody, 0, "memory has grown", words)
    return words


def _progress(report: Report, count: int) -> None:
    print(
        f"\r\033[K{report.sent:,} of {count:,} requests, {len(report.findings)} findings", end="", flush=True
    )


if __name__ == "__main__":
    sys.exit(main())
