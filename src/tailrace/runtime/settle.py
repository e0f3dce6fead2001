"""Saving a checkpoint: the lease's fence, the checkpoint, the ledger and the dead letters, in one transaction.

Rules of this file: all of it or nothing; a fence that does not hold means that the lease is lost, and then nothing more
is saved. Called by runtime/driver.py. Source: architecture §5.1.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from tailrace.deadletters.entry import DeadLetter, deadletter_fields, deadletter_key
from tailrace.deadletters.gap import Gap
from tailrace.deadletters.head import head_prefix, read_head
from tailrace.deadletters.lost_window import LostWindow, lost_window_key
from tailrace.deadletters.passed import passed_prefix, passed_write, read_passed
from tailrace.errors import LeaseLost, StateConflict
from tailrace.leases.checkpoint import (
    EVERY_HASH,
    Range,
    Reason,
    Window,
    checkpoint_key,
    checkpoint_write,
    created_of,
    hashes_of,
    ledger_after,
    ledger_key,
    overlaps,
    read_checkpoint,
    suspended_of,
    window_of,
)  # fmt: skip
from tailrace.leases.lease import Lease
from tailrace.mapping.commands import (
    Checkpoint,
    GivenUp,
    GivenUpWindow,
    ParkedHead,
    SaveCheckpoint,
    Start,
)  # fmt: skip
from tailrace.mapping.suspension import Suspended
from tailrace.mapping.window import WindowState
from tailrace.ports import Shard, StateStore
from tailrace.rows.kinds import CHECKPOINT
from tailrace.rows.writes import Write
from tailrace.streams.envelopes import event_id
from tailrace.telemetry import PointReached, pass_by


@dataclass(frozen=True, slots=True)
class Place:
    """Which mapping, in which shard of which stream."""

    app: str
    mapping_id: str
    table: str
    stream_label: str
    shard_id: str
    hashes: Range = EVERY_HASH
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


async def load_start(state: StateStore, place: Place, shard: Shard, code_version: str = "") -> Start:
    """Everything that the machine begins with: the checkpoint, the parked keys of its hash range, the keys with dead letters.

    The lease must be held before: what its last owner parks is fenced from then on, so nothing can be missing here. A pause of another
    version of the code does not bind this one.
    Raises: StoreError.
    """
    checkpoint = await load_checkpoint(state, place, shard)
    if await outdated_reason(state, place, code_version) is not None:
        checkpoint = replace(checkpoint, suspended=None)
    rows = await state.query(head_prefix(place.app, place.mapping_id))
    heads = [read_head(place.app, place.mapping_id, row.fields) for row in rows]
    parked = [
        ParkedHead(head.key, head.first, head.tail, head.count)
        for head in heads
        if shard.may_have(head.partition)
    ]
    watched = await state.query(passed_prefix(place.app, place.mapping_id))
    return Start(
        checkpoint,
        tuple(parked),
        tuple((bytes.fromhex(row.fields["key"]), read_passed(row.fields)) for row in watched),
    )


async def attach(
    state: StateStore,
    place: Place,
    shard: Shard,
    lease: Lease,
    horizon: Callable[[], Awaitable[int]],
    since_ms: int,
) -> None:
    """Write down where a mapping begins that never was here, so that what is trimmed from now on is a gap and no silence.

    Shape:   `horizon` tells the last record that is gone already. Units: since_ms since the epoch: what is older was gone.
    Raises:  LeaseLost, StoreError, SourceError.
    """
    if await state.get(place.checkpoint_key) is not None:
        return
    checkpoint = await load_checkpoint(state, place, shard)
    if checkpoint.watermark == 0:
        watermark = max(shard.first - 1, await horizon())
        checkpoint = Checkpoint(watermark, created_ms=max(shard.created_ms, since_ms))
    row = checkpoint_write(
        place.checkpoint_key, lease.epoch, checkpoint.watermark, (), finished=False, hashes=place.hashes,
        created_ms=checkpoint.created_ms,
    )  # fmt: skip
    try:
        await state.transact([lease.fence, row])
    except StateConflict as error:
        raise LeaseLost(f"another worker has taken {lease.key}") from error


async def outdated_reason(state: StateStore, place: Place, code_version: str) -> Reason | None:
    """Why another version of the mapping's code has paused by itself in this shard; None: none has. Raises: StoreError."""
    row = await state.get(place.checkpoint_key)
    reason = None if row is None else suspended_of(row.fields)
    return None if reason is None or reason[3] == code_version else reason


async def load_checkpoint(state: StateStore, place: Place, shard: Shard) -> Checkpoint:
    """Where the mapping stands. Raises: StoreError.

    Guarantee: a mapping that is new begins with the oldest record there is; one that has followed the shard's parent insists
               on the whole shard, and one that has followed an older ancestor insists on everything after it, so that what was
               trimmed meanwhile is a gap and no silence.
    """
    row = await state.get(place.checkpoint_key)
    if row is not None:
        return Checkpoint(
            *read_checkpoint(row.fields), _window(row.fields), created_of(row.fields), _suspended(row.fields)
        )
    whole = Checkpoint(shard.first - 1, created_ms=shard.created_ms)
    if await _has_followed(state, place, shard.parents):
        return whole
    reached = await _reached_before(state, place, shard)
    if reached is None:
        return Checkpoint()
    return reached if reached.watermark < (shard.before or 0) else whole


