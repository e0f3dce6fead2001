"""`python -m tests.fleets --faults N --state dynamodb|postgres [--seed S]`: a campaign of faults, with
progress and a dated summary. Resumable.
"""

import argparse
import signal
import sys

from tests.crash.progress import place_of
from tests.evidence import write_evidence
from tests.fleets.campaign import run
from tests.fleets.plan import KINDS, LEASE_S

ENOUGH = 100
"""Faults of a campaign that is evidence."""


def tell(text: str) -> None:
    """Show how far it is, on one line."""
    print(f"\r\033[K{text}", end="", flush=True)


def main() -> int:
    """Run the campaign; 1 when anything does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.fleets", description=__doc__)
    parser.add_argument("--faults", type=int, default=1_000, help="how many faults")
    parser.add_argument("--state", choices=["dynamodb", "postgres"], default="dynamodb")
    parser.add_argument("--seed", type=int, default=7, help="decides the faults; the same one goes on")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # an end ends the fleet, too
    kind = f"fleet-{arguments.state}"
    print(f"{kind}: {arguments.faults} faults, seed {arguments.seed}, lease {LEASE_S:g} s", flush=True)
    kept = place_of(kind, arguments.seed, arguments.faults)
    report = run(arguments.seed, arguments.faults, arguments.state, tell, kept)
    print()
    for fault in KINDS:
        print(f"  {fault:<20} {report.faults[fault]:>5}")
    print(
        f"  {report.acknowledged_writes} acknowledged writes, {report.workers} workers, "
        f"{report.epochs} epochs, {report.splits} splits; at most {report.most_repeated} changes "
        "repeated by a hand-over"
    )
    for text in report.violations:
        print(f"VIOLATION {text}")
    if arguments.faults >= ENOUGH:
        write_evidence(
            kind,
            {
                "seed": report.seed,
                "state": arguments.state,
                "lease_seconds": LEASE_S,
                "faults": dict(report.faults),
                "splits": report.splits,
                "workers": report.workers,
                "acknowledged_writes": report.acknowledged_writes,
                "deliveries": report.deliveries,
                "epochs": report.epochs,
                "repeated": report.repeated,
                "most_repeated_by_a_hand_over": report.most_repeated,
                "delivered_after_the_next_owner_began": report.after_the_next_owner,
                "longest_rest_seconds": report.longest_rest_s,
                "violations": report.violations,
            },
        )
    print(f"{kind}: holds" if not report.violations else f"{kind}: DOES NOT HOLD")
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
