"""Saving a checkpoint: the lease's fence, the checkpoint, the ledger and the dead letters, in one transaction.

Rules of this file: all of it or nothing; a fence that does not hold means that the lease is lost, and then nothing more
is saved. Pure: steps. Called by runtime/delivering.py. Source: architecture §5.1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tailrace.deadletters.entry import DeadLetter, deadletter_fields, deadletter_key
from tailrace.deadletters.gap import Gap
from tailrace.deadletters.lost_window import LostWindow, lost_window_key
from tailrace.deadletters.passed import passed_write
from tailrace.errors import LeaseLost, StateConflict
from tailrace.leases.checkpoint import (
    EVERY_HASH,
    Range,
    Reason,
    Window,
    checkpoint_key,
    checkpoint_write,
    ledger_after,
    ledger_key,
)  # fmt: skip
from tailrace.leases.lease import Lease
from tailrace.leases.lineage import Named
from tailrace.mapping.commands import GivenUp, GivenUpWindow, SaveCheckpoint
from tailrace.mapping.suspension import Suspended
from tailrace.mapping.window import WindowState
from tailrace.rows.writes import Check, StateRow, Write
from tailrace.runtime.steps import Get, Steps, Transact
from tailrace.streams.envelopes import event_id


@dataclass(frozen=True, slots=True)
class Place:
    """Which mapping, in which shard of which stream."""

    app: str
    mapping_id: str
    table: str
    stream_label: str
    shard_id: str
    hashes: Range = EVERY_HASH
    named: Named | None = None
    """The shards that it continues, once that is known."""
    run: str = ""
    """Names this run of the mapping over the shard, so that the requests of two runs have different ids."""

    @property
    def checkpoint_key(self) -> str:
        """The row of its checkpoint."""
        return checkpoint_key(self.app, self.mapping_id, self.stream_label, self.shard_id)

    @property
    def ledger_key(self) -> str:
        """The row of its ledger."""
        return ledger_key(self.app, self.mapping_id, self.stream_label, self.shard_id)


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
    """Saves what a machine has settled of one mapping in one shard, under one lease; whoever parks there shares its fence."""

    def __init__(
        self, place: Place, lease: Lease, code_version: str = "", announced: Announced | None = None
    ) -> None:
        self.place = place
        self.code_version = code_version
        self._lease = lease
        self._announced = announced
        self._ledger: Mapping[str, Any] | None = None
        self._has_ledger = False

    @property
    def fence(self) -> Check:
        """What holds as long as nobody else may save here."""
        return self._lease.fence

    def save(self, command: SaveCheckpoint) -> Steps[None]:
        """Make it durable. Raises: LeaseLost, StoreError."""
        if not self._has_ledger:
            row: StateRow | None = yield Get(self.place.ledger_key)
            self._ledger, self._has_ledger = (None if row is None else row.fields), True
        settled = [(each.first, each.last, each.count, each.outcome) for each in command.settled]
        times = {str(each.first): (each.from_ms, each.until_ms) for each in command.settled if each.until_ms}
        ledger = ledger_after(self._ledger, settled, times)
        checkpoint, place = command.checkpoint, self.place
        saved = checkpoint_write(
            place.checkpoint_key, self._lease.epoch, checkpoint.watermark, checkpoint.ranges,
            finished=checkpoint.finished, hashes=place.hashes, window=_kept(checkpoint.window),
            created_ms=checkpoint.created_ms, named=place.named,
            suspended=_reason(checkpoint.suspended, self.code_version),
        )  # fmt: skip
        beside = [*self._dead_letters(command), *_gaps(place, command)]
        try:
            yield Transact(
                (self.fence, saved, Write(place.ledger_key, ledger), *beside),
                "checkpoint.begun",
                "checkpoint.done",
            )
        except StateConflict as error:
            raise LeaseLost(f"another worker has taken {self._lease.key}") from error
        self._ledger = ledger
        if self._announced is not None and (command.given_up or command.windows):
            self._announced.wake()

    def _dead_letters(self, command: SaveCheckpoint) -> list[Write]:
        """The dead letters, and how far the items of these and of older ones have come since."""
        place = self.place
        letters = [letter_of(place, given_up, self.code_version) for given_up in command.given_up]
        return [
            *(
                Write(
                    deadletter_key(place.app, place.mapping_id, letter.record.sequence),
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
        Gap(place.shard_id, each.first, each.last, each.from_ms, each.until_ms)
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
