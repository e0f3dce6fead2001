"""What a process knows of the streams that it reads, without asking anything: how far behind its readers are,
and since when a table's stream was not listed.

Theory of operation: lag is the age of the oldest change that is known and not settled; where none is known it
is as old as the last read that saw nothing, so that a stream which cannot be read is late, too. A reader that
has just read a page knows of nothing behind it: until the next read it counts as being where that page ended.
Rules of this file: it asks no port, and decides nothing. Filled by runtime/outages.py and the pacer, read by
server/readers.py; made by compose_fleet.py. Source: growth §3.1.
"""

from collections import Counter

from tailrace.ports import Clock, Now
from tailrace.runtime.driver import Status
from tailrace.runtime.pacing import Pacer


class Sight:
    """The tables of one process. Shape: `pacer` is that of all its reads."""

    def __init__(self, clock: Clock, pacer: Pacer) -> None:
        self._clock = clock
        self._pacer = pacer
        self._begun_ms = clock.now().monotonic_ms
        self.calls: Counter[tuple[str, str]] = Counter()
        """Of DynamoDB Streams, by operation and result."""
        self._listed_ms: dict[str, dict[str, int]] = {}
        """When each stream of a table was listed last, by label."""

    def called(self, operation: str, result: str) -> None:
        """A call has ended."""
        self.calls[operation, result] += 1

    def listed(self, table: str, label: str) -> None:
        """The shards of a stream were listed; "" where it is the present one, whatever its name."""
        self._listed_ms.setdefault(table, {})[label] = self._clock.now().monotonic_ms

    def present(self, table: str, labels: set[str]) -> None:
        """These are all streams of a table that can be read; one that is new is to be listed from now on."""
        now_ms, known = self._clock.now().monotonic_ms, self._listed_ms.get(table, {})
        self._listed_ms[table] = {label: known.get(label, now_ms) for label in labels}

    def unlisted_ms(self, table: str) -> int:
        """How long ago a table's streams were known, all of them; since the start where they never were.

        Units:   milliseconds.
        """
        now_ms = self._clock.now().monotonic_ms
        return now_ms - min(self._listed_ms.get(table, {}).values(), default=self._begun_ms)

    def lag_ms(self, status: Status) -> int:
        """How far a reader is behind, and never None. Units: milliseconds."""
        now = self._clock.now()
        empty_ms = self._pacer.empty_ms((status.label, status.shard_id), status.position, now.monotonic_ms)
        return lag_ms(status, empty_ms, now)

    def unread_ms(self, status: Status) -> int:
        """How long ago a read of a reader's shard last succeeded; since it began where none has. Units:
        milliseconds.
        """
        now_ms = self._clock.now().monotonic_ms
        unread_ms = self._pacer.unread_ms((status.label, status.shard_id), now_ms)
        return max(0, now_ms - status.read.answered_ms) if unread_ms is None else unread_ms


def lag_ms(status: Status, empty_ms: int | None, now: Now) -> int:
    """The age of the oldest change that a reader knows and has not settled, else of its last look.

    Shape:   `empty_ms` is how long ago a read saw nothing behind the reader; None: no read did.
    Units:   milliseconds.
    """
    read = status.read
    if read.oldest_ms is not None:
        return max(0, now.wall_ms - read.oldest_ms)
    if empty_ms is not None:
        return empty_ms
    if read.come_to_ms is not None:
        return max(0, now.wall_ms - read.come_to_ms)
    return max(0, now.monotonic_ms - read.answered_ms)
