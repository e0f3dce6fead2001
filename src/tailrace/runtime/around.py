"""What may be laid around the parts of a worker: nothing, or the test world's notes and faults.

Rules of this file: one method a part; here each gives back what it is given. Called by `compose_worker`
when it builds a worker, overridden by testing/faulting.py.
"""

from collections.abc import Callable
from typing import Any

from tailrace.app.alerting import AlertSink
from tailrace.app.app import HandlerMapping
from tailrace.app.sinking import Writes
from tailrace.ports import ArchiveStore, Sink, Source, StateStore


class Around:
    """Every part as it is."""

    def target(self, mapping: HandlerMapping) -> Callable[..., Any]:
        """Around what is called."""
        return mapping.target

    def sink(self, mapping: HandlerMapping, sink: Sink) -> Sink:
        """Around a handler's sink."""
        return sink

    def output(self, handler: str, sink: Writes) -> Writes:
        """Around where a handler's values, or the changes themselves, go."""
        return sink

    def destination(self, handler: str, destination: Any) -> Any:
        """Around what is told of a handler's failures."""
        return destination

    def alert_sink(self, sink: AlertSink) -> AlertSink:
        """Around who is told of alerts."""
        return sink

    def remote(self, remote: tuple[Any, str] | None) -> tuple[Any, str] | None:
        """Around the DynamoDB of `app.transactions`; None: marks and effects stay in this engine."""
        return remote

    def archive(self, place: str, opened: Callable[[], ArchiveStore]) -> ArchiveStore:
        """Around where a journal is kept; `opened` opens it."""
        return opened()

    def merges_journals(self) -> bool:
        """Whether workers merge what journals have, in processes of their own."""
        return True

    def source(self, source: Source) -> Source:
        """Around a table's stream."""
        return source

    def state(self, state: StateStore) -> StateStore:
        """Around where leases, checkpoints and marks are kept."""
        return state
