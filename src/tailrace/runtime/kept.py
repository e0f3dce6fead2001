"""What was saved from the trim of one mapping in one shard, as it is read: the beginning of the shard.

Theory of operation: whichever worker has an app may save, so what this one knows of it may be old. Old
knowledge costs a look and no change: who finds that the stream has forgotten something reads the row before
it says so, a page never goes over the end of what is known, and what was ended is behind the checkpoint.
Rules of this file: pure; it reads what evacuation.py has copied. Called by delivering.py, for every read that
the stream can no longer answer, and by starting.py. Source: growth §2.10.
"""

from collections.abc import Sequence
from typing import TypeAlias

from msgspec.structs import replace

from tailrace.deadletters.core.evacuated import Evacuation, LostChanges, read_evacuated, read_evacuation
from tailrace.rows.kinds import EVACUATION
from tailrace.rows.writes import StateRow
from tailrace.runtime.steps import Get, QueryRows, Steps
from tailrace.streams.record import ChangeRecord, ReadDone

Words: TypeAlias = tuple[str, str, str, str]
"""What names its rows: the app, the mapping, the stream's label, the shard's id."""


class SavedChanges:
    """What is saved of one mapping in one shard, as far as it is known here. Shape: `evacuation` is None
    while nothing is.
    """

    def __init__(self, evacuation: Evacuation | None = None) -> None:
        self.evacuation = evacuation

    def hold(self, evacuation: Evacuation | None) -> None:
        """This is what is saved now."""
        self.evacuation = evacuation

    def look(self, words: Words) -> Steps[None]:
        """Learn what any worker has saved since. Raises: StoreError.

        That the row is gone tells nothing here: all of it was handled, or it is on its way.
        """
        there = yield from saved_of(words)
        if there is not None and (self.evacuation is None or there.age > self.evacuation.age):
            self.hold(there)

    def has_after(self, position: int) -> bool:
        """Whether what comes after this position is read here, and not from the stream."""
        saved = self.evacuation
        return saved is not None and (position < saved.through or saved.closed)

    def read(self, after: int, limit: int) -> Steps[ReadDone]:
        """Changes after a position, in order; what was lost before it could be saved is told as trimmed.
        Raises: StoreError.
        """
        saved = self.evacuation
        assert saved is not None
        if (
            after < saved.begin
        ):  # what there was is gone with the shards before this one, or there was nothing
            gone = saved.shard.before
            if gone is None:  # the source does not know how much there was: as runtime/delivering.py says it
                gone = saved.shard.first - 1 if after else 0
            is_lost = after < gone
            return ReadDone([], min(saved.begin, gone) if is_lost else saved.begin, trimmed=is_lost)
        if after >= saved.through:
            return ReadDone([], after, closed=saved.closed)
        lost = next((gap for gap in saved.lost if gap.last > after), None)
        rows: list[StateRow] = yield QueryRows(saved.prefix, saved.key_after(after), limit)
        records = _known(saved, rows)
        if lost is None:
            return _page(saved, records, limit)
        before = [record for record in records if record.sequence < lost.first]
        if before:
            return ReadDone(before, before[-1].sequence)
        rows = yield QueryRows(saved.prefix, saved.key_after(lost.last), limit)
        return _behind(saved, lost, _known(saved, rows), limit)


def saved_of(words: Words) -> Steps[Evacuation | None]:
    """What the row says is saved of a mapping in a shard. Raises: StoreError."""
    row: StateRow | None = yield Get(EVACUATION.key(*words))
    return None if row is None else read_evacuation(words[0], words[1], row.fields)


def horizon(gone: int, saved: Evacuation | None) -> int:
    """The last record that no worker can read any more, where the stream has forgotten those up to `gone`:
    what was saved of them can be.
    """
    return gone if saved is None else min(gone, saved.begin)


def _known(saved: Evacuation, rows: Sequence[StateRow]) -> list[ChangeRecord]:
    """The changes behind rows, up to where what is known ends: of what another worker has saved behind that,
    the gaps are not known yet.
    """
    records = [read_evacuated(row.fields) for row in rows]
    return [record for record in records if record.sequence <= saved.through]


def _page(saved: Evacuation, records: Sequence[ChangeRecord], limit: int) -> ReadDone:
    is_all = len(records) < limit
    return ReadDone(
        records, saved.through if is_all else records[-1].sequence, closed=is_all and saved.closed
    )


def _behind(saved: Evacuation, lost: LostChanges, records: Sequence[ChangeRecord], limit: int) -> ReadDone:
    """What comes after a gap, up to the next one: a read tells one gap, before its first record."""
    following = next((gap for gap in saved.lost if gap.first > lost.last), None)
    if following is not None:
        records = [record for record in records if record.sequence < following.first]
        return ReadDone(records, records[-1].sequence if records else lost.last, trimmed=True)
    if not records:
        return ReadDone([], lost.last, trimmed=True)
    return replace(_page(saved, records, limit), trimmed=True)
