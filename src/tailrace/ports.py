"""Everything that touches the world, on one page.

Rules of this file: Protocols of at most five methods; values in, values out; an adapter never sleeps and
never retries (only the machine does); each method says whether it may be repeated. Each has a memory
implementation and a public contract check in `tailrace.testing`.
"""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import msgspec
from msgspec import Struct, field

from tailrace.mapping.outcomes import Failed, FailedFrom, Failure, FailureKind, Outcome, Written
from tailrace.projections.core.rows import AppliedItem, GroupState, RowChange
from tailrace.rows.writes import Check, StateRow, Write
from tailrace.streams.moment import Now
from tailrace.streams.record import ChangeRecord, LogRow, ReadDone, ViewType
from tailrace.streams.shards import Shard
from tailrace.streams.version import FIRST_GENERATION, Version
from tailrace.streams.windows import WindowInvoke
from tailrace.values.types import Item

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


class Clock(Protocol):
    """Time. The only place that is asked for it."""

    def now(self) -> Now:
        """The present. Guarantee: monotonic_ms never goes back."""

    async def sleep_until(self, monotonic_ms: int) -> None:
        """Return at that time or soon after; at once when it has passed."""


# ---- streams -----------------------------------------------------------------------------------------------


class StreamRef(Struct, frozen=True):
    """The stream that records come from, as envelopes name it. Shape: `is_of_deleted` means that its table is
    gone, whatever has its name now; `generation` is its number among the table's sources
    (leases/generation.py).
    """

    arn: str
    table: str
    label: str
    view_type: ViewType
    region: str = "us-east-1"
    is_of_deleted: bool = False
    generation: int = FIRST_GENERATION


class Source(Protocol):
    """One stream."""

    async def stream(self) -> StreamRef:
        """The stream's names. Raises: SourceError when there is none."""

    async def earlier(self) -> list[StreamRef]:
        """Streams of the same table, and of deleted ones of its name, that have ended and can still be read,
        the oldest first. Repeatable.
        """

    async def shards(self, stream: StreamRef | None = None) -> list[Shard]:
        """Every shard that can still be read, parents before children; of the present stream unless told.
        Repeatable.

        Guarantee: each names its stream and its parents; a shard is listed no longer than those that descend
                   from it.
        """

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """Records with sequence > after, in order. A shard that is gone is closed; `trimmed` where something
        after the position is gone. May wait until there is one or the shard closes; cancellable.

        Off by one: `after` is the last record that is *already* settled, 0 for the oldest. Repeatable. With
        limit 0 it never waits: no records, and `next_after` is `after`, or the last record that is gone where
        that is later.
        Raises: SourceError.
        """


class LogReader(Protocol):
    """Every stream that can be read here, as it is at this moment: what views and watermarks ask. Raises:
    SourceError, StoreError.

    Guarantee: no method waits for a change; only durable records are shown. Repeatable.
    """

    async def streams(self, table: str | None = None) -> list[StreamRef]:
        """Streams, on or off, the oldest first: of a table, with those of deleted tables of its name; of all
        tables unless told.
        """

    async def shards(self, stream: StreamRef) -> list[Shard]:
        """Every shard of a stream that can still be read, parents before children."""

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """At most `limit` records with sequence > after, in order: none where there are none. A page may hold
        fewer, and then others follow.
        """

    async def pending_since(self, shard: Shard) -> int | None:
        """When the oldest record was written that is not durable yet. Units: ms since the epoch; None: all of
        them are.
        """


class ItemsPage(Struct, frozen=True):
    """Items as they were when `position` was the last sequence number, None: it is not told. Shape: (key in
    hex, key, image), as records of the table's stream have them; `after` None at the end, else what the next
    page is asked with, which may be kept as JSON.
    """

    items: Sequence[tuple[str, Item, Item]]
    position: int | None
    after: Mapping[str, Any] | None


