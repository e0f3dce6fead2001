"""`app.replay` in a test world: on trial over the world's journals, or live beside its handlers.

Stands alone because the world has no room. Rules of this file: what happens is the room `replays`; time
passes in the world as far as a live replay needs it.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from tailrace.app.mapping import HandlerMapping
from tailrace.clocks.manual import ManualClock
from tailrace.errors import SettingsError
from tailrace.journal.core.moment import last_us
from tailrace.ports import StateStore
from tailrace.worker.worker import Worker

if TYPE_CHECKING:
    from tailrace.journal.run.past import PastReader
    from tailrace.replays.run.live import LiveGround


class WorldReplays:
    """Where replays of one app run. Shape: `worker` gives the app's; `let` lets work go on to its end."""

    def __init__(
        self,
        clock: ManualClock,
        opened: Callable[[HandlerMapping], "PastReader"],
        worker: Callable[[], Worker],
        state: Callable[[], StateStore],
        let: Callable[[Awaitable[Any]], Any],
        new_name: Callable[[], str],
        overrides: Mapping[Callable[..., Any], Callable[..., Any]],
    ) -> None:
        self._clock = clock
        self.opened = opened
        self._worker = worker
        self._state = state
        self.run = let
        self._new_name = new_name
        self.overrides = overrides

    def now_us(self) -> int:
        """The world's time, in microseconds since the epoch."""
        return last_us(self._clock.now().wall_ms)

    def ground(self, mapping: HandlerMapping) -> "LiveGround":
        """Where a live replay runs. Raises: SettingsError."""
        from tailrace.replays.run.live import LiveGround

        worker = self._worker()
        if worker.replayed is None or mapping.id not in worker.sinks:
            raise SettingsError(
                f"replay: {mapping.id!r} was declared after the world began",
                hint="world.restart() lets the worker know it",
            )
        app = worker.app
        return LiveGround(
            app.name, app.region, self._state(), self._clock, worker.replayed, self.opened, self._new_name,
            worker.retelling,
        )  # fmt: skip
