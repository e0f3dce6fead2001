"""The progress of a campaign, kept in a file: a campaign that was interrupted goes on with the round
that was not done.

Rules of this file: what was done with other code is not gone on with. Called by campaign.py, transfers.py and
rounds.py.
"""

import hashlib
import json
import tempfile
from collections import Counter
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import tailrace


def version() -> str:
    """A fingerprint of the package's source."""
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted(Path(tailrace.__file__).parent.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def place_of(kind: str, seed: int, kills: int) -> Path:
    """Where the progress of a campaign is kept."""
    return Path(tempfile.gettempdir()) / f"tailrace-{kind}-{version()}-{seed}-{kills}.json"


@dataclass(frozen=True, slots=True)
class Progress:
    """A file for the report of a campaign. Shape: None keeps nothing."""

    file: Path | None

    def keep(self, report: Any) -> None:
        """Another round is done. Shape: a dataclass of what JSON has, and counters."""
        if self.file is not None:
            self.file.write_text(json.dumps({one.name: getattr(report, one.name) for one in fields(report)}))

    def into(self, report: Any) -> None:
        """Fill a report with what was kept."""
        if self.file is None or not self.file.exists():
            return
        kept = json.loads(self.file.read_text())
        for one in fields(report):
            value = kept[one.name]
            setattr(report, one.name, Counter(value) if isinstance(value, dict) else value)

    def forget(self) -> None:
        """The campaign is over."""
        if self.file is not None:
            self.file.unlink(missing_ok=True)
