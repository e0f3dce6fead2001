"""`python -m tests.shards --shards N`: a worker over so many idle shards of a server, with AWS's limits
beside each figure.

Rules of this file: arguments, lines, the exit status, and the dated summary. Called by `make shards`.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from msgspec.structs import asdict

from tests.evidence import write_evidence
from tests.shards.campaign import MOST_MIB, run


def main() -> int:
    """Run it once. Returns: 1 when something is beyond its limit."""
    parser = argparse.ArgumentParser(prog="python -m tests.shards", description=__doc__)
    parser.add_argument("--shards", type=int, default=2_000)
    parser.add_argument("--rest", type=float, default=60.0, metavar="SECONDS")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tailrace-shards-") as directory:
        report = run(Path(directory), arguments.shards, arguments.rest)
    for name, value in asdict(report).items():
        print(f"  {name}: {value:,.1f}" if isinstance(value, float) else f"  {name}: {value:,}")
    violations = report.violations()
    for words in violations:
        print(f"beyond its limit: {words}")
    summary = {**asdict(report), "limits": {"memory_mib": MOST_MIB}, "violations": violations}
    print(f"evidence: docs/evidence/{write_evidence('shards', summary).name}")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
