"""A change of a stream as a journal keeps it, and which part of a journal a question is about.

Rules of this file: pure values; what a journal keeps of a change is change.py.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from tailrace.journal.core.change import JournalChange
from tailrace.manifests.core.manifest import TableFile
from tailrace.streams.record import ChangeRecord

TTL: Final = "ttl"
SCAN: Final = "scan"
"""Who made a change: time to live. What a base has was read from the table."""
PART_CHANGES: Final = "changes"
PART_BASE: Final = "base"
"""Which part of a journal a segment is of."""


def journal_change(record: ChangeRecord, shard_id: str) -> JournalChange:
    """A change of a stream as a journal keeps it."""
    return JournalChange(
        shard_id,
        record.key,
        record.version,
        record.created_us,
        record.event_name,
        record.old,
        record.new,
        origin_of(record),
        record.ancestry or None,
    )


def origin_of(record: ChangeRecord) -> str | None:
    """Who made a change, as far as its stream tells."""
    return TTL if record.by_ttl else None


def origins_of(records: Sequence[ChangeRecord]) -> list[str | None]:
    """The same of many."""
    return [TTL if record.by_ttl else None for record in records]


class Selection(Struct, frozen=True):
    """Which changes are asked for. Shape: None is everything; keys and times from (inclusive) and until
    (exclusive); the rows of the base unless `with_base` is False. Units: microseconds since the epoch.
    """

    key: bytes | None = None
    since_us: int | None = None
    until_us: int | None = None
    shard: str | None = None
    with_base: bool = True
    first: bytes | None = None
    end: bytes | None = None

    def takes(self, change: JournalChange) -> bool:
        """Whether a change is asked for.

        >>> from tailrace.streams.version import Version
        >>> Selection(until_us=7).takes(JournalChange("s", b"k", Version(1, 1), 7, "INSERT", None, b"{}"))
        False
        """
        return (
            (self.key is None or change.key == self.key)
            and (self.first is None or change.key >= self.first)
            and (self.end is None or change.key < self.end)
            and (self.since_us is None or change.created_us >= self.since_us)
            and (self.until_us is None or change.created_us < self.until_us)
            and (self.shard is None or change.shard == self.shard)
        )

    def may_be_in(self, file: TableFile) -> bool:
        """Whether a segment may have some of them, by what the manifest says of it."""
        if file.part == PART_BASE and not self.with_base:
            return False
        if self.key is not None:
            key = self.key.hex()
            if file.first and not file.first <= key <= file.last:
                return False
        if file.first and self.first is not None and file.last < self.first.hex():
            return False
        if file.first and self.end is not None and file.first >= self.end.hex():
            return False
        if self.since_us is not None and file.until_us < self.since_us:
            return False
        return self.until_us is None or file.from_us < self.until_us


EVERYTHING: Final = Selection()
