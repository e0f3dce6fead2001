"""What all parts of a worker share, made once and handed down: where rows are kept, whose time it is, what is
told of points, what is counted.

Stands alone because the worker and everything under it take it. Rules of this file: values only.
"""

from msgspec import Struct, field

from tailrace.ports import Clock, StateStore
from tailrace.runtime.attempts import Tallies
from tailrace.runtime.duties import Duties
from tailrace.telemetry import PointReached, pass_by


class Parts(Struct, frozen=True):
    """Shape: `reached` is told of crash points; `tallies` go on being counted when a worker follows another;
    `duties` are what one of several workers does at a time, None: there is one worker.
    """

    state: StateStore
    clock: Clock
    reached: PointReached = pass_by
    tallies: Tallies = field(default_factory=Tallies)
    duties: Duties | None = None