class TableItems(Protocol):
    """Where a table's items are read, with an exact position where it can be told."""

    async def page(
        self, table: str, after: Mapping[str, Any] | None, limit: int, segment: tuple[int, int] | None = None
    ) -> ItemsPage:
        """The next items, at most `limit`, perhaps none before the end. Shape: `segment` (number, how many)
        of a parallel scan. Repeatable.

        Guarantee: a page with a position holds every change of the table with a number up to it, in whatever
                   shard, and none behind it, all durable; a later page has no lower one. Consistent reads.
        Raises: SourceError; StoreError.
        """


class TargetPosition(Struct, frozen=True):
    """How far a target has a shard of the stream with this label, and under the lease with which epoch."""

    stream: str
    shard_id: str
    epoch: int
    watermark: int = 0


class RecordBatch(Struct, frozen=True):
    """Records for a sink: one shard, in order.

    Shape:   `values` is what a handler returned for each of them, for the sink of a handler
             (`app.sink(audit, …)`); None when the records themselves are to be written. `window`: what a
             function is told of its tumbling window; only its final invoke has no records. `position`: of one
             that is committed with it (`Transactional`), perhaps alone.
    """

    records: Sequence[ChangeRecord]
    mapping_id: str
    stream: StreamRef
    shard_id: str
    attempt: int = 1
    request: str = ""
    values: Sequence[object] | None = None
    window: WindowInvoke | None = None
    is_snapshot: bool = False
    position: TargetPosition | None = None


@runtime_checkable
class Sink(Protocol):
    """Where a mapping's batches go.

    Guarantee: a worker opens it before its first write, and closes it when the last mapping that writes to it
               is withdrawn, or when the worker ends. One that was closed is opened again before it is written
               to again. A killed worker closes nothing.
    """

    async def open(self, clock: Clock) -> None:
        """Make ready. Shape: `clock` is whose time the sink asks. Repeatable; also after it raised, and when
        it is open already.

        Raises: whatever keeps it from being written to; it is an outage, as Unavailable from `write`: no
                change is tried, and it is opened again.
        """

    async def write(self, batch: RecordBatch) -> Outcome:
        """Accept the batch, whole or in part. Raising means that the whole batch failed. May see a record
        twice.
        """

    def close(self) -> Awaitable[None]:
        """Give everything back. Repeatable, and allowed without an `open`. May be awaited late, or never when
        the process is killed.
        """


@runtime_checkable
class Versioned(Protocol):
    """A sink that keeps beside each row the version that it is of, so that nothing older replaces it, from
    whichever worker and whenever it comes.

    Guarantee: a record is applied if its version (generation and sequence, as a pair) is larger than that of
               its row; one that is not is Written too.
    """

    async def sources(self) -> Mapping[str, int]:
        """Which generation each source is whose changes are there, as they were kept beside the rows; none
        where nothing is. Repeatable.
        """

    async def keep_sources(self, sources: Mapping[str, int]) -> None:
        """Keep these beside those that are there, durably, before a row of theirs is written. Repeatable.

        Raises: SettingsError naming the source and both numbers when one is there with another; nothing is
                kept then.
        """


class SinkRow(Struct, frozen=True):
    """One row of a mirror.

    Shape:   `key` identifies the item, as records have it; `digest` is of what the row shows, empty for a
             deleted one.
    """

    key: bytes
    version: Version
    is_deleted: bool
    digest: bytes


