"""What views read: a state store, the streams, a clock, and what a worker that runs here knows beside them.

Rules of this file: no view is here, only what all of them are given. Everything durable is read through the ports; a worker in this process may be laid over
it, and where there is none a view says None for what only a worker knows. Made by `control.Subject`, the command line and the test world.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from tailrace.ports import Clock, LogReader, StateStore
from tailrace.runtime.watermark import MappingName

if TYPE_CHECKING:
    from tailrace.runtime.attempts import Attempts
    from tailrace.runtime.driver import Status
    from tailrace.runtime.opening import TimedSink
    from tailrace.runtime.windowing import Windows

DAY_MS: Final = 86_400_000


class Live(Protocol):
    """What a worker in this process says of itself."""

    @property
    def windows(self) -> "Sequence[Windows]":
        """The windows of its handlers."""

    @property
    def sinks(self) -> "Mapping[str, TimedSink]":
        """Every handler's sink, by its id, with the times of its attempts."""

    def status(self) -> "Sequence[Status]":
        """One entry a mapping and shard."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a view is given. Units: retention_ms is how long a stream keeps a change."""

    state: StateStore
    log: LogReader
    clock: Clock
    live: Live | None = None
    retention_ms: int = DAY_MS


def running(live: Live | None) -> Iterator[MappingName]:
    """The handlers that a worker runs, begun or not; one entry a shard."""
    if live is not None:
        for status in live.status():
            yield MappingName(status.app, status.mapping_id, status.table)


def live_status(live: Live | None, mapping: MappingName) -> "dict[str, Status]":
    """What the worker alone knows about one handler, by shard; empty where it does not run."""
    if live is None:
        return {}
    return {
        status.shard_id: status
        for status in live.status()
        if (status.app, status.mapping_id, status.table) == (mapping.app, mapping.handler, mapping.table)
    }


def attempts_of(live: Live | None, mapping: MappingName, shard_id: str) -> "Attempts | None":
    """What is at a handler in one shard, and what failed there; None where it does not run."""
    status = live_status(live, mapping).get(shard_id)
    return None if status is None else status.attempts


def sink_of(live: Live | None, handler: str) -> "TimedSink | None":
    """The sink of a handler that runs here."""
    return None if live is None else live.sinks.get(handler)


def windows_of(live: Live | None, handler: str) -> "Windows | None":
    """The windows of a handler that runs here."""
    known = () if live is None else live.windows
    return next((windows for windows in known if windows.owner.mapping_id == handler), None)
