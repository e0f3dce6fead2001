"""How a worker comes to a shard: take the lease, stamp the checkpoints, then load.

Theory of operation. A checkpoint's row holds the epoch of the lease under which it may be written, and
everything else that is saved for a mapping in a shard is conditional on it. So the order is: (1) the row of
the lease, with a new epoch; (2) of each mapping the row of its checkpoint, put back as it was read with the
new epoch in it, under the condition that no worker has written it since and that its epoch is below this one,
until that holds: from then on the owner before can save and park nothing; (3) what was parked, and how far
items with dead letters have come. Read earlier, something that the owner before still wrote could be missing.
The machine begins with what (2) wrote. A worker that dies after some of (2) has delivered nothing: the one
that takes the lease next stamps all of them again. A mapping that comes to a lease that is held already is
stamped before its first read.

Rules of this file: pure; steps. Called by worker/leasing.py and worker/worker.py. Source: growth §2.4.
"""

import dataclasses
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec.structs import replace

from tailrace.deadletters.core.gap import Gap
from tailrace.deadletters.core.head import Head, head_prefix, read_head
from tailrace.deadletters.core.passed import passed_prefix, read_passed
from tailrace.errors import LeaseHeld, LeaseLost, StateConflict
from tailrace.leases.checkpoint import (
    EVERY_HASH,
    CheckpointRow,
    Reason,
    created_of,
    has_ledger,
    hashes_of,
    named_of,
    overlaps,
    raised,
    read_checkpoint,
)
from tailrace.leases.lease import Lease, take
from tailrace.leases.lineage import KnownShards, Line, NamedAncestors, latest, line_of, named_ancestors
from tailrace.mapping.commands import Checkpoint, ParkedHead, Start
from tailrace.mapping.suspension import Suspended
from tailrace.mapping.window import WindowState
from tailrace.ports import Now, Shard
from tailrace.rows.bounds import slices
from tailrace.rows.kinds import CHECKPOINT, MAPPING, RESUMED, words_of
from tailrace.rows.writes import Absent, StateRow, Write
from tailrace.runtime.chain_rows import load_chains
from tailrace.runtime.delivering import MappingShard
from tailrace.runtime.kept import horizon, saved_of
from tailrace.runtime.mapping_rows import BEGAN
from tailrace.runtime.pausing import ended_suspensions
from tailrace.runtime.steps import AskTime, Get, QueryRows, ReadTrimHorizon, Steps, Transact

MARGIN_MS: Final = 3_600_000
"""By so much the clocks of two machines differ at most where the age of a shard is asked."""
BEHIND: Final = "0"
"""Follows "/", so that in place of one it is behind all keys that go on with one."""


def whoever_has_it(fields: Mapping[str, Any]) -> Steps[bool]:
    """That a lease may be taken that another worker may hold."""
    yield from ()
    return True


def take_lease(
    key: str,
    owner: str,
    places: Sequence[MappingShard],
    may_take: Callable[[Mapping[str, Any]], Steps[bool]] = whoever_has_it,
) -> Steps[tuple[Lease, dict[str, CheckpointRow]]]:
    """Take a shard's lease, if what is there may be taken, and stamp the checkpoints of these places in it.
    Returns: what was stamped, by its key.

    Raises: LeaseHeld when it may not; LeaseLost and StateConflict when another worker was faster; StoreError.
    """
    row: StateRow | None = yield Get(key)
    if row is not None and not (yield from may_take(row.fields)):
        raise LeaseHeld(f"{row.fields['owner']} holds {key}")
    if row is None:
        lease, write = take(key, None, owner, (yield from _highest_epoch(places)))
    else:
        lease, write = take(key, row.fields, owner)
    yield Transact((write,), done="lease.taken")
    stamped: dict[str, CheckpointRow] = {}
    for place in places:
        checkpoint = yield from stamp(place, lease.epoch)
        if checkpoint is not None:
            stamped[place.checkpoint_key] = checkpoint
    return lease, stamped


def _highest_epoch(places: Sequence[MappingShard]) -> Steps[int]:
    """The highest epoch that checkpoints have although the row of their lease was forgotten."""
    highest = 0
    for place in places:
        row: StateRow | None = yield Get(place.checkpoint_key)
        highest = max(highest, 0 if row is None else row.fields["epoch"])
    return highest


