"""`make mutate`: replays the mutants, names the test that caught each, and fails when one survived.

Rules of this file: arguments, lines, the exit status, and the dated summary; what happens is in campaign.py.
"""

import argparse
import sys
import time

from tests.evidence import write_evidence
from tests.mutation.campaign import Unsound, Verdict, judge_all
from tests.mutation.canary import CANARY
from tests.mutation.mutant import Mutant, Rotten
from tests.mutation.mutants import MUTANTS


def main() -> int:
    """Replay them. Returns: 1 when one survived, could not be judged, or the canary was caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=main.__doc__)
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    parser.add_argument("--only", default="", help="those whose name or file has this text")
    options = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if options.only in mutant.name or options.only in mutant.file]
    print(
        f"· {len(chosen)} mutants and a canary, {options.jobs} at a time; each is a wrong change of "
        f"one line in a copy of the tree"
    )
    begun, told = time.monotonic(), 0

    def tell(verdict: Verdict) -> None:
        nonlocal told
        told += 1
        print(f"  {told:3}/{len(chosen) + 1} {_line(verdict)}", flush=True)

    try:
        canary, *verdicts = judge_all([CANARY, *chosen], options.jobs, tell)
    except (Rotten, Unsound) as error:
        print(f"mutate: {error}", file=sys.stderr)
        return 1
    seconds = round(time.monotonic() - begun)
    survivors = [verdict for verdict in verdicts if not verdict.caught_by]
    print(f"· {len(verdicts) - len(survivors)} of {len(verdicts)} caught in {seconds} s")
    for verdict in survivors:
        print(f"  {verdict.mutant.name} ({verdict.mutant.file}): {verdict.said}\n      {verdict.mutant.harm}")
    if canary.said != "SURVIVED":
        print(f"  the canary, which no test guards, did not survive: {canary.caught_by or canary.said}")
    if not options.only:
        print(f"· {write_evidence('mutation', _summary(verdicts, seconds)).name}")
    return int(bool(survivors) or canary.said != "SURVIVED")


def _line(verdict: Verdict) -> str:
    mutant: Mutant = verdict.mutant
    if mutant is CANARY:
        return f"{mutant.name}: {verdict.caught_by or verdict.said} (as it must)"
    return f"{mutant.name} ({mutant.file}): {verdict.caught_by or verdict.said.partition(chr(10))[0]}"


def _summary(verdicts: list[Verdict], seconds: int) -> dict[str, object]:
    return {
        "seconds": seconds,
        "mutants": len(verdicts),
        "survived": sorted(verdict.mutant.name for verdict in verdicts if not verdict.caught_by),
        "caught_by": {
            verdict.mutant.name: {
                "file": verdict.mutant.file,
                "test": verdict.caught_by,
                "harm": verdict.mutant.harm,
            }
            for verdict in verdicts
        },
    }


if __name__ == "__main__":
    sys.exit(main())
