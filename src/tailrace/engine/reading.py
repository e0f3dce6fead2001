"""The log of a shard, as the 24-hour horizon leaves it: pages of durable records, and what has passed the
horizon.

Rules of this file: only durable records are handed out, so no handler sees a change that a failed commit
takes back; the horizon is enforced at every read, whether or not rows are already removed. Creation times
never go back inside a shard, so the horizon is found by bisection, and only when a reader meets a record that
is too old; what was found is remembered. Rows are removed by housekeeping, later. A read enters no other
module of the engine but the committer. Called by `engine.engine`, `engine.streams`, `engine.lineage` and
`engine.expiry`. Source: semantics §1.7.
"""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Final

from msgspec.structs import replace

from tailrace.engine.catalog import Catalog
from tailrace.engine.committer import LARGEST, Committer
from tailrace.engine.holding import Holds
from tailrace.engine.horizon import Horizon
from tailrace.engine.settings import EngineSettings
from tailrace.errors import DamagedData
from tailrace.ports import Clock, LogRow, ReadDone
from tailrace.streams.readers import ShardReaders
from tailrace.streams.record import CREATED_AT, MILLISECOND, ChangeRecord, read_log_rows
from tailrace.streams.shards import HashedShard, Shard

READ_BYTES: Final = 8 * 1024 * 1024
"""Most that one read of a shard holds in memory, about."""
FIRST_ROWS: Final = 100


