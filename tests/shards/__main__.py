"""`python -m tests.shards --shards N --simulated M`: a worker over so many idle shards of a server, then one
over so many that are simulated, with AWS's limits beside each figure.

Rules of this file: arguments, lines, the exit status, and the dated summary. Called by `make shards`.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
from msgspec.structs import asdict

from tests.evidence import write_evidence
from tests.shards.campaign import MOST_MIB, ShardsReport, run


def main() -> int:
    """Run it once. Returns: 1 when something is beyond its limit."""
    parser = argparse.ArgumentParser(prog="python -m tests.shards", description=__doc__)
    parser.add_argument("--shards", type=int, default=2_000)
    parser.add_argument("--simulated", type=int, default=10_000)
    parser.add_argument("--rest", type=float, default=60.0, metavar="SECONDS")
    arguments = parser.parse_args()
    reports: dict[str, ShardsReport] = {}
    if arguments.shards:
        with tempfile.TemporaryDirectory(prefix="tailrace-shards-") as directory:
            reports["over HTTP"] = run(Path(directory), arguments.shards, arguments.rest)
        show("over HTTP", reports["over HTTP"])
    if arguments.simulated:
        reports["simulated"] = simulated(arguments.simulated, arguments.rest)
        show("simulated", reports["simulated"])
    violations = [f"{name}: {words}" for name, report in reports.items() for words in report.violations()]
    for words in violations:
        print(f"beyond its limit: {words}")
    runs = {name: asdict(report) for name, report in reports.items()}
    summary = {**runs, "limits": {"memory_mib": MOST_MIB}, "violations": violations}
    print(f"evidence: docs/evidence/{write_evidence('shards', summary).name}")
    return 1 if violations else 0


def simulated(shards: int, rest_s: float) -> ShardsReport:
    """The same of a process of its own, over shards that are simulated. Raises: CalledProcessError."""
    command = ["-m", "tests.shards.simulated", "--shards", str(shards), "--rest", str(rest_s)]
    ran = subprocess.run([sys.executable, *command], check=True, stdout=subprocess.PIPE)
    return msgspec.json.decode(ran.stdout, type=ShardsReport)


def show(name: str, report: ShardsReport) -> None:
    """Its figures, one a line."""
    print(f"{report.shards:,} shards {name}")
    for member, value in asdict(report).items():
        print(f"  {member}: {value:,.1f}" if isinstance(value, float) else f"  {member}: {value:,}")


if __name__ == "__main__":
    sys.exit(main())
