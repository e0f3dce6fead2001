"""What of a shard has passed the 24-hour horizon, and how much later than the clock says things grow old: a clock that jumped trims nothing by that.

Theory of operation: what the wall clock went on more than the monotonic one since the last look is a jump: the clock was set, or the machine
slept. For an hour of monotonic time whatever has become old by it is kept, so that readers that go on have a chance to read it, and a clock
that is set back meanwhile has done no harm (docs/decisions/0027).
Rules of this file: trimming, lineage and time_to_live share one horizon. Creation times never go back inside a shard, so the horizon is found by bisection, and only when a
reader meets a record that is too old; what was found is remembered. Rows are removed by housekeeping, later.
Called by `engine.streams` and `engine.expiry`.
"""

from typing import Final

from tailrace.engine.catalog import Catalog
from tailrace.engine.committer import Committer
from tailrace.engine.settings import EngineSettings
from tailrace.ports import Clock, LogRow
from tailrace.streams.envelopes import read_log_row
from tailrace.streams.shards import HashedShard

JUMP_MS: Final = 3_600_000
KEPT_MS: Final = 3_600_000


class Horizon:
    """What is left of the jumps of one clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = clock.now()
        self._lag_ms = 0
        self._until_ms = 0

    @property
    def lag_ms(self) -> int:
        """How much later things grow old now. Units: milliseconds."""
        now, last = self._clock.now(), self._last
        jump_ms = (now.wall_ms - last.wall_ms) - (now.monotonic_ms - last.monotonic_ms)
        self._last = now
        if jump_ms > JUMP_MS:
            self._lag_ms += jump_ms
            self._until_ms = now.monotonic_ms + KEPT_MS
        elif self._lag_ms:
            self._lag_ms = 0 if now.monotonic_ms >= self._until_ms else max(0, self._lag_ms + min(0, jump_ms))
        return self._lag_ms


class Trimming:
    """The trim horizon of each shard, as the last sequence number that is gone."""

    def __init__(
        self, committer: Committer, catalog: Catalog, settings: EngineSettings, horizon: Horizon
    ) -> None:
        self._committer = committer
        self._catalog = catalog
        self._retention_ms = settings.retention_ms
        self._horizon = horizon
        self._through: dict[int, int] = {}
        self._oldest_ms: dict[int, int] = {}

    def forget(self) -> None:
        """After a failed commit: what is known is found again."""
        self._through.clear()
        self._oldest_ms.clear()

    def forget_shard(self, shard: int) -> None:
        """It has vanished."""
        self._through.pop(shard, None)
        self._oldest_ms.pop(shard, None)

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
        return created_ms(row) < wall_ms - self._retention_ms - self._horizon.lag_ms

    def through(self, shard: int, wall_ms: int) -> int:
        """The last record that is gone now, 0 for none. About sixty small reads, and only when there is something new."""
        gone = self.last_before(shard, wall_ms - self._retention_ms - self._horizon.lag_ms)
        if gone > self.known(shard):
            self._through[shard] = gone
        return gone

    def last_before(self, shard: int, moment_ms: int) -> int:
        """The last record that was written before a moment; without one that is left, the last known to be gone."""
        low = self.known(shard)
        rows = self._committer.read_readable_log(shard, low, 1)
        if not rows or created_ms(rows[0]) >= moment_ms:
            return low
        low, high = rows[0].sequence, (1 << 63) - 1
        while low < high:
            middle = (low + high) // 2
            rows = self._committer.read_readable_log(shard, middle, 1)
            if rows and created_ms(rows[0]) < moment_ms:
                low = rows[0].sequence
            else:
                high = middle
        return low

    def last(self, shard: HashedShard) -> int:
        """The last record of a closed shard that is still in the store, 0 for none. About sixty small reads."""
        # The store reads upwards only: bisect for the last number that has a record after it.
        low, high, last = shard.starting - 1, shard.ending or (1 << 63) - 1, 0
        while low < high:
            middle = (low + high) // 2
            rows = self._committer.read_readable_log(shard.number, middle, 1)
            if rows:
                low = last = rows[0].sequence
            else:
                high = middle
        return last


def created_ms(row: LogRow) -> int:
    """When a record was written. Units: milliseconds since the epoch."""
    return read_log_row(row.shard, row.sequence, row.header, row.old, row.new).created_ms