def stamp(place: MappingShard, epoch: int) -> Steps[CheckpointRow | None]:
    """Raise the epoch of a mapping's checkpoint, and take an older version's ledger into it. Returns: what is
    durable now; None: there is no checkpoint.

    Raises: LeaseLost when a later epoch is there; StoreError.
    """
    while True:
        row: StateRow | None = yield Get(place.checkpoint_key)
        if row is None:
            return None
        if row.fields["epoch"] > epoch:
            raise LeaseLost(f"another worker has taken {place.shard_id}")
        ledger: StateRow | None = None if has_ledger(row.fields) else (yield Get(place.ledger_key))
        stamped, write = raised(row, epoch, None if ledger is None else ledger.fields)
        folded = () if ledger is None else (Write(ledger.key, None),)
        try:
            yield Transact((write, *folded), done="stamp.done")
        except StateConflict:
            continue  # the owner before has saved meanwhile: that counts
        return stamped


def enter(
    place: MappingShard,
    shard: Shard,
    known: KnownShards,
    epoch: int,
    retention_ms: int,
    stamped: CheckpointRow | None = None,
) -> Steps[CheckpointRow]:
    """Stamp the checkpoint of a mapping, or write down where it begins when it never was here: what is
    trimmed from now on is a gap, and no silence.

    Shape:   `stamped` is its row under this epoch already, if the lease was taken with it. Returns: what is
             durable, with the shards that it continues (of a version that did not name them the first
             checkpoint does).
    Raises:  LeaseLost, StoreError, SourceError.
    """
    while True:
        row = stamped or (yield from stamp(place, epoch))
        if row is not None:
            return (
                row if row.named is not None else replace(row, named=(yield from _named(place, shard, known)))
            )
        begun = yield from _beginning(place, shard, known, retention_ms)
        named = yield from _named(place, shard, known)
        row = CheckpointRow(
            epoch, 0, begun.watermark, hashes=place.hashes, created_ms=begun.created_ms, named=named
        )
        put = Write(place.checkpoint_key, row.fields(), Absent())
        lost = yield from _lost_streams(place, shard, known)
        try:
            for some in slices(
                [*lost, put]
            ):  # each gap is told once, also when this is cut off before the put
                yield Transact(some, done="stamp.done")
        except StateConflict:
            continue  # another worker was faster: whose epoch is higher will be seen
        return row


def load_start(
    place: MappingShard,
    shard: Shard,
    begun: CheckpointRow,
    code_version: str = "",
    *,
    has_chains: bool = False,
) -> Steps[Start]:
    """Everything that the machine begins with: the checkpoint that was stamped, the parked keys that may be
    in its shard, the keys with dead letters; where the source does not keep their order, the chains of items.

    A pause of another version of the code does not bind this one, and one that an operator has ended binds
    none. Raises: StoreError.
    """
    heads = yield from _heads(place)
    parked = [
        ParkedHead(head.key, head.first, head.tail, head.count)
        for head in heads
        if shard.may_have(head.partition)
        and (begun.named is None or begun.named.concerns(shard, head.stream, head.shard_id))
    ]
    watched: list[StateRow] = yield QueryRows(passed_prefix(place.app, place.mapping_id))
    checkpoint = checkpoint_of(begun)
    is_outdated = outdated_reason(begun, code_version) is not None
    if is_outdated or (yield from _is_resumed(place, checkpoint.suspended)):
        checkpoint = dataclasses.replace(checkpoint, suspended=None)
    chains = (yield from load_chains(place.words[:3], shard)) if has_chains else ()
    return Start(
        checkpoint,
        tuple(parked),
        tuple((bytes.fromhex(row.fields["key"]), read_passed(row.fields)) for row in watched),
        chains,
    )


def _is_resumed(place: MappingShard, suspended: Suspended | None) -> Steps[bool]:
    """Whether an operator has let the mapping go on that had paused by itself."""
    if suspended is None:
        return False
    row: StateRow | None = yield Get(RESUMED.key(place.app, place.mapping_id))
    ended = ended_suspensions(None if row is None else row.fields)
    return (place.stream_label, place.shard_id, suspended.since_ms) in ended


def checkpoint_of(row: CheckpointRow) -> Checkpoint:
    """What the machine knows of a checkpoint."""
    window, suspended = row.window, row.suspended
    return Checkpoint(
        row.watermark,
        row.ranges,
        row.finished,
        None
        if window is None
        else WindowState(window[0], window[1], None if window[2] is None else window[2].encode()),
        row.created_ms,
        None if suspended is None else Suspended(*suspended[:3]),
    )


