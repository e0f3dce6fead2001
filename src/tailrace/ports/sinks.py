"""Where changes go: a sink, and what one may promise beside that.

Rules of this file: as of all ports (ports/__init__.py).
"""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Protocol, runtime_checkable

from msgspec import Struct

from tailrace.mapping.outcomes import Outcome
from tailrace.ports.clock import Clock
from tailrace.ports.streams import StreamRef
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import Version
from tailrace.streams.windows import WindowInvoke


class TargetPosition(Struct, frozen=True):
    """How far a target has a shard of the stream with this label, and under the lease with which epoch.

    Shape:   `after`, of a position that is committed: how far its worker knows that the target is; in what a
             target answers it is 0. `gaps`, of one that passes them: ranges (first, last) of which nothing
             was there any more to be read.
    """

    stream: str
    shard_id: str
    epoch: int
    watermark: int = 0
    after: int = 0
    gaps: tuple[tuple[int, int], ...] = ()


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

        Raises: LeaseLost when the epoch there is not the position's, or the watermark there is below
                `position.after`: the target was restored meanwhile, and what it lost comes first. Repeatable:
                a watermark that is not above the one there was written before, so nothing is, and it is
                Written.
        """

    async def put_position(self, mapping_id: str, position: TargetPosition) -> None:
        """Let the target have the shard through that watermark, also a lower one; rows stay as they are.
        Repeatable. Raises: LeaseLost when the epoch there is not the position's.
        """