@runtime_checkable
class Mirror(Protocol):
    """A versioned sink with a row for each item, which a snapshot completes and which is compared with the
    table. What `write` is given it applies by the law: a change whose version is larger than its row's.

    Guarantee: a deletion stays as a row that is not shown, with its version, until `forget` takes it away: so
               nothing older brings an item back, in whatever order and from whichever worker it comes. Each
               call is atomic beside every other one, also from other processes.
    """

    async def rows(self, after: bytes, limit: int) -> Sequence[SinkRow]:
        """The next rows with key > after, deleted ones too, in the order of their keys: fewer than `limit` at
        the end only. Repeatable.
        """

    async def digests(self, batch: RecordBatch) -> Sequence[bytes]:
        """What the digest of each record's row is once it is written; empty for a removal. Writes nothing."""

    async def sweep(
        self, first: bytes, last: bytes | None, below: Version, tombstone: Version, limit: int
    ) -> int:
        """Delete shown rows with first <= key < last (None: to the end) and a version below `below`; they are
        deleted as of `tombstone`. Returns: how many, at most `limit`; fewer: there are no more. Repeatable.
        """

    async def mend(self, batch: RecordBatch, seen: Sequence[Version | None]) -> Sequence[bool]:
        """Write each record's row, whatever its version, if the row there still has the version that was
        `seen` (None: there is no row). Returns: which were written.
        """

    async def forget(self, before_us: int, limit: int) -> int:
        """Take away deleted rows whose change was created before then. Returns: as `sweep`. Repeatable.

        Off by one: the caller knows that nothing older than what it forgets can come any more.
        """


@runtime_checkable
class Transactional(Protocol):
    """A sink that owns the checkpoint: the target holds the positions beside the rows, changes both at once,
    and is believed before any state store.
    """

    async def positions(self, mapping_id: str) -> Sequence[TargetPosition]:
        """What the target has of a mapping, in any order. Repeatable."""

    async def stamp(self, mapping_id: str, stream: str, shard_id: str, epoch: int) -> TargetPosition:
        """Take a shard: raise its epoch, and leave its watermark. Returns: where to go on. Repeatable.

        Raises: LeaseLost when a higher epoch is there; nothing is changed then.
        Guarantee: what was committed under a lower epoch is in the answer, and nothing will be any more.
        """

    async def commit(self, batch: RecordBatch, position: TargetPosition) -> Outcome:
        """Write a batch, and that the target has the shard through `position.watermark`: both or, unless it
        is Written, neither. A batch without records moves the position alone.

        Raises: LeaseLost when the epoch there is not the position's. Repeatable: a watermark that is not
                above the one there was written before, so nothing is, and it is Written.
        """

    async def put_position(self, mapping_id: str, position: TargetPosition) -> None:
        """Let the target have the shard through that watermark, also a lower one; rows stay as they are.
        Repeatable. Raises: as `commit`.
        """


# ---- the engine's store ------------------------------------------------------------------------------------


class Row(msgspec.Struct, frozen=True, gc=False):
    """One row: a table's number, order-preserving key bytes, and bytes (None deletes it)."""

    table: int
    key: bytes
    value: bytes | None


class Trim(Struct, frozen=True):
    """Remove the rows of a shard up to and including this sequence number."""

    shard: int
    through: int


class Commit(Struct):
    """One transaction: rows in order, records, trims. `sync` asks for a full sync whatever the setting."""

    rows: list[Row] = field(default_factory=list)
    log: list[LogRow] = field(default_factory=list)
    trims: list[Trim] = field(default_factory=list)
    sync: bool = False


class Store(Protocol):
    """Rows and logs, with one writer. Synchronous. Raises: StoreError."""

    def get(self, table: int, key: bytes) -> bytes | None:
        """The value of one row."""

    def query(
        self, table: int, first: bytes, last: bytes | None, limit: int, *, reverse: bool = False
    ) -> list[tuple[bytes, bytes]]:
        """At most `limit` rows with first <= key < last (None: to the table's end), ascending or descending.

        Guarantee: no read transaction outlives the call.
        """

    def commit(self, commit: Commit) -> None:
        """All of it or nothing. Raises: StoreError (for a record that is there already, too); nothing was
        written then.
        """

    def read_log(self, shard: int, after: int, limit: int, *, reverse: bool = False) -> list[LogRow]:
        """At most `limit` records of a shard with sequence > after, ascending; reversed those with sequence <
        after, descending.
        """

    def close(self) -> None:
        """Give everything back. Repeatable."""


# ---- state: leases, checkpoints, marks, dead letters, ledger -----------------------------------------------


