"""The group: what is decided and not yet durable, laid over the store, and the one commit that makes it
durable.

Rules of this file: synchronous, one owner, no asyncio. Reads see the group. `flush` is one `store.commit`; in
the setting `full` a writer thread runs `write` between `begin_flush` and `finish_flush`, while the next group
collects over the one in flight. A commit that fails drops everything that is not durable, both groups, and
has the owner reload. Called by `engine`; flushed by the owner of the turn (server, test world, worker).
"""

import logging
from bisect import bisect_left, insort
from collections.abc import Callable
from typing import Final

from tailrace.errors import DamagedData, InternalError, StoreError
from tailrace.ports import Commit, LogRow, Row, Store, Trim
from tailrace.telemetry import PointReached, pass_by

Listener = Callable[[frozenset[int]], None]
DURABLE: Final = "commit.done"
HEAVY_BYTES: Final = 2 * 1024 * 1024
"""A group with more in large items takes some ten milliseconds to write."""
LARGEST: Final = (1 << 63) - 1
"""No sequence number is above it."""
_log = logging.getLogger("tailrace.store")


class _Group:
    """Rows and records of one future commit. `ordered` holds a table's keys sorted once a range was asked
    for; `last` adds what is added last.
    """

    __slots__ = ("advanced", "last", "log", "ordered", "rows", "sync", "trims", "weight")

    def __init__(self) -> None:
        self.rows: dict[int, dict[bytes, bytes | None]] = {}
        self.ordered: dict[int, list[bytes]] = {}
        self.log: dict[int, list[LogRow]] = {}
        self.trims: list[Trim] = []
        self.last: list[Callable[[], None]] = []
        self.advanced: set[int] = set()
        self.sync = False
        self.weight = 0

    def is_empty(self) -> bool:
        return not (self.rows or self.log or self.trims)

    def put(self, table: int, key: bytes, value: bytes | None) -> None:
        rows = self.rows.get(table)
        if rows is None:
            rows = self.rows[table] = {}
        ordered = self.ordered.get(table)
        if ordered is not None and key not in rows:
            insort(ordered, key)
        rows[key] = value

    def range(self, table: int, first: bytes, last: bytes | None) -> list[tuple[bytes, bytes | None]]:
        rows = self.rows.get(table)
        if rows is None:
            return []
        ordered = self.ordered.get(table)
        if ordered is None:
            ordered = self.ordered[table] = sorted(rows)
        start = bisect_left(ordered, first)
        end = len(ordered) if last is None else bisect_left(ordered, last)
        return [(key, rows[key]) for key in ordered[start:end]]

    def commit(self) -> Commit:
        rows = [Row(table, key, value) for table, keys in self.rows.items() for key, value in keys.items()]
        log = [row for rows_of_shard in self.log.values() for row in rows_of_shard]
        return Commit(rows, log, list(self.trims), self.sync)


