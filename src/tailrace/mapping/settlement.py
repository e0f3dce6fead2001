"""The ledger of settlement: what came to which end since the last checkpoint, and what the next one must
save.

Theory of operation: below the low watermark every record of the shard is settled, above it compact ranges
are. Records are counted by *ordinals*, their places in reading order, so that two settled neighbours are one
range whatever the gap between their sequence numbers; the work is done per run.
Rules of this file: a record counts as settled only together with its checkpoint; what a failed checkpoint
carried is carried again by the next one. Read = handled + filtered + parked + discarded + dropped once
everything is settled. Called by shard.py and by the flows.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final, TypeAlias, get_args

from msgspec import Struct

from tailrace.errors import InternalError
from tailrace.mapping.commands import (
    Checkpoint,
    GivenUp,
    GivenUpWindow,
    SaveCheckpoint,
    Settled,
    SettledAs,
)
from tailrace.streams.record import MILLISECOND, ChangeRecord
from tailrace.streams.version import NOTHING, Version


class Watermark:
    """What is settled of one shard.

    Shape:   `position` is the last sequence number read; `_sequences` are those read above the watermark, the
             first of them has the ordinal `_base`; `_starts`/`_ends` are the settled spans of ordinals, half
             open, disjoint and never touching; `_restored` are ranges of the checkpoint at the start, kept
             until the watermark has passed them (their records may be trimmed meanwhile and never be read
             again).
    Units:   created_ms, read_ms since the epoch: when the last record at or below the watermark, and the last
             one read, were written; 0: not known.
    """

    __slots__ = (
        "_base",
        "_created_us",
        "_ends",
        "_restored",
        "_sequences",
        "_starts",
        "created_ms",
        "position",
        "read_ms",
        "value",
    )

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.value = self.position = checkpoint.watermark
        self.created_ms = self.read_ms = checkpoint.created_ms
        self._base = 0
        self._sequences: list[int] = []
        self._created_us: list[int] = []
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._restored = list(checkpoint.ranges)

    @property
    def unsettled(self) -> int:
        """How many records were read and are not settled."""
        return len(self._sequences) - sum(self._ends) + sum(self._starts)

    @property
    def oldest_open_ms(self) -> int | None:
        """When the oldest record that is not settled was written; None: everything read is settled."""
        return self._created_us[0] // MILLISECOND if self._created_us else None

    @property
    def is_complete(self) -> bool:
        """Whether everything read is settled."""
        return not self._sequences

    @property
    def range_count(self) -> int:
        """How many ranges the next checkpoint needs."""
        return len(self._starts) + len(self._restored)

    @property
    def end(self) -> int:
        """The ordinal of the next record to be read."""
        return self._base + len(self._sequences)

    def is_compact(self, most: int) -> bool:
        """Whether reading on is allowed: few enough ranges, or nothing open that could make them fewer."""
        return not self._sequences or self.range_count <= most

    def read(self, records: Sequence[ChangeRecord], next_after: int) -> Sequence[ChangeRecord]:
        """Take note of records in reading order; returns those that are not settled yet."""
        self._sequences.extend([record.sequence for record in records])
        self._created_us.extend([record.created_us for record in records])
        if records:
            self.read_ms = records[-1].created_us // MILLISECOND
        fresh = records
        if self._restored and records and self._restored[-1][1] > self.position:
            settled, fresh = self._split_restored(records)
            for start, end in self.spans(settled):
                self.settle(start, end)
        self.position = max(self.position, next_after, records[-1].sequence if records else 0)
        self.advance()
        return fresh

    def _split_restored(
        self, records: Sequence[ChangeRecord]
    ) -> tuple[list[ChangeRecord], list[ChangeRecord]]:
        firsts = [first for first, _ in self._restored]
        settled: list[ChangeRecord] = []
        fresh: list[ChangeRecord] = []
        for record in records:
            place = bisect_right(firsts, record.sequence) - 1
            inside = place >= 0 and record.sequence <= self._restored[place][1]
            (settled if inside else fresh).append(record)
        return settled, fresh

    def spans(self, records: Sequence[ChangeRecord]) -> Iterator[tuple[int, int]]:
        """The spans of ordinals of these records, which are in reading order. One step when they are
        neighbours.
        """
        if not records:
            return
        start, last = self.ordinal(records[0].sequence), self.ordinal(records[-1].sequence)
        if last - start + 1 == len(records):
            yield start, last + 1
            return
        sequences, base = self._sequences, self._base
        end = start + 1 - base
        for record in records[1:]:
            if sequences[end] != record.sequence:
                yield start, end + base
                start = self.ordinal(record.sequence, end)
                end = start - base
            end += 1
        yield start, end + base

    def ordinal(self, sequence: int, low: int = 0) -> int:
        """The place of a record in reading order. Raises: InternalError when it is settled below the
        watermark.
        """
        index = bisect_left(self._sequences, sequence, low)
        if index == len(self._sequences) or self._sequences[index] != sequence:
            raise InternalError(f"record {sequence} is not open above the watermark {self.value}")
        return self._base + index

    def sequence(self, ordinal: int) -> int:
        """The sequence number at a place in reading order."""
        return self._sequences[ordinal - self._base]

    def settle(self, start: int, end: int) -> None:
        """Settle a span of ordinals. Raises: InternalError when a part of it was settled before."""
        starts, ends = self._starts, self._ends
        place = bisect_left(starts, start)
        if (place and ends[place - 1] > start) or (place < len(starts) and starts[place] < end):
            raise InternalError(f"records at {start} to {end} are settled twice")
        joins_left = place > 0 and ends[place - 1] == start
        joins_right = place < len(starts) and starts[place] == end
        if joins_left and joins_right:
            ends[place - 1] = ends.pop(place)
            del starts[place]
        elif joins_left:
            ends[place - 1] = end
        elif joins_right:
            starts[place] = start
        else:
            starts.insert(place, start)
            ends.insert(place, end)

    def advance(self) -> None:
        """Move the watermark over what is settled. Apart from settle(): spans() needs the ordinals below it
        until then.
        """
        if self._starts and self._starts[0] == self._base:
            end = self._ends.pop(0)
            del self._starts[0]
            self.value = self._sequences[end - 1 - self._base]
            self.created_ms = self._created_us[end - 1 - self._base] // MILLISECOND
            del self._sequences[: end - self._base]
            del self._created_us[: end - self._base]
            self._base = end
        if not self._sequences:
            self.value = max(self.value, self.position)
        while self._restored and self._restored[0][1] <= self.value:
            self._restored.pop(0)

    def checkpoint(self, *, finished: bool) -> Checkpoint:
        """Where the mapping stands now."""
        spans = zip(self._starts, self._ends, strict=True)
        ranges = [(self.sequence(start), self.sequence(end - 1)) for start, end in spans]
        if self._restored:
            ranges = _union(ranges + [(max(first, self.value + 1), last) for first, last in self._restored])
        return Checkpoint(self.value, tuple(ranges), finished, created_ms=self.created_ms)


def _union(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same numbers in ascending ranges that do not touch."""
    united: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if united and first <= united[-1][1] + 1:
            united[-1] = (united[-1][0], max(last, united[-1][1]))
        else:
            united.append((first, last))
    return united


