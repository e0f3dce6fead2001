"""What views read: a state store, the streams, a clock, and what a worker that runs here knows beside them.

Rules of this file: no view is here, only what all of them are given. Everything durable is read through the
ports; a worker in this process may be laid over it, and where there is none a view says None for what only a
worker knows. Made by `control.Subject`, the command line and the test world.
"""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from tailrace.ports import Clock, LogReader, StateStore
from tailrace.runtime.watermark import MappingName
from tailrace.views.live import Live

DAY_MS: Final = 86_400_000


class ViewSources(Struct, frozen=True):
    """What a view is given. Shape: `app` is the only one whose handlers are shown; "": those of all apps.
    Units: retention_ms is how long a stream keeps a change.
    """

    state: StateStore
    log: LogReader
    clock: Clock
    live: Live | None = None
    retention_ms: int = DAY_MS
    app: str = ""

    @property
    def scope(self) -> tuple[str, ...]:
        """The words behind the kind in the keys of rows that are looked at."""
        return (self.app,) if self.app else ()


def running(live: Live | None) -> Iterator[MappingName]:
    """The handlers that a worker runs, begun or not; one entry a shard."""
    if live is not None:
        for status in live.status():
            yield MappingName(status.app, status.mapping_id, status.table)
