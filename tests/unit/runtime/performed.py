"""Steps over a state store, performed as the runtime does.

Rules of this file: a clock that stands unless a test moves it.
"""

from tailrace.clocks.manual import ManualClock
from tailrace.ports import Shard, StateStore
from tailrace.runtime.driver import Performer
from tailrace.runtime.steps import Steps, T


async def performed(state: StateStore, steps: Steps[T], clock: ManualClock | None = None, gone: int = 0) -> T:
    """What steps come to; the stream has forgotten everything up to `gone`."""

    async def horizon(shard: Shard) -> int:
        return gone

    return await Performer(state, clock or ManualClock(), horizon=horizon).perform(steps)