def outdated_reason(row: CheckpointRow, code_version: str) -> Reason | None:
    """Why another version of the mapping's code has paused by itself in this shard; None: none has."""
    reason = row.suspended
    return None if reason is None or reason[3] == code_version else reason


def _heads(place: MappingShard) -> Steps[list[Head]]:
    rows: list[StateRow] = yield QueryRows(head_prefix(place.app, place.mapping_id))
    return [read_head(place.app, place.mapping_id, row.fields) for row in rows]


# ---- what came before --------------------------------------------------------------------------------------


def line_before(place: MappingShard, shard: Shard, known: KnownShards) -> Steps[Line]:
    """What came before a shard, from what is listed and saved and, where that ends, from the mapping's rows.
    Raises: StoreError.
    """
    rows: dict[str, NamedAncestors | None] = {}
    waiting = list(shard.parents)
    while waiting:
        parent = waiting.pop()
        row: StateRow | None = yield Get(replace(place, shard_id=parent).checkpoint_key)
        if row is not None and (named := named_of(row.fields)) is not None:
            rows[parent] = named
        elif (there := known.get(parent)) is not None:
            waiting.extend(ancestor for ancestor in there.parents if ancestor not in rows)
    return line_of(shard, known, rows)


def _named(place: MappingShard, shard: Shard, known: KnownShards) -> Steps[NamedAncestors]:
    """The shards that a shard continues: its parents, and those of its ancestors in which keys are parked."""
    line = yield from line_before(place, shard, known)
    heads = yield from _heads(place)
    parked_in = [head.shard_id for head in heads if head.stream == shard.stream]
    return NamedAncestors(shard.parents, named_ancestors(line, known, parked_in))


def _beginning(place: MappingShard, shard: Shard, known: KnownShards, retention_ms: int) -> Steps[Checkpoint]:
    """Where a mapping begins in a shard that it never was in.

    Guarantee: a mapping that is new begins with the oldest record there is; one that has followed the shard's
               parents insists on the whole shard, and one that has followed an older ancestor insists on
               everything after it, so that what was trimmed meanwhile is a gap and no silence.
    """
    begun = yield from _begun_before(place, shard, known, retention_ms)
    if begun is not None and begun.watermark:
        return begun
    forgotten: int = yield ReadTrimHorizon(shard)
    gone = horizon(
        forgotten, (yield from saved_of(place.words))
    )  # asked for in this order: what is forgotten was saved before
    now: Now = yield AskTime()
    return Checkpoint(
        max(shard.first - 1, gone), created_ms=max(shard.created_ms, now.wall_ms - retention_ms)
    )


def _begun_before(
    place: MappingShard, shard: Shard, known: KnownShards, retention_ms: int
) -> Steps[Checkpoint | None]:
    """What a mapping insists on that has followed what a shard continues; None: it never was in any of it."""
    whole = Checkpoint(shard.first - 1, created_ms=shard.created_ms)
    if (yield from _has_followed(place, shard.parents)):
        return whole
    prefix = CHECKPOINT.prefix(place.app, place.mapping_id)
    first: list[StateRow] = yield QueryRows(prefix, limit=1)
    if not first:
        return None
    if shard.before is not None:
        reached = _reached_by_number((yield from _rows_below(prefix)), shard)
        return None if reached is None else reached if reached.watermark < shard.before else whole
    line = yield from line_before(place, shard, known)
    reached = _reached_by_line((yield from _rows_of_line(place, line, known)), known)
    if reached is None and (yield from _lost_nothing(place, shard, retention_ms)):
        return None
    return whole if reached is None or reached.watermark >= whole.watermark else reached


def _lost_nothing(place: MappingShard, shard: Shard, retention_ms: int) -> Steps[bool]:
    """Whether a mapping was first declared so short a time ago that whatever this shard has lost was written
    before: it has checkpoints, in other shards, and no past. Of a shard that is younger than what is trimmed
    that need not be asked: it is whole.
    """
    row: StateRow | None = yield Get(MAPPING.key(place.app, place.mapping_id))
    now: Now = yield AskTime()
    is_new = row is not None and now.wall_ms - row.fields.get(BEGAN, 0) < retention_ms
    return is_new and shard.created_ms <= now.wall_ms - retention_ms + MARGIN_MS


