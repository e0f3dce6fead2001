"""What a worker in this process knows beside what is durable.

Rules of this file: it imports nothing that runs, because the start of a server is measured and every server
has it. Called by `control`, whose workers are such ones, and by the views that lay it over rows.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from tailrace.runtime.attempting import TimedSink
    from tailrace.runtime.attempts import Attempts
    from tailrace.runtime.driver import Status
    from tailrace.runtime.watermark import MappingName
    from tailrace.windows.run.windowing import Windows


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


def live_status(live: Live | None, mapping: "MappingName") -> "dict[str, Status]":
    """What the worker alone knows about one handler, by shard; empty where it does not run."""
    if live is None:
        return {}
    return {
        status.shard_id: status
        for status in live.status()
        if (status.app, status.mapping_id, status.table) == (mapping.app, mapping.handler, mapping.table)
    }


def attempts_of(live: Live | None, mapping: "MappingName", shard_id: str) -> "Attempts | None":
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
