"""Where a mapping begins in a shard: its checkpoint, the keys that are parked, the keys with dead letters.

Rules of this file: pure; what is read here is read under the lease. Called by runtime/worker.py. Source: architecture §5.1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tailrace.deadletters.head import head_prefix, read_head
from tailrace.deadletters.passed import passed_prefix, read_passed
from tailrace.errors import LeaseLost, StateConflict
from tailrace.leases.checkpoint import (
    EVERY_HASH,
    Reason,
    checkpoint_write,
    created_of,
    hashes_of,
    overlaps,
    read_checkpoint,
    suspended_of,
    window_of,
)
from tailrace.leases.lease import Lease
from tailrace.mapping.commands import Checkpoint, ParkedHead, Start
from tailrace.mapping.suspension import Suspended
from tailrace.mapping.window import WindowState
from tailrace.ports import Shard
from tailrace.rows.kinds import CHECKPOINT
from tailrace.rows.writes import StateRow
from tailrace.runtime.settle import Place
from tailrace.runtime.steps import Get, Horizon, Query, Steps, Transact


def load_start(place: Place, shard: Shard, code_version: str = "") -> Steps[Start]:
    """Everything that the machine begins with: the checkpoint, the parked keys of its hash range, the keys with dead letters.

    The lease must be held before: what its last owner parks is fenced from then on, so nothing can be missing here. A pause of another
    version of the code does not bind this one.
    Raises: StoreError.
    """
    checkpoint = yield from load_checkpoint(place, shard)
    if (yield from outdated_reason(place, code_version)) is not None:
        checkpoint = replace(checkpoint, suspended=None)
    rows: list[StateRow] = yield Query(head_prefix(place.app, place.mapping_id))
    heads = [read_head(place.app, place.mapping_id, row.fields) for row in rows]
    parked = [
        ParkedHead(head.key, head.first, head.tail, head.count)
        for head in heads
        if shard.may_have(head.partition)
    ]
    watched: list[StateRow] = yield Query(passed_prefix(place.app, place.mapping_id))
    return Start(
        checkpoint,
        tuple(parked),
        tuple((bytes.fromhex(row.fields["key"]), read_passed(row.fields)) for row in watched),
    )


def attach(place: Place, shard: Shard, lease: Lease, since_ms: int) -> Steps[None]:
    """Write down where a mapping begins that never was here, so that what is trimmed from now on is a gap and no silence.

    Units:   since_ms since the epoch: what is older was gone.
    Raises:  LeaseLost, StoreError, SourceError.
    """
    if (yield Get(place.checkpoint_key)) is not None:
        return
    checkpoint = yield from load_checkpoint(place, shard)
    if checkpoint.watermark == 0:
        gone: int = yield Horizon(shard)
        watermark = max(shard.first - 1, gone)
        checkpoint = Checkpoint(watermark, created_ms=max(shard.created_ms, since_ms))
    row = checkpoint_write(
        place.checkpoint_key, lease.epoch, checkpoint.watermark, (), finished=False, hashes=place.hashes,
        created_ms=checkpoint.created_ms,
    )  # fmt: skip
    try:
        yield Transact((lease.fence, row))
    except StateConflict as error:
        raise LeaseLost(f"another worker has taken {lease.key}") from error


def outdated_reason(place: Place, code_version: str) -> Steps[Reason | None]:
    """Why another version of the mapping's code has paused by itself in this shard; None: none has. Raises: StoreError."""
    row: StateRow | None = yield Get(place.checkpoint_key)
    reason = None if row is None else suspended_of(row.fields)
    return None if reason is None or reason[3] == code_version else reason


def load_checkpoint(place: Place, shard: Shard) -> Steps[Checkpoint]:
    """Where the mapping stands. Raises: StoreError.

    Guarantee: a mapping that is new begins with the oldest record there is; one that has followed the shard's parent insists
               on the whole shard, and one that has followed an older ancestor insists on everything after it, so that what was
               trimmed meanwhile is a gap and no silence.
    """
    row: StateRow | None = yield Get(place.checkpoint_key)
    if row is not None:
        return Checkpoint(
            *read_checkpoint(row.fields), _window(row.fields), created_of(row.fields), _suspended(row.fields)
        )
    whole = Checkpoint(shard.first - 1, created_ms=shard.created_ms)
    if (yield from _has_followed(place, shard.parents)):
        return whole
    reached = yield from _reached_before(place, shard)
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


def _has_followed(place: Place, parents: Sequence[str]) -> Steps[bool]:
    """Whether a mapping has read everything of what a shard continues: a parent that vanished before it was finished has lost something too."""
    for parent in parents:
        row: StateRow | None = yield Get(replace(place, shard_id=parent).checkpoint_key)
        if row is None or not read_checkpoint(row.fields)[2]:
            return False
    return bool(parents)


def _reached_before(place: Place, shard: Shard) -> Steps[Checkpoint | None]:
    """How far the mapping has come in what went before the shard, also in streams that were switched off; None: nowhere."""
    rows: list[StateRow] = yield Query(CHECKPOINT.prefix(place.app, place.mapping_id))
    hashes = shard.hash_range or EVERY_HASH
    marks = [
        Checkpoint(read_checkpoint(row.fields)[0], created_ms=created_of(row.fields))
        for row in rows
        if overlaps(hashes_of(row.fields), hashes)
    ]
    before = [mark for mark in marks if mark.watermark < shard.first]
    return max(before, key=lambda mark: mark.watermark, default=None)
