"""Looks at how busy a worker's handlers are, and says in its log when their settings do not fit.

Rules of this file: it reads what is in memory and asks no port; what is told is alerts/core/load.py's. Run by
worker.py, made by compose_parts.py. Stands alone because it needs nobody to be told, as watch.py does.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from tailrace.alerts.core.load import LoadHistory, LoadLook
from tailrace.app.app import App
from tailrace.app.checking import blocks
from tailrace.app.mapping import HandlerMapping
from tailrace.ports import Clock
from tailrace.runtime.attempts import Tallies
from tailrace.runtime.driver import Driver
from tailrace.runtime.threads import threads_for

LOG: Final = logging.getLogger("tailrace.worker")
LOOK_MS: Final = 15_000


class LoadWatch:
    """The load of one app's handlers in one worker.

    Shape:   `throttled` counts reads of streams that were; `crowded` names shards that have a third reader,
             by table.
    """

    def __init__(
        self,
        app: App,
        clock: Clock,
        drivers: Callable[[], Sequence[Driver]],
        tallies: Tallies,
        throttled: Callable[[], int],
        crowded: Callable[[], Mapping[str, Sequence[str]]],
        look_ms: int = LOOK_MS,
    ) -> None:
        self._app = app
        self._clock = clock
        self._drivers = drivers
        self._tallies = tallies
        self._throttled = throttled
        self._crowded = crowded
        self._look_ms = look_ms
        self._histories: dict[str, LoadHistory] = {}

    async def run(self) -> None:
        """Look until it is cancelled."""
        while True:
            await self._clock.sleep_until(self._clock.now().monotonic_ms + self._look_ms)
            self.look()

    def look(self) -> None:
        """Look once, and say what is new."""
        for mapping, look in self._looks():
            for warning in self._histories.setdefault(mapping.id, LoadHistory()).look(look):
                extra = {"hint": warning.hint.format(handler=mapping.id), "handler": mapping.id}
                LOG.warning("%s: %s", mapping.id, warning.words, extra=extra)

    def _looks(self) -> Iterator[tuple[HandlerMapping, LoadLook]]:
        now, throttled, crowded = self._clock.now(), self._throttled(), self._crowded()
        by_mapping: dict[str, list[Driver]] = {}
        for driver in self._drivers():
            by_mapping.setdefault(driver.delivery.settling.place.mapping_id, []).append(driver)
        for mapping in self._app.mappings:
            drivers = by_mapping.get(mapping.id, [])
            machines = [driver.machine for driver in drivers]
            if not machines or mapping.only_counts:
                continue
            oldest = [machine.oldest_unsettled_ms for machine in machines]
            lags = [now.wall_ms - oldest_ms for oldest_ms in oldest if oldest_ms is not None]
            tally = self._tallies.of(mapping.id)
            yield (
                mapping,
                LoadLook(
                    now.monotonic_ms,
                    len(machines),
                    mapping.settings.at_once,
                    sum(machine.in_flight for machine in machines),
                    sum(_is_waiting(driver) for driver in drivers),
                    max(lags, default=0),
                    max(0, tally.invoked - tally.failed),
                    throttled,
                    _threads(mapping),
                    tuple(crowded.get(mapping.table.name, ())),
                    any(
                        machine.blocked is not None or machine.retrying_keys or machine.phase != "running"
                        for machine in machines
                    ),
                ),
            )


def _is_waiting(driver: Driver) -> bool:
    """Whether its shard has changes that were read and are not at the handler."""
    return driver.machine.unsettled > sum(len(batch.records) for batch in driver.under_way)


def _threads(mapping: HandlerMapping) -> int | None:
    """How many threads its calls share here; None: they take none."""
    if not blocks(mapping.kind, mapping.target):
        return None
    return threads_for(mapping.settings.concurrency)
