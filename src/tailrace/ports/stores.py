"""Where things are kept: rows and logs of the engine, state, projections, archives.

Rules of this file: as of all ports (ports/__init__.py).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import msgspec
from msgspec import Struct, field

from tailrace.projections.core.rows import AppliedItem, GroupState, RowChange
from tailrace.rows.writes import Check, StateRow, Write
from tailrace.streams.record import LogRow

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


class StandingRows(Protocol):
    """The rows of a store as they were at one moment. Synchronous; any thread may read, one at a time.

    Raises:  StoreError.
    """

    def query(self, table: int, first: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """At most `limit` rows with first <= key, ascending."""

    def close(self) -> None:
        """Give everything back. Repeatable."""


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


@runtime_checkable
class Standing(Protocol):
    """A `Store` whose rows can be read for long, while it goes on. Raises: StoreError."""

    def standing(self) -> StandingRows:
        """What has been committed, as it is now, whatever is committed later. While it is not closed, a store
        in a file keeps what is written since in its write-ahead log.
        """


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
