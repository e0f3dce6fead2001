"""Kills in rounds: each has a directory of its own, and is done whole or again.

Rules of this file: what a kill is and what must hold is the campaign's. Called by places.py, sinks.py and
journals.py.
"""

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from tests.crash.progress import Progress


class Killed(Protocol):
    """What a campaign has come to. Shape: `kills` by kind."""

    kills: Counter[str]
    violations: list[str]


Outcome = TypeVar("Outcome", bound=Killed)


def in_rounds(
    name: str,
    planned: Sequence[str],
    outcome: Outcome,
    run: Callable[[Path, random.Random, Sequence[str]], None],
    tell: Callable[[str], None],
    *,
    a_round: int,
    seed: int,
    resume: Path | None,
) -> Outcome:
    """Kill as planned, `a_round` kills in one directory, until something is violated. Shape: `run` does one
    round; `resume` names a file that keeps what is done. Guarantee: of a violation everything is left and
    told where.
    """
    progress = Progress(resume)
    progress.into(outcome)
    for start in range(outcome.kills.total(), len(planned), a_round):
        with tempfile.TemporaryDirectory(prefix=f"tailrace-{name}-") as directory:
            run(Path(directory), random.Random(f"{seed}/{start}"), planned[start : start + a_round])
            if outcome.violations:
                left = tempfile.mkdtemp(prefix=f"tailrace-{name}-violation-")
                sockets = shutil.ignore_patterns("*.sock")
                shutil.copytree(directory, left, dirs_exist_ok=True, ignore=sockets)
                tell(f"what was there is in {left}")
                break
        progress.keep(outcome)
    progress.forget()
    return outcome
