"""Where a mapping begins in a shard: its checkpoint, the keys that are parked, the keys with dead letters.

Rules of this file: pure; what is read here is read under the lease. Called by runtime/worker.py. Source: architecture §5.1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from tailrace.deadletters.head import Head, head_prefix, read_head
from tailrace.deadletters.passed import passed_prefix, read_passed
from tailrace.errors import LeaseLost, StateConflict
from tailrace.leases.checkpoint import (
    EVERY_HASH,
    Reason,
    checkpoint_write,
    created_of,
    hashes_of,
    named_of,
    overlaps,
    read_checkpoint,
    suspended_of,
    window_of,
)
from tailrace.leases.lease import Lease
from tailrace.leases.lineage import Known, Line, Named, latest, line_of, named_ancestors
from tailrace.mapping.commands import Checkpoint, ParkedHead, Start
from tailrace.mapping.suspension import Suspended
from tailrace.mapping.window import WindowState
from tailrace.ports import Shard
from tailrace.rows.kinds import CHECKPOINT, RESUMED, words_of
from tailrace.rows.writes import StateRow
from tailrace.runtime.pausing import ended_suspensions
from tailrace.runtime.settle import Place
from tailrace.runtime.steps import Get, Horizon, Query, Steps, Transact

NOTHING: Final = Known()


def load_start(place: Place, shard: Shard, code_version: str = "") -> Steps[Start]:
    """Everything that the machine begins with: the checkpoint, the parked keys that may be in its shard, the keys with dead letters.

    The lease must be held before: what its last owner parks is fenced from then on, so nothing can be missing here. A pause of another
    version of the code does not bind this one, and one that somebody has ended binds nobody.
    Raises: StoreError.
    """
    checkpoint = yield from load_checkpoint(place, shard)
    is_outdated = (yield from outdated_reason(place, code_version)) is not None
    if is_outdated or (yield from _is_resumed(place, checkpoint.suspended)):
        checkpoint = replace(checkpoint, suspended=None)
    heads = yield from _heads(place)
    parked = [
        ParkedHead(head.key, head.first, head.tail, head.count)
        for head in heads
        if shard.may_have(head.partition)
        and (place.named is None or place.named.concerns(shard, head.stream, head.shard_id))
    ]
    watched: list[StateRow] = yield Query(passed_prefix(place.app, place.mapping_id))
    return Start(
        checkpoint,
        tuple(parked),
        tuple((bytes.fromhex(row.fields["key"]), read_passed(row.fields)) for row in watched),
    )


def _is_resumed(place: Place, suspended: Suspended | None) -> Steps[bool]:
    """Whether somebody has let the mapping go on that had paused by itself."""
    if suspended is None:
        return False
    row: StateRow | None = yield Get(RESUMED.key(place.app, place.mapping_id))
    ended = ended_suspensions(None if row is None else row.fields)
    return (place.stream_label, place.shard_id, suspended.since_ms) in ended


def _heads(place: Place) -> Steps[list[Head]]:
    rows: list[StateRow] = yield Query(head_prefix(place.app, place.mapping_id))
    return [read_head(place.app, place.mapping_id, row.fields) for row in rows]


def line_before(place: Place, shard: Shard, known: Known) -> Steps[Line]:
    """What came before a shard, from what is listed and saved and, where that ends, from the mapping's rows. Raises: StoreError."""
    rows: dict[str, Named | None] = {}
    waiting = list(shard.parents)
    while waiting:
        parent = waiting.pop()
        row: StateRow | None = yield Get(replace(place, shard_id=parent).checkpoint_key)
        if row is not None and (named := named_of(row.fields)) is not None:
            rows[parent] = named
        elif (there := known.get(parent)) is not None:
            waiting.extend(each for each in there.parents if each not in rows)
    return line_of(shard, known, rows)