class Committer:
    """The overlay over the store and the door to it.

    Guarantee: after `flush` returned, everything added before it is durable (as far as the store's setting
               goes), and the listeners know which shards advanced. After it raised, nothing of it ever was.
    """

    def __init__(self, store: Store, reached: PointReached = pass_by) -> None:
        self.store = store
        self._reached = reached
        self._group = _Group()
        self._flying: _Group | None = None
        self._is_apart = False
        self._listeners: list[Listener] = []
        self.failures = 0
        """How many commits have failed: who collected answers before one did knows that they are void."""
        self.pressure_s: Callable[[], float] = _no_pressure
        """How long the owner of the turn holds the next commit back at most, 0 for not at all. Units:
        seconds.
        """
        self.read_apart: Callable[[bool], None] | None = None
        """Tells the store to read through a connection of its own, because a thread is about to write, or
        that it is over; None: it cannot.
        """
        self.describe: Callable[[DamagedData], str] = _numbers
        """What a damaged row or record is, in the names that people know; the owner of the catalog says so.
        """
        self.after_failure: Callable[[], None] = _nothing
        """Called after everything not durable was dropped: the owner reloads what it keeps in memory."""

    # ---- reading through the group -------------------------------------------------------------------------

    def get(self, table: int, key: bytes) -> bytes | None:
        """One row as the pending writes leave it. Raises: StoreError."""
        rows = self._group.rows.get(table)
        if rows is not None and key in rows:
            return rows[key]
        if self._flying is not None:
            rows = self._flying.rows.get(table)
            if rows is not None and key in rows:
                return rows[key]
        try:
            return self.store.get(table, key)
        except DamagedData as error:
            raise self._named(error) from error

    def query(
        self, table: int, first: bytes, last: bytes | None, limit: int, *, reverse: bool = False
    ) -> list[tuple[bytes, bytes]]:
        """At most `limit` rows with first <= key < last, as the pending writes leave them. Raises:
        StoreError.
        """
        try:
            if self._flying is None and table not in self._group.rows:  # as nearly always
                return self.store.query(table, first, last, limit, reverse=reverse)
            return self._query(table, first, last, limit, reverse=reverse)
        except DamagedData as error:
            raise self._named(error) from error

    def _query(
        self, table: int, first: bytes, last: bytes | None, limit: int, *, reverse: bool
    ) -> list[tuple[bytes, bytes]]:
        pending: dict[bytes, bytes | None] = {}
        if self._flying is not None:
            pending.update(self._flying.range(table, first, last))
        pending.update(self._group.range(table, first, last))
        if not pending:
            return self.store.query(table, first, last, limit, reverse=reverse)
        removed = sum(value is None for value in pending.values())
        merged: dict[bytes, bytes | None] = dict(
            self.store.query(table, first, last, limit + removed, reverse=reverse)
        )
        merged.update(pending)
        live = [(key, value) for key, value in merged.items() if value is not None]
        live.sort(reverse=reverse)
        return live[:limit]

    def pending(self, table: int) -> dict[bytes, bytes | None]:
        """The rows of a table that are written and not known to be durable; None for those that are gone."""
        groups = (self._flying, self._group)
        rows: dict[bytes, bytes | None] = {}
        for group in groups:
            if group is not None:
                rows |= group.rows.get(table, {})
        return rows

    def read_durable_log(self, shard: int, after: int, limit: int) -> list[LogRow]:
        """Records that no failure can take back. Raises: StoreError; DamagedData with those before the
        damaged one.
        """
        try:
            return self.store.read_log(shard, after, limit)
        except DamagedData as error:
            raise self._named(error) from error

    def read_readable_log(self, shard: int, after: int, limit: int) -> list[LogRow]:
        """The same without damaged records, to see how old records are and to show none.

        Raises:  StoreError.
        """
        rows: list[LogRow] = []
        while True:
            try:
                return [*rows, *self.store.read_log(shard, after, limit - len(rows))]
            except DamagedData as error:
                rows += error.readable
                after = error.sequence
                if len(rows) >= limit or not after:
                    return rows

    def last_readable(self, shard: int) -> LogRow | None:
        """The last record of a shard's log that is not damaged. Raises: StoreError."""
        before = LARGEST
        while True:
            try:
                rows = self.store.read_log(shard, before, 1, reverse=True)
                return rows[0] if rows else None
            except DamagedData as error:
                before = error.sequence

    def _named(self, error: DamagedData) -> DamagedData:
        """The same error with the names that people know."""
        return DamagedData(
            f"{self.describe(error)} is damaged: its checksum does not match, so nothing of it is answered",
            table=error.table,
            key=error.key,
            shard=error.shard,
            sequence=error.sequence,
            readable=error.readable,
            hint=error.hint,
        )

    def is_pending(self, shard: int) -> bool:
        """Whether the shard has advanced, or was closed, by something that is not durable yet."""
        return shard in self._group.advanced or (self._flying is not None and shard in self._flying.advanced)

    def first_pending(self, shard: int) -> LogRow | None:
        """The oldest record of a shard that is not durable yet."""
        for group in (self._flying, self._group):
            if group is not None and (rows := group.log.get(shard)):
                return rows[0]
        return None

    # ---- adding to the group -------------------------------------------------------------------------------

    @property
    def is_heavy(self) -> bool:
        """Whether writing the group takes so long that it is to be done beside readers, and the store can."""
        return self._group.weight >= HEAVY_BYTES and self.read_apart is not None

    @property
    def is_dirty(self) -> bool:
        """Whether a flush has something to do."""
        return not self._group.is_empty()

    def put_row(self, table: int, key: bytes, value: bytes | None) -> None:
        """Write a row with the group; None deletes it."""
        self._group.put(table, key, value)

    def add_change(self, table: int, key: bytes, value: bytes | None, record: LogRow | None) -> None:
        """One change: the item and its record, never one without the other (a table without a stream has
        none).
        """
        self._group.put(table, key, value)
        if record is not None:
            self.add_record(record)

    def add_record(self, record: LogRow) -> None:
        """A record that belongs to no row."""
        group, shard = self._group, record.shard
        rows = group.log.get(shard)
        if rows is None:
            group.log[shard] = [record]
            group.advanced.add(shard)
        else:
            rows.append(record)

    def note_weight(self, size: int) -> None:
        """So many bytes of what was added are of large items; small ones need not be told of."""
        self._group.weight += size

    def add_trim(self, trim: Trim) -> None:
        """Remove a shard's rows through a sequence number with the group."""
        self._group.trims.append(trim)

    def note_closed(self, shard: int) -> None:
        """Tell the listeners of this shard too when the group is durable."""
        self._group.advanced.add(shard)

    def add_last(self, add: Callable[[], None]) -> None:
        """Have this called when the group is about to be written, to add what is written once a group however
        often it changed.
        """
        self._group.last.append(add)

    def need_sync(self) -> None:
        """Ask for a full sync of the group, whatever the setting."""
        self._group.sync = True

    # ---- making it durable ---------------------------------------------------------------------------------

    def flush(self) -> None:
        """One commit for everything pending, then the listeners. Nothing to do is allowed. Raises:
        StoreError.
        """
        commit = self.begin_flush()
        if commit is None:
            return
        try:
            self.write(commit)
        except Exception as error:  # whatever stopped the commit, nothing of the group may stay
            self.finish_flush(error)
        else:
            self.finish_flush()

    def begin_flush(self, *, is_apart: bool = False) -> Commit | None:
        """Take the group out for writing, `is_apart` in another thread; it stays readable while the next one
        collects. None: nothing to do.

        Raises:  InternalError while another group is in flight.
        """
        if self._flying is not None:
            raise InternalError("a commit is already in flight")
        if self._group.is_empty():
            return None
        for add in self._group.last:
            add()
        if is_apart and self.read_apart is not None:
            self._is_apart = True
            self.read_apart(True)
        self._flying, self._group = self._group, _Group()
        return self._flying.commit()

    def write(self, commit: Commit) -> None:
        """Write what `begin_flush` handed out; may run in the writer thread. Raises: StoreError."""
        self.store.commit(commit)
        self._reached(DURABLE)

    def finish_flush(self, error: BaseException | None = None) -> None:
        """Tell how `write` ended. Raises: StoreError when it failed, and drops all that is not durable."""
        flying = self._flying
        if flying is None:
            raise InternalError("no commit is in flight")
        self._flying = None
        if self._is_apart and self.read_apart is not None:
            self._is_apart = False
            self.read_apart(False)
        if error is not None:
            self._group = _Group()
            self.failures += 1
            self.after_failure()
            if isinstance(error, StoreError):
                raise error
            raise StoreError(f"the commit failed: {error}") from error
        if flying.advanced:
            advanced = frozenset(flying.advanced)
            for listener in tuple(self._listeners):
                try:
                    listener(advanced)
                except Exception:  # a commit stands, also when a listener fails
                    _log.exception("a listener for new changes failed to hear of them")

    def on_commit(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with the shards that advanced or closed after each commit. Returns: the
        unsubscribe.
        """
        self._listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe


def _nothing() -> None:
    """Until the owner says what to do."""


def _numbers(error: DamagedData) -> str:
    """Until the owner of the catalog says more."""
    return str(error.args[0])


def _no_pressure() -> float:
    """A store that asks for nothing."""
    return 0.0