class ItemWrite(Struct, frozen=True):
    """A write to a user's table beside the state: one action of TransactWriteItems, in AWS's own shape.

    Shape:   `ancestry` the handlers that it descends from; all writes of one transaction have the same. An
             adapter to another engine may forget it.
    """

    action: Literal["Put", "Update", "Delete", "ConditionCheck"]
    parameters: Mapping[str, Any]
    ancestry: str = ""


Action: TypeAlias = Write | Check | ItemWrite
"""One part of a transaction of a state store."""


class StateStore(Protocol):
    """Small conditional rows. Raises: StoreError."""

    async def get(self, key: str) -> StateRow | None:
        """One row."""

    async def query(self, prefix: str, *, after: str = "", limit: int | None = None) -> list[StateRow]:
        """Every row whose key starts with the prefix and comes after `after`, in key order; at most `limit`
        of them.
        """

    async def count(self, prefix: str) -> int:
        """How many rows have keys that start with the prefix. Their fields are not looked at: a dead letter
        holds two images.
        """

    async def transact(self, writes: Sequence[Action]) -> None:
        """All of it, durably, or nothing; at most 100 rows, 99 if one of them has more than 300,000 bytes or
        all together 3,000,000: an adapter asks `rows.bounds.bounded` first.

        Raises: StateConflict(index) when a condition does not hold; OutcomeUnknown when the connection was
                lost meanwhile; InternalError for more rows. After any of them but OutcomeUnknown, and after
                any other StoreError, nothing was written.
        """


class ProjectionStore(Protocol):
    """The rows of one build of a projection, where users want them. Raises: StoreError, Unavailable."""

    rows_at_once: int
    """How many rows one commit may hold."""

    async def items(self, keys: Sequence[str]) -> list[AppliedItem]:
        """The rows of these items that there are, in any order."""

    async def bucket(self, number: int) -> list[AppliedItem]:
        """The rows of all items of one bucket, in any order."""

    async def groups(self, keys: Sequence[str] | None = None) -> list[GroupState]:
        """The rows of these groups that there are, or of all of them, in any order."""

    async def commit(self, changes: Sequence[RowChange]) -> None:
        """All of it, durably, or nothing. Raises: StateConflict when a row is not what it was before;
        ApiError for one that is refused.
        """

    async def serve(self) -> None:
        """From now on these rows are what readers of the place itself find under the projection's name.
        Repeatable.
        """


class Blob(Struct, frozen=True):
    """What an archive holds under a name, or a part of it.

    Shape:   `size` of the whole blob, `tag` to replace exactly this content by (None for a part): equal bytes
             may have equal tags.
    """

    data: bytes
    size: int
    tag: str | None


class ArchiveStore(Protocol):
    """Named blobs, for writers that know nothing of each other. Raises: ArchiveError; SettingsError for what
    is no name (`archives.names`).

    Guarantee: under a name there is a whole blob or none, and what a call has answered outlives a crash.
               After an error of a write it is not known whether it was done: read, and compare. A name that
               is a folder of others (`a` beside `a/b`) is never used.
    """

    async def get(self, name: str, start: int = 0, length: int | None = None) -> Blob | None:
        """A blob, or `length` bytes of it from `start`, fewer at its end; None when there is none.
        Repeatable.
        """

    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> Sequence[str]:
        """Names that start with the prefix and come after `after`, in the order of their bytes; at most
        `limit`. Repeatable.
        """

    async def put_if_absent(self, name: str, data: bytes) -> str | None:
        """Write a new blob. Returns: its tag; None when there is one, of the same bytes too: nothing was
        written then.
        """

    async def compare_and_put(self, name: str, data: bytes, tag: str) -> str | None:
        """Replace the blob that has this tag. Returns: the new one's tag; None when there is another or none:
        nothing was written then.
        """

    async def delete(self, name: str) -> None:
        """Remove a blob, if it is there. Repeatable."""
