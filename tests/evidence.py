"""Dated summaries of long runs, kept in docs/evidence/ so that a claim can be looked up.

Rules of this file: one JSON file a kind and day; a later run of the same day replaces it. No path or
name of a machine.
"""

import json
import platform
import time
from pathlib import Path
from typing import Any

EVIDENCE = Path(__file__).resolve().parent.parent / "docs" / "evidence"


def write_evidence(kind: str, summary: dict[str, Any]) -> Path:
    """Write the summary of a long run; returns the file."""
    EVIDENCE.mkdir(parents=True, exist_ok=True)
    file = EVIDENCE / f"{time.strftime('%Y-%m-%d')}-{kind}.json"
    facts = {"kind": kind, "date": time.strftime("%Y-%m-%d"), "python": platform.python_version(), **summary}
    file.write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n")
    return file
