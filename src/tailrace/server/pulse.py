"""The dead-man's signal of a worker: what `/alive` answers, and an item in the state that a watcher outside
reads. Alerts that a worker tells die with it; what is missed here is noticed by what stays.

Theory of operation: a *round* is all that a worker lives by: the stream of each table was listed and, where a
reader waits, read within a minute; then the item is written, and read again. Only when all of it went well is
the worker alive as of the beginning of the round. So neither a process that hangs, nor one that is cut off
from the streams or from the state, goes on saying that it lives. A handler that fails, a sink that is away, a
shard that waits are no matter of life: others tell them.
Rules of this file: it tells, and restarts nothing. Run by server/fleet.py, made by compose_fleet.py.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from tailrace.errors import PortError
from tailrace.ports import Clock, StateStore
from tailrace.rows.kinds import ALIVE
from tailrace.rows.writes import VERSION, Write
from tailrace.runtime.sight import Sight
from tailrace.server.observe import Response
from tailrace.streams.dates import label
from tailrace.worker.worker import Worker

ROUND_MS: Final = 10_000
ALIVE_MS: Final = 60_000
"""How old the last whole round, and what was listed and read in it, may be."""
JSON: Final = "application/json"


def alive_fields(worker: str, at_ms: int, number: int) -> dict[str, Any]:
    """The item. Units: at_ms since the epoch, by the worker's clock. Shape: `round` counts those of the
    worker.
    """
    return {"v": VERSION, "at": f"{label(at_ms)}Z", "at_ms": at_ms, "worker": worker, "round": number}


class Pulse:
    """The rounds of one worker."""

    def __init__(self, worker: Worker, state: StateStore, clock: Clock, sight: Sight) -> None:
        self._worker = worker
        self._state = state
        self._clock = clock
        self._sight = sight
        self._number = 0
        self._wall_ms = 0
        self._whole_ms: int | None = None
        """When the last whole round began, monotonic."""
        self._lacks = "no round was whole yet"

    async def run(self) -> None:
        """Go round until cancelled."""
        while True:
            await self.go_round()
            await self._clock.sleep_until(self._clock.now().monotonic_ms + ROUND_MS)

    async def go_round(self) -> None:
        """One round. What lacks is told by `answer`."""
        now = self._clock.now()
        self._lacks = self._unread()
        if self._lacks:
            return
        key = ALIVE.key(self._worker.app.name)
        fields = alive_fields(self._worker.owner, now.wall_ms, self._number + 1)
        try:
            await self._state.transact([Write(key, fields)])
            row = await self._state.get(key)
        except PortError as error:
            self._lacks = str(error.args[0])
            return
        if row is None:
            self._lacks = "the state does not keep what is written to it"
            return
        self._number += 1
        self._whole_ms, self._wall_ms = now.monotonic_ms, now.wall_ms

    def _unread(self) -> str:
        """Why this is no whole round, as far as streams go; "": it is."""
        for table in sorted({mapping.table.name for mapping in self._worker.app.mappings}):
            if (unlisted_ms := self._sight.unlisted_ms(table)) > ALIVE_MS:
                return f"the stream of table {table} was not listed for {unlisted_ms // 1_000} s"
        waiting = [
            self._sight.unread_ms(status)
            for status in self._worker.status()
            if status.read.is_reading and not status.paused
        ]
        if waiting and min(waiting) > ALIVE_MS:
            return f"no shard was read for {min(waiting) // 1_000} s"
        return ""

    def answer(self) -> Response:
        """The answer of `/alive`: 200 only when a whole round began within a minute."""
        now_ms = self._clock.now().monotonic_ms
        age_ms = None if self._whole_ms is None else now_ms - self._whole_ms
        is_alive = age_ms is not None and age_ms <= ALIVE_MS
        body: Mapping[str, Any] = {
            "alive": is_alive,
            "worker": self._worker.owner,
            "as_of": None if age_ms is None else f"{label(self._wall_ms)}Z",
            "age_seconds": None if age_ms is None else age_ms / 1_000,
            "round": self._number,
            "lacks": self._lacks,
        }
        return (200 if is_alive else 503), JSON, orjson.dumps(body)
