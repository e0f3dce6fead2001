"""The drivers of a worker: one a mapping and shard.

Stands alone because it is all that others ask of them; what begins and ends one is worker/worker.py's.
Rules of this file: nothing is awaited, and no driver is told anything but that its lease is lost or that it
is to drain.
"""

from tailrace.mapping.commands import LeaseTaken
from tailrace.runtime.driver import Driver, Status
from tailrace.runtime.pausing import Pauses
from tailrace.worker.following import Begun
from tailrace.worker.leasing import Held


class Drivers(dict[Begun, Driver]):
    """Every driver that runs now, by mapping, stream label and shard.

    Shape: put and deleted one by one. Those of a shard are known without a look at all others: the leases of
           ten thousand may be lost at once, and a loop that then looks for long is dead for all the others.
    """

    def __init__(self) -> None:
        super().__init__()
        self._inside: dict[Held, dict[Begun, Driver]] = {}

    def __setitem__(self, begun: Begun, driver: Driver) -> None:
        super().__setitem__(begun, driver)
        self._inside.setdefault(begun[1:], {})[begun] = driver

    def __delitem__(self, begun: Begun) -> None:
        super().__delitem__(begun)
        there = self._inside[begun[1:]]
        del there[begun]
        if not there:
            del self._inside[begun[1:]]

    def of(self, mapping_id: str) -> list[Driver]:
        """Those of one mapping."""
        return [driver for (mapping, *_), driver in self.items() if mapping == mapping_id]

    def inside(self, place: Held) -> list[Driver]:
        """Those of one shard."""
        return list(self._inside.get(place, {}).values())

    def statuses(self, app: str, pauses: Pauses) -> list[Status]:
        """How each fares."""
        return [
            driver.status(app, is_paused=pauses.is_paused(mapping_id))
            for (mapping_id, *_), driver in self.items()
        ]

    def lost(self, place: Held) -> None:
        """The lease of a shard is another worker's by now."""
        for driver in self.inside(place):
            driver.tell(LeaseTaken())

    def drain(self, place: Held) -> bool:
        """Let those of a shard end. Returns: whether there are any."""
        drivers = self.inside(place)
        for driver in drivers:
            driver.stop()
        return bool(drivers)
