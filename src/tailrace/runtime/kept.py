"""What was saved from the trim of one mapping in one shard, as it is read: the beginning of the shard.

Rules of this file: pure; it reads what evacuation.py has copied. Called by delivering.py, for every read that the stream can no longer answer.
Source: growth §2.10.
"""

from collections.abc import Sequence
from dataclasses import replace

from tailrace.deadletters.evacuated import Evacuation, Lost, read_evacuated
from tailrace.rows.writes import StateRow
from tailrace.runtime.steps import Query, Steps
from tailrace.streams.record import ChangeRecord, ReadDone


class Kept:
    """What is saved of one mapping in one shard. Shape: `evacuation` is None while nothing is."""

    def __init__(self, evacuation: Evacuation | None = None) -> None:
        self.evacuation = evacuation

    def hold(self, evacuation: Evacuation | None) -> None:
        """This is what is saved now."""
        self.evacuation = evacuation

    def has_after(self, position: int) -> bool:
        """Whether what comes after this position is read here, and not from the stream."""
        saved = self.evacuation
        return saved is not None and (position < saved.through or saved.closed)

    def horizon(self, gone: int) -> int:
        """The last record that nobody can read any more, where the stream has forgotten those up to `gone`: what was saved of them can be."""
        return gone if self.evacuation is None else min(gone, self.evacuation.begin)

    def read(self, after: int, limit: int) -> Steps[ReadDone]:
        """Changes after a position, in order; what was lost before it could be saved is told as trimmed. Raises: StoreError."""
        saved = self.evacuation
        assert saved is not None
        if (
            after < saved.begin
        ):  # what there was is gone with the shards before this one, or there was nothing
            gone = saved.shard.before or 0
            is_lost = after < gone
            return ReadDone([], min(saved.begin, gone) if is_lost else saved.begin, trimmed=is_lost)
        if after >= saved.through:
            return ReadDone([], after, closed=saved.closed)
        lost = next((each for each in saved.lost if each.last > after), None)
        rows: list[StateRow] = yield Query(saved.prefix, saved.key_after(after), limit)
        records = [read_evacuated(row.fields) for row in rows]
        if lost is None:
            return _page(saved, records, limit)
        before = [record for record in records if record.sequence < lost.first]
        if before:
            return ReadDone(before, before[-1].sequence)
        rows = yield Query(saved.prefix, saved.key_after(lost.last), limit)
        return _behind(saved, lost, [read_evacuated(row.fields) for row in rows], limit)


def _page(saved: Evacuation, records: Sequence[ChangeRecord], limit: int) -> ReadDone:
    is_all = len(records) < limit
    return ReadDone(
        records, saved.through if is_all else records[-1].sequence, closed=is_all and saved.closed
    )


def _behind(saved: Evacuation, lost: Lost, records: Sequence[ChangeRecord], limit: int) -> ReadDone:
    """What comes after a gap, up to the next one: a read tells one gap, before its first record."""
    following = next((each for each in saved.lost if each.first > lost.last), None)
    if following is not None:
        records = [record for record in records if record.sequence < following.first]
        return ReadDone(records, records[-1].sequence if records else lost.last, trimmed=True)
    if not records:
        return ReadDone([], lost.last, trimmed=True)
    return replace(_page(saved, records, limit), trimmed=True)