def _rows_of_line(place: MappingShard, line: Line, known: KnownShards) -> Steps[list[StateRow]]:
    """A mapping's checkpoints in the shards that can be ancestors: one by one where it is known which these
    are, for with thousands of shards all of them would be read for each.
    """
    if line.is_lost and known.vanished is None:
        rows = yield from _rows_below(CHECKPOINT.prefix(place.app, place.mapping_id, place.stream_label))
    else:
        vanished = (known.vanished or ()) if line.is_lost else ()
        rows = yield from _rows_in(place, sorted({*line.ancestors, *vanished}))
    return [row for row in rows if line.may_have(words_of(row.key)[4], known)]


def _rows_in(place: MappingShard, shard_ids: Iterable[str]) -> Steps[list[StateRow]]:
    """A mapping's checkpoints in these shards of a stream; some may have none."""
    rows: list[StateRow] = []
    for shard_id in shard_ids:
        row: StateRow | None = yield Get(replace(place, shard_id=shard_id).checkpoint_key)
        if row is not None:
            rows.append(row)
    return rows


def _rows_below(prefix: str) -> Steps[list[StateRow]]:
    """Every row whose key begins so: of all shards that a mapping reads, or of a whole stream."""
    rows: list[StateRow] = yield QueryRows(prefix)
    return rows


def _lost_streams(place: MappingShard, shard: Shard, known: KnownShards) -> Steps[list[Write]]:
    """Gaps, as a stream begins, of shards of earlier streams that went before the mapping was done with them.

    Where all streams have one order of numbers, the shard itself tells that gap; elsewhere nothing says how
    far they went: a gap's last number is its first.
    """
    if shard.parents or shard.before is not None:
        return []
    rows = yield from _rows_of_others(place, {shard.stream, *known.streams})
    writes: list[Write] = []
    for row in rows:
        shard_id = words_of(row.key)[4]
        watermark, _, is_finished = read_checkpoint(row.fields)
        if is_finished:
            continue
        from_ms = min(created_of(row.fields), shard.created_ms)  # the worker's clock, and the source's
        gap = Gap(shard_id, watermark + 1, watermark + 1, from_ms, shard.created_ms)
        key = gap.key(place.app, place.mapping_id)
        if (yield Get(key)) is None:  # a gap is told once: an operator may have acknowledged it
            writes.append(Write(key, gap.fields()))
    return writes


def _rows_of_others(place: MappingShard, labels: Collection[str]) -> Steps[list[StateRow]]:
    """A mapping's checkpoints in other streams than these, whose rows are leapt over."""
    prefix, after = CHECKPOINT.prefix(place.app, place.mapping_id), ""
    rows: list[StateRow] = []
    while True:
        first: list[StateRow] = yield QueryRows(prefix, after, 1)
        if not first:
            return rows
        label = words_of(first[0].key)[3]
        of_label = CHECKPOINT.prefix(place.app, place.mapping_id, label)
        if label not in labels:
            rows += yield from _rows_below(of_label)
        after = of_label[:-1] + BEHIND


def _has_followed(place: MappingShard, parents: Sequence[str]) -> Steps[bool]:
    """Whether a mapping has read everything of what a shard continues: a parent that vanished before it was
    finished has lost something too.
    """
    rows = yield from _rows_in(place, parents)
    return len(rows) == len(parents) > 0 and all(read_checkpoint(row.fields)[2] for row in rows)


def _reached_by_number(rows: Sequence[StateRow], shard: Shard) -> Checkpoint | None:
    """How far the mapping has come in what went before a shard whose source has one order of numbers for all
    of its streams; None: nowhere.
    """
    hashes = shard.hash_range or EVERY_HASH
    marks = [_mark(row) for row in rows if overlaps(hashes_of(row.fields), hashes)]
    before = [mark for mark in marks if mark.watermark < shard.first]
    return max(before, key=lambda mark: mark.watermark, default=None)


def _reached_by_line(rows: Sequence[StateRow], known: KnownShards) -> Checkpoint | None:
    """How far it has come in what went before a shard in its stream, where nothing but lineage says what that
    is; None: nowhere. Shape: `rows` are those of shards that can be ancestors.

    Guarantee: no later than where it stands in any of the last ones that it has followed.
    """
    places = {words_of(row.key)[4]: row for row in rows}
    last = latest(places, {shard_id: named_of(row.fields) for shard_id, row in places.items()}, known)
    return min((_mark(places[shard_id]) for shard_id in last), key=lambda mark: mark.watermark, default=None)


def _mark(row: StateRow) -> Checkpoint:
    return Checkpoint(read_checkpoint(row.fields)[0], created_ms=created_of(row.fields))
