"""The ledger of settlement: what came to which end since the last checkpoint, and what the next one must save.

Rules of this file: a record counts as settled only together with its checkpoint; what a failed checkpoint carried is
carried again by the next one. Read = handled + filtered + parked + discarded + dropped once everything is settled. Called by shard.py and
by the flows.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, get_args

from tailrace.mapping.commands import (
    Checkpoint,
    GivenUp,
    GivenUpWindow,
    SaveCheckpoint,
    Settled,
    SettledAs,
)  # fmt: skip
from tailrace.mapping.watermark import Watermark
from tailrace.streams.record import ChangeRecord

Report: TypeAlias = tuple[int, int, int, int, SettledAs]
"""A span of ordinals (half open), the first and last sequence number in it, the outcome."""


@dataclass(slots=True)
class _Saving:
    """What an outstanding SaveCheckpoint carries."""

    checkpoint: Checkpoint
    reports: list[Report]
    given_up: list[GivenUp]
    passed: dict[bytes, int]
    windows: list[GivenUpWindow]
    unsaved: int


class Settlement:
    """Watermark, totals, and what is not saved yet.

    Shape:   `totals` counts records by outcome since the start of this machine; `unsaved` counts those that no durable
             checkpoint covers; `open_bytes` is what the records weigh that were read and are not settled; `window` is the tumbling
             window that the settled records have led to; `suspended` is kept with the next checkpoint.
    """

    __slots__ = (
        "_given_up", "_lost_between", "_passed", "_reports", "_saved", "_saving", "_windows", "open_bytes", "suspended", "totals",
        "unsaved", "watched", "watermark", "window",
    )  # fmt: skip

    def __init__(self, checkpoint: Checkpoint, watched: Iterable[tuple[bytes, int]] = ()) -> None:
        self.watermark = Watermark(checkpoint)
        self.totals: dict[SettledAs, int] = dict.fromkeys(get_args(SettledAs), 0)
        self.watched = dict(watched)
        """The last change handled of each key that has dead letters: it overtakes the older ones."""
        self.unsaved = self.open_bytes = 0
        self._reports: list[Report] = []
        self._given_up: list[GivenUp] = []
        self._passed: dict[bytes, int] = {}
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
        self.open_bytes += sum([record.size_bytes for record in fresh])
        return fresh

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
                self.watched[record.key] = self._passed[record.key] = record.sequence

    @property
    def has_unsaved_letters(self) -> bool:
        """Whether dead letters wait for the next checkpoint."""
        return bool(self._given_up) or (self._saving is not None and bool(self._saving.given_up))

    def give_up(self, given_up: Sequence[GivenUp]) -> None:
        """These records will not be tried again; they go, whole, into the next checkpoint's transaction."""
        self._given_up.extend(given_up)
        for entry in given_up:
            self._passed[entry.record.key] = self.watched.setdefault(entry.record.key, 0)
        self.settle([entry.record for entry in given_up], "discarded")

    def give_up_window(self, given_up: GivenUpWindow) -> None:
        """This final invoke will not be tried again; what it would have delivered goes into the next checkpoint's transaction."""
        self._windows.append(given_up)

    def lost_to_trim(self, first: int, last: int, until_ms: int) -> None:
        """Nobody can say how many records there were: the source had trimmed them before they were read.

        Units:   until_ms since the epoch: none of them was written later.
        """
        place = self.watermark.end
        self._lost_between[first] = (self.watermark.read_ms, until_ms)
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

    def not_saved(self) -> None:
        """Nothing of the last command of save() is durable: the next one carries it again."""
        if self._saving is not None:
            self._reports = self._saving.reports + self._reports
            self._given_up = self._saving.given_up + self._given_up
            self._passed = {**self._saving.passed, **self._passed}
            self._windows = self._saving.windows + self._windows
            self._saving = None
