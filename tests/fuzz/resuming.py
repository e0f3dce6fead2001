"""A campaign in this process that can be cut off: what has been done is kept after each block, and the same
call goes on.

Rules of this file: progress made with other code is not resumed.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tailrace
from tests.fuzz import campaign
from tests.fuzz.campaign import BLOCK, Finding, Report
from tests.fuzz.mutations import Request

NOBODY = Request("", "", "", {}, b"")
"""In place of the request of a finding that was kept: its number makes it again."""
Show = Callable[[Report, int], None]


def version() -> str:
    """A fingerprint of what is tried and of what tries it: progress made with other code is not resumed."""
    digest = hashlib.blake2b(digest_size=8)
    for directory in (Path(tailrace.__path__[0]), Path(__file__).parent):
        for file in sorted(directory.rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def here(seed: int, first: int, count: int, kept: Path, show: Show, block: int = BLOCK) -> Report:
    """`count` requests from `first` on, block by block; `kept` is the file of what has been done,
    removed at the end.
    """
    report, done = _resumed(seed, kept)
    while done < count:
        some = min(block, count - done)
        campaign.block_here(report, first + done, some)
        done += some
        _keep(report, done, kept)
        show(report, count)
    kept.unlink(missing_ok=True)
    return report


def _keep(report: Report, done: int, kept: Path) -> None:
    findings = {
        place: {"number": one.number, "told": one.told, "count": one.count}
        for place, one in report.findings.items()
    }
    kept.write_text(json.dumps({**vars(report), "findings": findings, "done": done}))


def _resumed(seed: int, kept: Path) -> tuple[Report, int]:
    if not kept.exists():
        return Report(seed), 0
    saved: dict[str, Any] = json.loads(kept.read_text())
    done = int(saved.pop("done"))
    saved["findings"] = {
        place: Finding(one["number"], place, NOBODY, one["told"], one["count"])
        for place, one in saved["findings"].items()
    }
    print(f"fuzz: goes on after {done:,}", flush=True)
    return Report(**saved), done
