"""Saving a checkpoint: its row with the ledger in it, and beside it dead letters, notices and gaps, all at once or not at all.

Rules of this file: pure; what is saved is conditional on the epoch in the checkpoint's own row, which whoever takes the lease raises before reading anything
(starting.py). When it does not hold the lease is lost, and then nothing more is saved. A save that carries nothing else is one conditional put. Called by
runtime/delivering.py. Source: growth §2.4.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from tailrace.deadletters.entry import DeadLetter, deadletter_fields, deadletter_key
from tailrace.deadletters.gap import Gap
from tailrace.deadletters.lost_window import LostWindow, lost_window_key
from tailrace.deadletters.passed import passed_write
from tailrace.errors import LeaseLost, StateConflict
from tailrace.leases.checkpoint import (
    EVERY_HASH,
    CheckpointRow,
    Range,
    Reason,
    Window,
    checkpoint_key,
    ledger_key,
)
from tailrace.mapping.commands import GivenUp, GivenUpWindow, SaveCheckpoint
from tailrace.mapping.suspension import Suspended
from tailrace.mapping.window import WindowState
from tailrace.rows.writes import Check, Equals, Write
from tailrace.runtime.steps import Steps, Transact
from tailrace.streams.envelopes import event_id
from tailrace.streams.version import FIRST_GENERATION


@dataclass(frozen=True, slots=True)
class Place:
    """Which mapping, in which shard of which stream."""

    app: str
    mapping_id: str
    table: str
    stream_label: str
    shard_id: str
    hashes: Range = EVERY_HASH
    generation: int = FIRST_GENERATION
    """Of the stream."""
    run: str = ""
    """Names this run of the mapping over the shard, so that the requests of two runs have different ids."""

    @property
    def checkpoint_key(self) -> str:
        """The row of its checkpoint."""
        return checkpoint_key(self.app, self.mapping_id, self.stream_label, self.shard_id)

    @property
    def ledger_key(self) -> str:
        """The row in which older versions kept its ledger."""
        return ledger_key(self.app, self.mapping_id, self.stream_label, self.shard_id)

    def fence(self, epoch: int) -> Check:
        """What holds as long as nobody has taken the lease after this epoch."""
        return Check(self.checkpoint_key, Equals("epoch", epoch))


MOST_WORDS: Final = 500
"""How much of a failure's words a checkpoint repeats."""


class Announced(Protocol):
    """Whoever tells an on-failure destination of what was given up: runtime/courier.py."""

    def rows(
        self, place: Place, given_up: Sequence[GivenUp], windows: Sequence[GivenUpWindow] = ()
    ) -> list[Write]:
        """What is to be told, as rows of the same transaction."""

    def wake(self) -> None:
        """They are durable."""


class Settling:
    """Saves what a machine has settled of one mapping in one shard; `begun` is the row with which its lease was stamped here."""

    def __init__(
        self, place: Place, begun: CheckpointRow, code_version: str = "", announced: Announced | None = None
    ) -> None:
        self.place = place
        self.code_version = code_version
        self.fence = place.fence(begun.epoch)
        """What a checkpoint here requires, and whoever writes beside one."""
        self._saved = begun
        self._writes = begun.writes
        self._announced = announced

    def save(self, command: SaveCheckpoint) -> Steps[None]:
        """Make it durable. Raises: LeaseLost, StoreError."""
        row = self._row(command)
        saved = Write(self.fence.key, row.fields(), self.fence.condition)
        try:
            yield Transact((saved, *self._beside(command)), "checkpoint.begun", "checkpoint.done")
        except StateConflict as error:
            raise LeaseLost(f"another worker has taken {self.place.shard_id}") from error
        self._saved = row
        if self._announced is not None and (command.given_up or command.windows):
            self._announced.wake()

    def _row(self, command: SaveCheckpoint) -> CheckpointRow:
        place, checkpoint = self.place, command.checkpoint
        settled = [(run.first, run.last, run.count, run.outcome) for run in command.settled]
        times = {run.first: (run.from_ms, run.until_ms) for run in command.settled if run.until_ms}
        self._writes += 1  # also when the one before failed: it may have been durable all the same
        before = self._saved
        return CheckpointRow(
            before.epoch, self._writes, checkpoint.watermark, checkpoint.ranges, checkpoint.finished, place.hashes,
            checkpoint.created_ms, _kept(checkpoint.window), _reason(checkpoint.suspended, self.code_version),
            before.ledger.after(settled, times), before.named,
        )  # fmt: skip

    def _beside(self, command: SaveCheckpoint) -> list[Write]:
        """What goes into the transaction of the checkpoint: nearly always nothing."""
        return [*self._dead_letters(command), *_gaps(self.place, command)]

    def _dead_letters(self, command: SaveCheckpoint) -> list[Write]:
        """The dead letters, and how far the items of these and of older ones have come since."""
        place = self.place
        letters = [letter_of(place, given_up, self.code_version) for given_up in command.given_up]
        return [
            *(
                Write(
                    deadletter_key(place.app, place.mapping_id, letter.record.version),
                    deadletter_fields(letter),
                )
                for letter in letters
            ),
            *(passed_write(place.app, place.mapping_id, key, last) for key, last in command.passed),
            *(lost_window_write(place, lost, self.code_version) for lost in command.windows),
            *(
                []
                if self._announced is None
                else self._announced.rows(place, command.given_up, command.windows)
            ),
        ]


def _gaps(place: Place, command: SaveCheckpoint) -> list[Write]:
    gaps = [
        Gap(place.shard_id, each.first, each.last, each.from_ms, each.until_ms, generation=place.generation)
        for each in command.settled
        if each.outcome == "trimmed"
    ]
    return [Write(gap.key(place.app, place.mapping_id), gap.fields()) for gap in gaps]


def _reason(suspended: Suspended | None, code_version: str) -> Reason | None:
    if suspended is None:
        return None
    return suspended.fingerprint, suspended.error[:MOST_WORDS], suspended.since_ms, code_version


def _kept(window: WindowState | None) -> Window | None:
    if window is None:
        return None
    return window.start_ms, window.end_ms, None if window.state is None else window.state.decode()


def lost_window_write(place: Place, lost: GivenUpWindow, code_version: str) -> Write:
    """The row of a window whose final invoke was given up, with the state that was for it."""
    window, failure = lost.window, lost.failure
    found = LostWindow(
        shard_id=place.shard_id, handler=place.mapping_id, start_ms=window.start_ms, end_ms=window.end_ms,
        state=window.state.decode(), is_early=window.is_early, condition=lost.condition, attempts=lost.attempts,
        error=failure.error if failure else "", traceback=failure.traceback if failure else "",
        first_failure_ms=lost.first_failure_ms, last_failure_ms=lost.last_failure_ms, code_version=code_version,
    )  # fmt: skip
    return Write(lost_window_key(place.app, found), found.fields())


def letter_of(place: Place, given_up: GivenUp, code_version: str) -> DeadLetter:
    """What is kept of a record that was given up, or that waits behind one."""
    record, failure = given_up.record, given_up.failure
    identity = event_id(record)
    return DeadLetter(
        record=record, event_id=identity, shard_id=place.shard_id, handler=place.mapping_id,
        condition=given_up.condition, attempts=given_up.attempts, error=failure.error if failure else "",
        traceback=failure.traceback if failure else "", first_failure_ms=given_up.first_failure_ms,
        last_failure_ms=given_up.last_failure_ms, code_version=code_version,
        trace=f"{place.mapping_id}/{identity}", table=place.table,
    )  # fmt: skip
