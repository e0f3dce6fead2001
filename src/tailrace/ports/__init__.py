"""Everything that touches the world, in one room: what is read, where changes go, where things are kept.

Rules of this room: Protocols of at most five methods; values in, values out; an adapter never sleeps and
never retries (only the machine does); each method says whether it may be repeated. Each has a memory
implementation and a public contract check in `tailrace.testing`. All names are imported from here.
"""

from tailrace.mapping.outcomes import Failed, FailedFrom, Failure, FailureKind, Outcome, Written
from tailrace.ports.clock import Clock
from tailrace.ports.sinks import Mirror, RecordBatch, Sink, SinkRow, TargetPosition, Transactional, Versioned
from tailrace.ports.stores import (
    Action,
    ArchiveStore,
    Blob,
    Commit,
    ItemWrite,
    ProjectionStore,
    Row,
    Standing,
    StandingRows,
    StateStore,
    Store,
    Trim,
)
from tailrace.ports.streams import ItemsPage, LogReader, Source, StreamRef, TableItems
from tailrace.streams.moment import Now
from tailrace.streams.record import LogRow, ReadDone
from tailrace.streams.shards import Shard

__all__ = [
    "Action",
    "ArchiveStore",
    "Blob",
    "Clock",
    "Commit",
    "Failed",
    "FailedFrom",
    "Failure",
    "FailureKind",
    "ItemWrite",
    "ItemsPage",
    "LogReader",
    "LogRow",
    "Mirror",
    "Now",
    "Outcome",
    "ProjectionStore",
    "ReadDone",
    "RecordBatch",
    "Row",
    "Shard",
    "Sink",
    "SinkRow",
    "Source",
    "Standing",
    "StandingRows",
    "StateStore",
    "Store",
    "StreamRef",
    "TableItems",
    "TargetPosition",
    "Transactional",
    "Trim",
    "Versioned",
    "Written",
]
