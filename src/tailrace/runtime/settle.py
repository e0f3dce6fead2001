"""Saving a checkpoint: the lease's fence, the checkpoint, the ledger and the dead letters, in one transaction.

Rules of this file: all of it or nothing; a fence that does not hold means that the lease is lost, and then nothing more
is saved. Called by runtime/driver.py. Source: architecture §5.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from tailrace.deadletters.entry import DeadLetter, deadletter_fields, deadletter_key
from tailrace.errors import LeaseLost, StateConflict
from tailrace.leases.checkpoint import (
    checkpoint_key,
    checkpoint_write,
    ledger_after,
    ledger_key,
    read_checkpoint,
)  # fmt: skip
from tailrace.leases.lease import Lease
from tailrace.mapping.commands import Checkpoint, GivenUp, SaveCheckpoint
from tailrace.ports import Shard, StateStore, StateWrite
from tailrace.runtime.rows import state_check, state_write
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

    @property
    def checkpoint_key(self) -> str:
        """The row of its checkpoint."""
        return checkpoint_key(self.app, self.mapping_id, self.stream_label, self.shard_id)

    @property
    def ledger_key(self) -> str:
        """The row of its ledger."""
        return ledger_key(self.app, self.mapping_id, self.stream_label, self.shard_id)


async def load_checkpoint(state: StateStore, place: Place, shard: Shard) -> Checkpoint:
    """Where the mapping stands. Raises: StoreError.

    Guarantee: a mapping that is new begins with the oldest record there is; one that has followed the shard's parent insists
               on the whole shard, so that what was trimmed of it meanwhile is a gap and no silence.
    """
    row = await state.get(place.checkpoint_key)
    if row is None and await _has_followed(state, place, shard.parent_id):
        return Checkpoint(shard.starting - 1)
    watermark, ranges, finished = read_checkpoint(None if row is None else row.fields)
    return Checkpoint(watermark, ranges, finished)


async def _has_followed(state: StateStore, place: Place, parent_id: str | None) -> bool:
    return (
        parent_id is not None
        and await state.get(replace(place, shard_id=parent_id).checkpoint_key) is not None
    )


class Settler:
    """Saves the checkpoints of one mapping in one shard, under one lease."""

    def __init__(
        self,
        state: StateStore,
        place: Place,
        lease: Lease,
        code_version: str = "",
        reached: PointReached = pass_by,
    ) -> None:
        self._state = state
        self._place = place
        self._lease = lease
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
        ledger = ledger_after(self._ledger, settled)
        checkpoint = command.checkpoint
        saved = checkpoint_write(
            self._place.checkpoint_key, self._lease.epoch, checkpoint.watermark, checkpoint.ranges,
            finished=checkpoint.finished,
        )  # fmt: skip
        self._reached("checkpoint.begun")
        try:
            await self._state.transact([
                state_check(self._lease.fence),
                state_write(saved),
                StateWrite(self._place.ledger_key, ledger),
                *(self._dead_letter(each) for each in command.given_up),
            ])  # fmt: skip
        except StateConflict as error:
            raise LeaseLost(f"another worker has taken {self._lease.key}") from error
        self._ledger = ledger
        self._reached("checkpoint.done")

    def _dead_letter(self, given_up: GivenUp) -> StateWrite:
        place, record, failure = self._place, given_up.record, given_up.failure
        letter = DeadLetter(
            record=record, event_id=event_id(record), shard_id=place.shard_id, handler=place.mapping_id,
            condition=given_up.condition, attempts=given_up.attempts, error=failure.error if failure else "",
            traceback=failure.traceback if failure else "", first_failure_ms=given_up.first_failure_ms,
            last_failure_ms=given_up.last_failure_ms, code_version=self._code_version,
        )  # fmt: skip
        return StateWrite(
            deadletter_key(place.app, place.mapping_id, record.sequence), deadletter_fields(letter)
        )