class ShardReader:
    """The log of every shard, and of each the last sequence number that is gone."""

    def __init__(
        self,
        committer: Committer,
        catalog: Catalog,
        clock: Clock,
        settings: EngineSettings,
        horizon: Horizon,
    ) -> None:
        self._committer = committer
        self._catalog = catalog
        self._clock = clock
        self._retention_ms = settings.retention_ms
        self._horizon = horizon
        self.holds = Holds()
        self._through: dict[int, int] = {}
        self._oldest_ms: dict[int, int] = {}
        self._readers: dict[int, ShardReaders] = {}
        """Of shards that are read through the API."""

    def forget(self) -> None:
        """After a failed commit: what is known is found again."""
        self._through.clear()
        self._oldest_ms.clear()

    def forget_shard(self, shard: int) -> None:
        """Drop what is known of the horizon of a shard that has vanished."""
        self._through.pop(shard, None)
        self._oldest_ms.pop(shard, None)
        self._readers.pop(shard, None)

    # ---- readers -------------------------------------------------------------------------------------------

    def was_read(self, shard: HashedShard, after: int, reached: int) -> None:
        """A client has read a shard through the API, from a position to another."""
        readers = self._readers.setdefault(shard.number, ShardReaders())
        readers.read(after, reached, self._clock.now().monotonic_ms)

    def clients_of(self, shard: Shard) -> int:
        """How many clients read a shard side by side, as far as what they read tells them apart."""
        readers = self._readers.get(self.number_of(shard) or -1)
        return 0 if readers is None else readers.count(self._clock.now().monotonic_ms)

    # ---- pages ---------------------------------------------------------------------------------------------

    def _present(self, shard: Shard) -> HashedShard | None:
        """A shard that its readers know, as it is now; None: it is gone."""
        return self._catalog.places.get((shard.stream, shard.shard_id))

    def number_of(self, shard: Shard) -> int | None:
        """The number that the committer tells its listeners of a shard; None: it is gone."""
        present = self._present(shard)
        return None if present is None else present.number

    def pending_since(self, shard: Shard) -> int | None:
        """When the oldest record of a shard that is not durable yet was written. Units: ms since the epoch;
        None: all is durable.
        """
        present = self._present(shard)
        row = None if present is None else self._committer.first_pending(present.number)
        return None if row is None else created_ms(row)

    def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """Records with sequence > after, for this process's runtime.

        Guarantee: durable records only. `closed` says that nothing follows these records. `trimmed` says that
                   records after the position were lost; position 0 is "the oldest there is" and loses
                   nothing, while `shard.first - 1` insists on the whole shard.
        """
        present = self._present(shard)
        if present is None:
            # It vanished 24 hours after it was closed; its reader may not have read it to its end.
            last = self._catalog.vanished.get(shard.place, self._catalog.last_sequence)
            return ReadDone([], max(after, last), closed=True, trimmed=after < last)
        wall_ms = self._clock.now().wall_ms
        held = shard.stream if self.holds.are_any and self._is_held(shard.stream) else None
        page = self.page(present, after, limit, READ_BYTES, wall_ms, held)
        before = max(shard.before or 0, present.before)
        if 0 < after < before:
            return replace(page, trimmed=True, next_after=max(page.next_after, before))
        return page

    def page(
        self,
        shard: HashedShard,
        after: int,
        limit: int,
        most_bytes: int,
        wall_ms: int,
        held: str | None = None,
    ) -> ReadDone:
        """The same up to both limits, of the shard alone: what was lost of its ancestors is not looked at.
        Shape: `held` is the label of a stream with an archive: what has passed the horizon and waits for the
        archive is there.
        """
        # What is not durable yet may still be taken back: the shard is not at its end before that is decided.
        may_end = shard.ending is not None and not self._committer.is_pending(shard.number)
        removed = self._catalog.trimmed.get(shard.number, 0)
        start = max(after, self.known(shard.number) if held is None else removed)
        if limit == 0:
            start = max(start, self._gone(shard, wall_ms, held))
            return ReadDone([], start, trimmed=0 < after < start)
        records, is_end = self._records(shard.number, start, limit, most_bytes)
        # The horizon, with the clock's jumps, is asked only where the clock says that the first is too old.
        if records and records[0].created_us < (wall_ms - self._retention_ms) * MILLISECOND:
            gone = self._gone(shard, wall_ms, held)
            if gone > start:
                start = gone
                records, is_end = self._records(shard.number, start, limit, most_bytes)
        return ReadDone(
            records,
            records[-1].sequence if records else start,
            closed=may_end and is_end,
            trimmed=0 < after < start,
        )

    def _gone(self, shard: HashedShard, wall_ms: int, held: str | None) -> int:
        """The last record that its readers do not get any more, 0 for none."""
        gone = self.through(shard.number, wall_ms)
        return gone if held is None else min(gone, self.holds.through(held, shard))

    def _is_held(self, label: str) -> bool:
        """Whether a stream is of a table with an archive here."""
        streams = self._catalog.streams.values()
        return any(stream.document.label == label and self.holds.is_of(stream.key) for stream in streams)

    def _records(
        self, shard: int, after: int, limit: int, most_bytes: int
    ) -> tuple[list[ChangeRecord], bool]:
        rows, is_end = self.rows(shard, after, limit, most_bytes)
        return read_log_rows(rows), is_end

    def rows(self, shard: int, after: int, limit: int, most_bytes: int) -> tuple[list[LogRow], bool]:
        """Durable rows up to both limits, one at least, and whether the log ends with them. Raises:
        StoreError.
        """
        page: list[LogRow] = []
        size = 0
        asked = min(limit, FIRST_ROWS)
        while True:
            is_damaged = False
            try:
                rows = self._committer.read_durable_log(shard, after, asked)
            except DamagedData as error:
                rows, is_damaged = list(error.readable), True
                if not rows and not page:
                    raise
            sizes = [size_of(row) for row in rows]
            fitting = _fitting(sizes, most_bytes - size, at_least=0 if page else 1)
            if fitting < len(rows):
                return page + rows[:fitting], False
            page += rows
            size += sum(sizes)
            if is_damaged:  # what stands before it is shown; who goes on behind that meets it
                return page, False
            if len(rows) < asked:
                return page, True
            if len(page) >= limit:
                return page, False
            after = page[-1].sequence
            average = size // len(page) + 1
            asked = max(1, min(limit - len(page), (most_bytes - size) // average + 1))

    # ---- the horizon ---------------------------------------------------------------------------------------

    def next_due_ms(self, shard: HashedShard) -> int:
        """Before this moment no record of the shard passes the horizon. Guarantee: reads nothing."""
        return self._oldest_ms.get(shard.number, shard.created_ms) + self._retention_ms + 1

    def note_oldest(self, shard: HashedShard, row: LogRow | None, wall_ms: int) -> None:
        """The oldest record that is left; without one nothing is old before what is written from now on."""
        self._oldest_ms[shard.number] = wall_ms if row is None else created_ms(row)

    def known(self, shard: int) -> int:
        """The last record known to be gone, 0 for none; there may be more."""
        return max(self._through.get(shard, 0), self._catalog.trimmed.get(shard, 0))

    def is_gone(self, row: LogRow, wall_ms: int) -> bool:
        """Whether a record has passed the horizon."""
        return created_ms(row) < wall_ms - self._retention_ms - self._horizon.look()

    def through(self, shard: int, wall_ms: int) -> int:
        """The last record that is gone now, 0 for none. About sixty small reads, and only when there is
        something new.
        """
        return self.gone_before(shard, wall_ms - self._retention_ms - self._horizon.look())

    def gone_before(self, shard: int, moment_ms: int) -> int:
        """The last record that was written before a moment, 0 for none; from now on all before it is gone."""
        gone = self.last_before(shard, moment_ms)
        if gone > self.known(shard):
            self._through[shard] = gone
        return gone

    def last_before(self, shard: int, moment_ms: int) -> int:
        """The last record that was written before a moment; without one that is left, the last known to be
        gone.
        """
        low = self.known(shard)
        rows = self._committer.read_readable_log(shard, low, 1)
        if not rows or created_ms(rows[0]) >= moment_ms:
            return low
        low, high = rows[0].sequence, LARGEST
        while low < high:
            middle = (low + high) // 2
            rows = self._committer.read_readable_log(shard, middle, 1)
            if rows and created_ms(rows[0]) < moment_ms:
                low = rows[0].sequence
            else:
                high = middle
        return low

    # ---- the newest ----------------------------------------------------------------------------------------

    def last(self, shard: HashedShard) -> int:
        """The last record of a closed shard that is still in the store, 0 for none."""
        row = self._committer.last_readable(shard.number)
        return 0 if row is None else row.sequence

    def moment_behind(self) -> int:
        """A moment behind all that was written: what comes from now on is created at it or after it. Units:
        ms since the epoch.
        """
        past_ms = self._catalog.created_ms + 1
        return self._catalog.take_created_ms(max(past_ms, self._clock.now().wall_ms))

    def newest_created_ms(self) -> int:
        """When the newest record of any open shard was written: times do not go back over a restart."""
        shards = [shard for stream in self._catalog.streams.values() for shard in stream.open_shards]
        return self.newest_ms({shard.number: shard.created_ms for shard in shards})

    def newest_ms(self, logs: Mapping[int, int]) -> int:
        """When the newest record of some logs was written, or the newest of them was made; 0 for none.

        Shape:   by the numbers of logs, when each was made. Units: milliseconds since the epoch.
        """
        rows = (self._committer.last_readable(number) for number in logs)
        return max([*logs.values(), *(created_ms(row) for row in rows if row is not None)], default=0)


def created_ms(row: LogRow) -> int:
    """When a record was written. Units: milliseconds since the epoch."""
    return int.from_bytes(row.header[CREATED_AT])


def size_of(row: LogRow) -> int:
    """What a record weighs in the log. Units: bytes."""
    return len(row.header) + len(row.old or b"") + len(row.new or b"")


def _fitting(sizes: Sequence[int], most: int, *, at_least: int) -> int:
    """How many from the first on fit together.

    >>> _fitting([3, 3, 3], 6, at_least=1), _fitting([3, 3, 3], 5, at_least=1), _fitting([3], 2, at_least=1)
    (2, 1, 1)
    """
    if sum(sizes) <= most:  # as nearly always
        return len(sizes)
    return max(at_least, bisect_right(list(accumulate(sizes)), most))
