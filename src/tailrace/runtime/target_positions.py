"""Where a mapping begins in a shard whose checkpoint its target owns: the target is stamped, and believed.

Theory of operation. The target has the position beside its rows and changes both at once, so it alone knows
what is in them; the checkpoint's row in the state repeats what the target had, a little later, for views.
After the row in the state is stamped the target is, under the same epoch: from then on the owner before can
commit nothing. Then one of these holds.
(1) The row repeats the target (`target` is this mapping's id): the target wins, also where it shows less. An
emptied or restored target has lost what it had: what the stream still has is delivered again, and what it has
not is a gap.
(2) It repeats the target under another id: the mapping was renamed. The target is stamped under that id too,
so that nothing is committed there any more, and the position goes over.
(3) The row has the position itself: the mapping is new, was in another order before, or an operator has set
it. The target is given it, unless it has more; where an operator has set it back, also then.
The row repeats the target before the machine begins. Cut off anywhere, all of it may be done again: nothing
is committed before the row says (1).
Rules of this file: pure; steps. A target that does not answer is asked again, without end, and nothing of the
shard is read until it does. Performed by runtime/driver.py. Source: growth §2.8, decision 68.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from tailrace.deadletters.core.gap import Gap, read_gap
from tailrace.errors import LeaseLost, PortError, StateConflict
from tailrace.leases.checkpoint import CheckpointRow
from tailrace.leases.lineage import KnownShards
from tailrace.mapping.commands import Checkpoint, Completion, LeaseTaken, Start
from tailrace.mapping.pace import PORT_BACKOFF
from tailrace.mapping.retry import delay_ms
from tailrace.ports import Now, Shard, TargetPosition
from tailrace.rows.writes import StateRow, Write
from tailrace.runtime.delivering import Delivery, MappingShard
from tailrace.runtime.kept import saved_of
from tailrace.runtime.steps import (
    AskTime,
    Get,
    PutTargetPosition,
    ReadTrimHorizon,
    Sleep,
    StampTarget,
    Steps,
    Transact,
)


def begin(delivery: Delivery, start: Start, known: KnownShards) -> Steps[Sequence[Completion]]:
    """Take the shard in the target, where that owns the checkpoint. Returns: the machine's first input.
    Shape: `known` are the shards of the stream.
    """
    settling, failures = delivery.settling, 0
    if not settling.is_transactional:
        return (start,)
    while True:
        try:
            position, row = yield from take_position(settling.place, delivery.shard, known, settling.begun)
        except LeaseLost:
            return (LeaseTaken(),)
        except PortError as error:
            failures += 1
            now: Now = yield AskTime()
            yield Sleep(now.monotonic_ms + delay_ms(PORT_BACKOFF, failures, error.retry_after_ms))
            continue
        settling.begin_at(position, row)
        checkpoint = Checkpoint(row.watermark, finished=row.finished, created_ms=row.created_ms)
        return (Start(checkpoint, start.parked, start.passed),)


def take_position(
    place: MappingShard, shard: Shard, known: KnownShards, begun: CheckpointRow
) -> Steps[tuple[TargetPosition, CheckpointRow]]:
    """Take the shard in the target. Shape: `begun` is the row as it was stamped. Returns: what the target has
    now, and the row that repeats it. Repeatable.

    Raises: LeaseLost, StoreError, SourceError; whatever keeps the target from answering.
    """
    there: TargetPosition = yield StampTarget(
        place.mapping_id, place.stream_label, place.shard_id, begun.epoch
    )
    watermark, lost, gaps = (yield from _truth(place, begun, there)), (0, 0), list[Write]()
    if begun.target and watermark < max(begun.watermark, 1):
        watermark, lost, gaps = yield from _lost(place, shard, known, begun, watermark)
    fence, position = place.fence(begun.epoch), replace(there, watermark=watermark)
    row = _repeating(place, shard, begun, watermark)
    try:
        if gaps:  # before the target has a position again: then it does not look emptied any more
            yield Transact((fence, *gaps))
        if position != there:
            passed = (lost,) if lost[1] else ()
            yield PutTargetPosition(place.mapping_id, replace(position, gaps=passed))
        if row != begun:
            row = replace(row, writes=begun.writes + 1)
            yield Transact((Write(fence.key, row.fields(), fence.condition),), done="stamp.done")
    except StateConflict as error:
        raise LeaseLost(f"another worker has taken {place.shard_id}") from error
    return position, row


def _truth(place: MappingShard, begun: CheckpointRow, there: TargetPosition) -> Steps[int]:
    """Through which record the rows of the target are complete."""
    if not begun.target:
        return begun.watermark if begun.is_set_back else max(begun.watermark, there.watermark)
    if begun.target == place.mapping_id:
        return there.watermark
    before: TargetPosition = yield StampTarget(begun.target, place.stream_label, place.shard_id, begun.epoch)
    return before.watermark


def _lost(
    place: MappingShard, shard: Shard, known: KnownShards, begun: CheckpointRow, watermark: int
) -> Steps[tuple[int, tuple[int, int], list[Write]]]:
    """Where a target goes on that has less than it had, the gap before that ((0, 0): none), and what tells
    it. A source tells by itself
    what is trimmed behind a position, but not at 0; and of what was saved from the trim the rows are removed
    that the target had.
    """
    first, begins = watermark + 1, watermark
    saved = yield from saved_of(place.words)
    if saved is not None and watermark < saved.through:
        begins = max(begins, saved.begin, min(saved.through, begun.watermark))
    elif not watermark:
        gone: int = yield ReadTrimHorizon(shard)
        begins = max(begins, gone)
    if not watermark:
        is_orphan = any(known.get(parent) is None for parent in shard.parents)
        first, begins = 1 if is_orphan else shard.first, max(shard.first - 1, begins)
    lost = (first, begins) if first <= begins else (0, 0)
    while first <= begins:
        gap = Gap(place.shard_id, first, begins, 0, shard.created_ms, generation=place.generation)
        key = gap.key(place.app, place.mapping_id)
        row: StateRow | None = yield Get(key)
        told = None if row is None else read_gap(row.fields)
        if told is None or told.acknowledged_ms:
            return begins, lost, [Write(key, gap.told_after(told).fields())]
        first = told.last + 1
    return begins, lost, []


def _repeating(place: MappingShard, shard: Shard, begun: CheckpointRow, watermark: int) -> CheckpointRow:
    """The row of what the target has. When the last change was written is not known where it shows less."""
    row = replace(begun, watermark=watermark, ranges=(), target=place.mapping_id, is_set_back=False)
    if watermark >= begun.watermark:
        return row
    return replace(row, finished=False, created_ms=shard.created_ms, window=None)
