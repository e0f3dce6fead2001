"""Who works beside the machines of a worker: what puts dead letters back, tells destinations, brings up
projections, closes windows, tells alerts.

Stands alone because the worker and those who join it name the same. Rules of this file: values only;
long-lived work is a Service.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Protocol

from msgspec import Struct

from tailrace.app.mapping import HandlerMapping
from tailrace.deadletters.run.courier import Courier
from tailrace.deadletters.run.redriver import Redriver
from tailrace.ports import Sink, StateStore
from tailrace.projections.run.projector import Projector
from tailrace.snapshots.run.forgetting import Janitor
from tailrace.snapshots.run.snapshotter import Snapshotter
from tailrace.verification.run.mirrors import Mirrors
from tailrace.windows.run.retelling import Retelling
from tailrace.windows.run.windowing import Windows
from tailrace.worker.watching import UnreadWatch


class Service(Protocol):
    """Long-lived work."""

    async def run(self) -> None:
        """Work until it is cancelled."""


def _nothing() -> None:
    """What is called where the crew has none."""


async def _always(_: str = "") -> bool:
    """What is asked where one worker is alone."""
    return True


async def _never(_: str = "") -> None:
    """What is called where the crew has none."""


class Crew(Struct, frozen=True):
    """Those who are there; a worker does without the others.

    Shape:   `declared` is told when the app declares something else, `withdrawn` of each mapping that has
             ended because it is no longer declared, `ended` when the worker has. Of several workers the one
             for which `may_forget` removes what nothing needs, also of `marks`, where these are not in the
             state, and the one that `has_duty` for a mapping sees to the shards that no worker reads, of
             which `watch` tells; `replayed` makes the sink of a handler for a run of its own; a `cleaner`
             removes what only the store knows of. `snapshots` bring whole tables to sinks, and forget
             deletions there.
    """

    redriver: Redriver | None = None
    courier: Courier | None = None
    projector: Projector | None = None
    mirrors: Mirrors | None = None
    windows: Sequence[Windows] = ()
    alerts: Service | None = None
    declared: Callable[[], None] = _nothing
    withdrawn: Callable[[str], Awaitable[None]] = _never
    ended: Callable[[], Awaitable[None]] = _never
    may_forget: Callable[[], Awaitable[bool]] = _always
    has_duty: Callable[[str], Awaitable[bool]] = _always
    marks: StateStore | None = None
    cleaner: Service | None = None
    watch: UnreadWatch | None = None
    replayed: Callable[[HandlerMapping, str], Sink] | None = None
    retelling: Callable[[HandlerMapping, HandlerMapping], Retelling | None] = lambda mapping, archived: None
    snapshots: tuple[Snapshotter, Janitor] | None = None
    merges: Service | None = None
    load: Service | None = None

    @property
    def services(self) -> Iterator[tuple[str, Service]]:
        """Those that run as long as the worker does, by name; windows run in their handlers' threads."""
        if self.courier is not None:
            yield "courier", self.courier
        if self.projector is not None:
            yield "projector", self.projector
        if self.alerts is not None:
            yield "alerts", self.alerts
        if self.cleaner is not None:
            yield "cleaner", self.cleaner
        if self.watch is not None:
            yield "unread", self.watch
        if self.merges is not None:
            yield "merges", self.merges
        if self.load is not None:
            yield "load", self.load
        if self.snapshots is not None:
            snapshotter, janitor = self.snapshots
            yield "snapshots", snapshotter
            yield "deletions", janitor
