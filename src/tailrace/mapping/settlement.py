"""The ledger of settlement: what came to which end since the last checkpoint, and what the next one must save.

Rules of this file: a record counts as settled only together with its checkpoint; what a failed checkpoint carried is
carried again by the next one. Read = handled + filtered + discarded once everything is settled. Called by shard.py and
by the two flows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tailrace.mapping.commands import Checkpoint, GivenUp, SaveCheckpoint, Settled, SettledAs
from tailrace.mapping.watermark import Watermark
from tailrace.streams.record import ChangeRecord


@dataclass(slots=True)
class _Saving:
    """What an outstanding SaveCheckpoint carries."""

    checkpoint: Checkpoint
    reports: list[tuple[int, int, Settled]]
    given_up: list[GivenUp]
    unsaved: int


class Settlement:
    """Watermark, totals, and what is not saved yet.

    Shape:   `totals` counts records by outcome since the start of this machine; `unsaved` counts those that no durable
             checkpoint covers.
    """

    __slots__ = ("_given_up", "_reports", "_saved", "_saving", "totals", "unsaved", "watermark")

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.watermark = Watermark(checkpoint)
        self.totals: dict[SettledAs, int] = {"handled": 0, "filtered": 0, "discarded": 0, "trimmed": 0}
        self.unsaved = 0
        self._reports: list[tuple[int, int, Settled]] = []
        self._given_up: list[GivenUp] = []
        self._saved = checkpoint
        self._saving: _Saving | None = None

    def settle(self, records: Sequence[ChangeRecord], outcome: SettledAs) -> None:
        """These records, in reading order, came to this end."""
        watermark = self.watermark
        for start, end in watermark.spans(records):
            settled = Settled(watermark.sequence(start), watermark.sequence(end - 1), end - start, outcome)
            self._report(start, end, settled)
            watermark.settle(start, end)
        watermark.advance()
        self.totals[outcome] += len(records)
        self.unsaved += len(records)

    def give_up(self, given_up: Sequence[GivenUp]) -> None:
        """These records will not be tried again; they go, whole, into the next checkpoint's transaction."""
        self._given_up.extend(given_up)
        self.settle([entry.record for entry in given_up], "discarded")

    def lost_to_trim(self, first: int, last: int) -> None:
        """Nobody can say how many records there were: the source had trimmed them before they were read."""
        place = self.watermark.end
        self._reports.append((place, place, Settled(first, last, 0, "trimmed")))

    def _report(self, start: int, end: int, settled: Settled) -> None:
        if self._reports:
            first, last, before = self._reports[-1]
            if last == start and before.outcome == settled.outcome:
                merged = Settled(before.first, settled.last, before.count + settled.count, settled.outcome)
                self._reports[-1] = (first, end, merged)
                return
        self._reports.append((start, end, settled))

    def has_news(self, *, finished: bool) -> bool:
        """Whether a checkpoint would say something that the last saved one does not."""
        return (
            bool(self._reports)
            or self.watermark.value != self._saved.watermark
            or finished != self._saved.finished
        )

    def save(self, *, finished: bool) -> SaveCheckpoint:
        """The command for everything unsaved. It is answered with saved() or not_saved()."""
        reports = self._merged(self._reports)
        given_up = sorted(self._given_up, key=lambda entry: entry.record.sequence)
        command = SaveCheckpoint(
            self.watermark.checkpoint(finished=finished),
            tuple(settled for _, _, settled in reports),
            tuple(given_up),
        )
        self._saving = _Saving(command.checkpoint, reports, given_up, self.unsaved)
        self._reports, self._given_up = [], []
        return command

    def _merged(self, reports: list[tuple[int, int, Settled]]) -> list[tuple[int, int, Settled]]:
        self._reports = []
        for start, end, settled in sorted(reports, key=lambda report: report[:2]):
            self._report(start, end, settled)
        return self._reports

    def saved(self) -> None:
        """The last command of save() is durable."""
        if self._saving is not None:
            self._saved = self._saving.checkpoint
            self.unsaved -= self._saving.unsaved
            self._saving = None

    def not_saved(self) -> None:
        """Nothing of the last command of save() is durable: the next one carries it again."""
        if self._saving is not None:
            self._reports = self._saving.reports + self._reports
            self._given_up = self._saving.given_up + self._given_up
            self._saving = None