MOST_GIVEN_UP: Final = 24
"""Of the records of one checkpoint: each may have a dead letter, a notice and a key that is watched in its
transaction, which takes a hundred rows.
"""
MOST_WINDOWS: Final = 8
"""Of the final invokes of one checkpoint: where so many wait for it, no further one begins."""
Report: TypeAlias = tuple[int, int, int, int, SettledAs]
"""A span of ordinals (half open), the first and last sequence number in it, the outcome."""


class _Saving(Struct):
    """What an outstanding SaveCheckpoint carries."""

    checkpoint: Checkpoint
    reports: list[Report]
    given_up: list[GivenUp]
    passed: dict[bytes, Version]
    windows: list[GivenUpWindow]
    unsaved: int


class Settlement:
    """Watermark, totals, and what is not saved yet.

    Shape:   `totals` counts records by outcome since the start of this machine, `taken` those that it took to
             settle, so that what is taken is in the totals or waits; `unsaved` counts those that
             no durable checkpoint covers; `open_bytes` is what the records weigh that were read and are not
             settled; `window` is the tumbling window that the settled records have led to; `suspended` is
             kept with the next checkpoint. Where it is strict, each letter and each gap is saved before
             anything behind it begins.
    """

    __slots__ = (
        "_awaiting",
        "_given_up",
        "_is_strict",
        "_lost_between",
        "_passed",
        "_reports",
        "_saved",
        "_saving",
        "_windows",
        "open_bytes",
        "suspended",
        "taken",
        "totals",
        "unsaved",
        "watched",
        "watermark",
        "window",
    )

    def __init__(
        self,
        checkpoint: Checkpoint,
        watched: Iterable[tuple[bytes, Version]] = (),
        *,
        is_strict: bool = False,
    ) -> None:
        self.watermark = Watermark(checkpoint)
        self._is_strict = is_strict
        self.totals: dict[SettledAs, int] = dict.fromkeys(get_args(SettledAs), 0)
        self.watched = dict(watched)
        """The last change handled of each key that has dead letters: it overtakes the older ones."""
        self.taken = self.unsaved = self.open_bytes = 0
        self._reports: list[Report] = []
        self._given_up: list[GivenUp] = []
        self._awaiting: deque[GivenUp] = deque()
        """Those that no checkpoint has room for yet: not settled until one has."""
        self._passed: dict[bytes, Version] = {}
        self._lost_between: dict[int, tuple[int, int]] = {}
        """When what was trimmed had been written, by its first number."""
        self._saved = checkpoint
        self._saving: _Saving | None = None
        self._windows: list[GivenUpWindow] = []
        self.window = checkpoint.window
        self.suspended = checkpoint.suspended

    def read(self, records: Sequence[ChangeRecord], next_after: int) -> Sequence[ChangeRecord]:
        """Take note of records in reading order; returns those that are not settled yet."""
        fresh = self.watermark.read(records, next_after)
        self.taken += len(fresh)
        self.open_bytes += sum([record.size_bytes for record in fresh])
        return fresh

    @property
    def unbalanced(self) -> int:
        """How many records have no end and do not wait, or have more than one: 0."""
        return abs(self.taken - sum(self.totals.values()) - self.waiting)

    @property
    def waiting(self) -> int:
        """How many records came in and did not come to an end."""
        return self.watermark.unsettled

    @property
    def is_complete(self) -> bool:
        """Whether everything that went on its way is settled."""
        return self.watermark.is_complete

    def settle(self, records: Sequence[ChangeRecord], outcome: SettledAs) -> None:
        """These records, in reading order, came to this end."""
        watermark = self.watermark
        for start, end in watermark.spans(records):
            self._report((start, end, watermark.sequence(start), watermark.sequence(end - 1), outcome))
            watermark.settle(start, end)
        watermark.advance()
        self.totals[outcome] += len(records)
        self.unsaved += len(records)
        self.open_bytes -= sum([record.size_bytes for record in records])
        if self.watched and outcome == "handled":
            self._note_passed(records)

    def _note_passed(self, records: Sequence[ChangeRecord]) -> None:
        for record in records:
            if record.key in self.watched:
                self.watched[record.key] = self._passed[record.key] = record.version

    @property
    def has_unsaved_letters(self) -> bool:
        """Whether dead letters wait for the next checkpoint."""
        waiting = self._given_up or self._awaiting
        return bool(waiting) or (self._saving is not None and bool(self._saving.given_up))

    @property
    def is_behind(self) -> bool:
        """Whether the next checkpoint has no room for what else is given up, or what is strict waits for it:
        nothing is to begin until it is saved.
        """
        if self._is_strict and self._lost_between:
            return True
        windows = len(self._windows) + (0 if self._saving is None else len(self._saving.windows))
        return bool(self._awaiting) or self._room <= 0 or windows >= MOST_WINDOWS

    @property
    def _room(self) -> int:
        """For how many more records the next checkpoint has room, also if one that is on its way fails."""
        saving = 0 if self._saving is None else len(self._saving.given_up)
        most = 1 if self._is_strict else MOST_GIVEN_UP
        return most - len(self._given_up) - saving

    def give_up(self, given_up: Sequence[GivenUp]) -> None:
        """These records will not be tried again; they go, whole, into the next checkpoint's transaction, or
        where that has no room for them into one of the following: until then they are not settled.
        """
        self._await(given_up)
        self._enter_given_up(self._room)

    def give_up_now(self, given_up: GivenUp) -> None:
        """The same of one record which settles before any that follows it. The caller begins nothing while
        this `is_behind`, so there is room.
        """
        self._await([given_up])
        self._enter_given_up(len(self._awaiting))

    def _await(self, given_up: Sequence[GivenUp]) -> None:
        self._awaiting.extend(given_up)
        for entry in given_up:
            self.watched.setdefault(entry.record.key, NOTHING)

    def _enter_given_up(self, room: int) -> None:
        """Settle as many of the records that are given up as there is room for."""
        entered = [self._awaiting.popleft() for _ in range(min(room, len(self._awaiting)))]
        entered.sort(key=lambda entry: entry.record.sequence)
        self._given_up += entered
        for entry in entered:  # the row of a key that had dead letters before may be forgotten meanwhile
            self._passed[entry.record.key] = self.watched[entry.record.key]
        if entered:
            self.settle([entry.record for entry in entered], "discarded")

    def note_redriven(self, key: bytes, version: Version) -> None:
        """This change was put back, and handled: it overtakes the older discarded ones of its key, whatever
        is on its way to be saved.
        """
        if version > self.watched.get(key, NOTHING):
            self.watched[key] = self._passed[key] = version

    def give_up_window(self, given_up: GivenUpWindow) -> None:
        """This final invoke will not be tried again; what it would have delivered goes into the next
        checkpoint's transaction.
        """
        self._windows.append(given_up)

    def lost_to_trim(self, first: int, last: int, until_ms: int) -> None:
        """How many records there were is not known: the source had trimmed them before they were read.

        Units:   until_ms since the epoch: none of them was written later. Where the wall clock was ahead when
                 the mapping began, that is all that is known.
        """
        place = self.watermark.end
        self._lost_between[first] = (min(self.watermark.read_ms, until_ms), until_ms)
        self._reports.append((place, place, first, last, "trimmed"))

    def _report(self, report: Report) -> None:
        """Note a report, as one with its neighbour when they have the same outcome."""
        if self._reports:
            before = self._reports[-1]
            if before[1] == report[0] and before[4] == report[4]:
                self._reports[-1] = (before[0], report[1], before[2], report[3], report[4])
                return
        self._reports.append(report)

    def has_news(self, *, finished: bool) -> bool:
        """Whether a checkpoint would say something that the last saved one does not."""
        return (
            bool(self._reports)
            or bool(self._passed)
            or self.watermark.value != self._saved.watermark
            or self.window != self._saved.window
            or self.suspended != self._saved.suspended
            or finished != self._saved.finished
        )

    def save(self, *, finished: bool) -> SaveCheckpoint:
        """The command for everything unsaved. It is answered with saved() or not_saved()."""
        reports = self._merged(self._reports)
        given_up = sorted(self._given_up, key=lambda entry: entry.record.sequence)
        command = SaveCheckpoint(
            replace(
                self.watermark.checkpoint(finished=finished), window=self.window, suspended=self.suspended
            ),
            tuple(self._settled(report) for report in reports),
            tuple(given_up),
            tuple(self._passed.items()),
            tuple(self._windows),
        )
        self._saving = _Saving(
            command.checkpoint, reports, given_up, self._passed, self._windows, self.unsaved
        )
        self._reports, self._given_up, self._passed, self._windows = [], [], {}, []
        return command

    def _settled(self, report: Report) -> Settled:
        start, end, first, last, outcome = report
        if outcome != "trimmed":
            return Settled(first, last, end - start, outcome)
        times = [times for number, times in self._lost_between.items() if first <= number <= last]
        return Settled(first, last, 0, outcome, min(times)[0], max(until for _, until in times))

    def _merged(self, reports: list[Report]) -> list[Report]:
        self._reports = []
        for report in sorted(reports):
            self._report(report)
        return self._reports

    def saved(self) -> None:
        """The last command of save() is durable."""
        if self._saving is not None:
            self._saved = self._saving.checkpoint
            self.unsaved -= self._saving.unsaved
            if not any(report[4] == "trimmed" for report in self._reports):
                self._lost_between.clear()
            self._saving = None
            self._enter_given_up(self._room)

    def not_saved(self) -> None:
        """Nothing of the last command of save() is durable: the next one carries it again."""
        if self._saving is not None:
            self._reports = self._saving.reports + self._reports
            self._given_up = self._saving.given_up + self._given_up
            self._passed = {**self._saving.passed, **self._passed}
            self._windows = self._saving.windows + self._windows
            self._saving = None
