"""Points at which a process kills itself, for the campaigns that kill it everywhere.

Rules of this file: what is asked for comes from the environment; without it nothing happens. Called by
node.py. Stands alone because campaigns need it, and a node does without.
"""

import os
import signal
from collections import Counter
from typing import Final

from tailrace.errors import SettingsError
from tailrace.telemetry import POINTS, SINK_POINTS, PointReached, pass_by

CRASH_AT: Final = "TAILRACE_CRASH_AT"


def crash_points() -> PointReached:
    """What points do in this process: nothing, or SIGKILL at the passing that TAILRACE_CRASH_AT names.

    Shape:   "point:count", e.g. "commit.done:3". Raises: SettingsError for a point that does not exist.
    """
    plan = os.environ.get(CRASH_AT)
    if not plan:
        return pass_by
    point, _, count = plan.partition(":")
    allowed = POINTS + SINK_POINTS
    if point not in allowed or not count.isdigit() or int(count) < 1:
        raise SettingsError(
            f"{CRASH_AT}={plan!r} is not allowed; write point:count with one of {', '.join(allowed)}"
        )
    passed: Counter[str] = Counter()

    def reached(name: str) -> None:
        passed[name] += 1
        if name == point and passed[name] == int(count):
            os.kill(os.getpid(), signal.SIGKILL)

    return reached