def attach(place: Place, shard: Shard, known: Known, lease: Lease, since_ms: int) -> Steps[Place]:
    """Write down where a mapping begins that never was here, so that what is trimmed from now on is a gap and no silence.

    Returns: the place with the shards that it continues.
    Units:   since_ms since the epoch: what is older was gone.
    Raises:  LeaseLost, StoreError, SourceError.
    """
    present: StateRow | None = yield Get(place.checkpoint_key)
    if present is not None and (named := named_of(present.fields)) is not None:
        return replace(place, named=named)
    line = yield from line_before(place, shard, known)
    heads = yield from _heads(place)
    parked_in = [head.shard_id for head in heads if head.stream == shard.stream]
    place = replace(place, named=Named(shard.parents, named_ancestors(line, known, parked_in)))
    if present is not None:
        return place  # of a version that named none: the first checkpoint does
    checkpoint = yield from load_checkpoint(place, shard, known)
    if checkpoint.watermark == 0:
        gone: int = yield Horizon(shard)
        watermark = max(shard.first - 1, gone)
        checkpoint = Checkpoint(watermark, created_ms=max(shard.created_ms, since_ms))
    row = checkpoint_write(
        place.checkpoint_key, lease.epoch, checkpoint.watermark, (), finished=False, hashes=place.hashes,
        created_ms=checkpoint.created_ms, named=place.named,
    )  # fmt: skip
    try:
        yield Transact((lease.fence, row))
    except StateConflict as error:
        raise LeaseLost(f"another worker has taken {lease.key}") from error
    return place


def outdated_reason(place: Place, code_version: str) -> Steps[Reason | None]:
    """Why another version of the mapping's code has paused by itself in this shard; None: none has. Raises: StoreError."""
    row: StateRow | None = yield Get(place.checkpoint_key)
    reason = None if row is None else suspended_of(row.fields)
    return None if reason is None or reason[3] == code_version else reason


def load_checkpoint(place: Place, shard: Shard, known: Known = NOTHING) -> Steps[Checkpoint]:
    """Where the mapping stands. Raises: StoreError.

    Guarantee: a mapping that is new begins with the oldest record there is; one that has followed the shard's parents insists
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
    rows: list[StateRow] = yield Query(CHECKPOINT.prefix(place.app, place.mapping_id))
    if not rows:
        return Checkpoint()
    if shard.before is not None:
        reached = _reached_by_number(rows, shard)
        return Checkpoint() if reached is None else reached if reached.watermark < shard.before else whole
    line = yield from line_before(place, shard, known)
    reached = _reached_by_line(rows, shard, line, known)
    return whole if reached is None or reached.watermark >= whole.watermark else reached


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


def _reached_by_number(rows: Sequence[StateRow], shard: Shard) -> Checkpoint | None:
    """How far the mapping has come in what went before a shard whose source has one order of numbers for all of its streams; None: nowhere."""
    hashes = shard.hash_range or EVERY_HASH
    marks = [_mark(row) for row in rows if overlaps(hashes_of(row.fields), hashes)]
    before = [mark for mark in marks if mark.watermark < shard.first]
    return max(before, key=lambda mark: mark.watermark, default=None)


def _reached_by_line(rows: Sequence[StateRow], shard: Shard, line: Line, known: Known) -> Checkpoint | None:
    """How far it has come in what went before a shard in its stream, where nothing but lineage says what that is; None: nowhere.

    Guarantee: no later than where it stands in any of the last ones that it has followed.
    """
    places = {words_of(row.key)[4]: row for row in rows if words_of(row.key)[3] == shard.stream}
    before = [shard_id for shard_id in places if line.may_have(shard_id, known)]
    last = latest(before, {shard_id: named_of(row.fields) for shard_id, row in places.items()}, known)
    return min((_mark(places[shard_id]) for shard_id in last), key=lambda mark: mark.watermark, default=None)


def _mark(row: StateRow) -> Checkpoint:
    return Checkpoint(read_checkpoint(row.fields)[0], created_ms=created_of(row.fields))