def _window(fields: Mapping[str, Any]) -> WindowState | None:
    found = window_of(fields)
    if found is None:
        return None
    start_ms, end_ms, state = found
    return WindowState(start_ms, end_ms, None if state is None else state.encode())


def _suspended(fields: Mapping[str, Any]) -> Suspended | None:
    found = suspended_of(fields)
    return None if found is None else Suspended(*found[:3])


async def _has_followed(state: StateStore, place: Place, parents: Sequence[str]) -> bool:
    """Whether a mapping has read everything of what a shard continues: a parent that vanished before it was finished has lost something too."""
    rows = [await state.get(replace(place, shard_id=parent).checkpoint_key) for parent in parents]
    return bool(rows) and all(row is not None and read_checkpoint(row.fields)[2] for row in rows)


async def _reached_before(state: StateStore, place: Place, shard: Shard) -> Checkpoint | None:
    """How far the mapping has come in what went before the shard, also in streams that were switched off; None: nowhere."""
    rows = await state.query(CHECKPOINT.prefix(place.app, place.mapping_id))
    hashes = shard.hash_range or EVERY_HASH
    marks = [
        Checkpoint(read_checkpoint(row.fields)[0], created_ms=created_of(row.fields))
        for row in rows
        if overlaps(hashes_of(row.fields), hashes)
    ]
    before = [mark for mark in marks if mark.watermark < shard.first]
    return max(before, key=lambda mark: mark.watermark, default=None)


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


class Settler:
    """Saves the checkpoints of one mapping in one shard, under one lease."""

    def __init__(
        self,
        state: StateStore,
        place: Place,
        lease: Lease,
        code_version: str = "",
        reached: PointReached = pass_by,
        announced: Announced | None = None,
    ) -> None:
        self._state = state
        self._place = place
        self._lease = lease
        self._announced = announced
        self._code_version = code_version
        self._reached = reached
        self._ledger: Mapping[str, Any] | None = None
        self._has_ledger = False

    async def save(self, command: SaveCheckpoint) -> None:
        """Make it durable. Raises: LeaseLost, StoreError."""
        if not self._has_ledger:
            row = await self._state.get(self._place.ledger_key)
            self._ledger, self._has_ledger = (None if row is None else row.fields), True
        settled = [(each.first, each.last, each.count, each.outcome) for each in command.settled]
        times = {str(each.first): (each.from_ms, each.until_ms) for each in command.settled if each.until_ms}
        ledger = ledger_after(self._ledger, settled, times)
        checkpoint = command.checkpoint
        saved = checkpoint_write(
            self._place.checkpoint_key, self._lease.epoch, checkpoint.watermark, checkpoint.ranges,
            finished=checkpoint.finished, hashes=self._place.hashes, window=_kept(checkpoint.window),
            created_ms=checkpoint.created_ms,
            suspended=_reason(checkpoint.suspended, self._code_version),
        )  # fmt: skip
        self._reached("checkpoint.begun")
        try:
            await self._state.transact([
                self._lease.fence,
                saved,
                Write(self._place.ledger_key, ledger),
                *self._dead_letters(command),
                *(Write(gap.key(self._place.app, self._place.mapping_id), gap.fields()) for gap in self._gaps(command)),
            ])  # fmt: skip
        except StateConflict as error:
            raise LeaseLost(f"another worker has taken {self._lease.key}") from error
        self._ledger = ledger
        self._reached("checkpoint.done")
        if self._announced is not None and (command.given_up or command.windows):
            self._announced.wake()

    def _gaps(self, command: SaveCheckpoint) -> list[Gap]:
        shard_id = self._place.shard_id
        return [
            Gap(shard_id, each.first, each.last, each.from_ms, each.until_ms)
            for each in command.settled
            if each.outcome == "trimmed"
        ]

    def _dead_letters(self, command: SaveCheckpoint) -> list[Write]:
        """The dead letters, and how far the items of these and of older ones have come since."""
        place = self._place
        letters = [letter_of(place, given_up, self._code_version) for given_up in command.given_up]
        return [
            *(
                Write(
                    deadletter_key(place.app, place.mapping_id, letter.record.sequence),
                    deadletter_fields(letter),
                )
                for letter in letters
            ),
            *(passed_write(place.app, place.mapping_id, key, last) for key, last in command.passed),
            *(lost_window_write(place, lost, self._code_version) for lost in command.windows),
            *(
                []
                if self._announced is None
                else self._announced.rows(place, command.given_up, command.windows)
            ),
        ]


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
