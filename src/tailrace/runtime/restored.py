"""What a target that was emptied, or restored from a backup, has lost of shards that were finished.

Theory of operation. A shard that is read is stamped in the target, which says what it has; a finished one is
never stamped again. So before anything of a mapping is read, its finished rows are compared with the target's
positions. The rows are read first: what a row says, the target had before. Where it shows less, it has lost
it. A shard that can still be read begins again at the target's position (runtime/placing.py); of one that is
gone all of that is a gap, and then the target is given the position back, so that it is told once.
Rules of this file: pure; steps. A row whose position an operator has set (no `target`) is not the target's to
know. Performed by worker/targets.py. Source: growth §2.8, decision 68.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from tailrace.deadletters.core.gap import Gap, read_gap
from tailrace.leases.checkpoint import CheckpointRow, read_row
from tailrace.ports import TargetPosition
from tailrace.rows.kinds import CHECKPOINT, words_of
from tailrace.rows.writes import StateRow, Write
from tailrace.runtime.delivering import MappingShard
from tailrace.runtime.steps import Get, PutTargetPosition, QueryRows, StampTarget, Steps, Transact


class FinishedShard(Struct, frozen=True):
    """A shard that a mapping has finished, whose position its target has. Shape: the stream's label, the
    shard's id.
    """

    stream: str
    shard_id: str
    row: CheckpointRow


class LostShard(Struct, frozen=True):
    """A finished shard of which the target has less than it had: everything after its watermark is lost."""

    shard: FinishedShard
    there: TargetPosition


def finished_shards(app: str, mapping_id: str) -> Steps[list[FinishedShard]]:
    """A mapping's finished shards whose positions its target has. Raises: StoreError."""
    rows: list[StateRow] = yield QueryRows(CHECKPOINT.prefix(app, mapping_id))
    shards: list[FinishedShard] = []
    for row in rows:
        if row.fields["finished"] and row.fields.get("target"):
            _, _, _, stream, shard_id = words_of(row.key)
            shards.append(FinishedShard(stream, shard_id, read_row(row.fields)))
    return shards


def lost_shards(
    finished: Sequence[FinishedShard], positions: Mapping[str, Sequence[TargetPosition]]
) -> list[LostShard]:
    """Of which finished shards a target has less than it had. Shape: `positions` by the id under which the
    target has them, for a mapping that was renamed has them under two.
    """
    there = {
        (target, position.stream, position.shard_id): position
        for target, of_target in positions.items()
        for position in of_target
    }
    lost: list[LostShard] = []
    for shard in finished:
        place = (shard.row.target, shard.stream, shard.shard_id)
        position = there.get(place) or TargetPosition(shard.stream, shard.shard_id, 0)
        if position.watermark < shard.row.watermark:
            lost.append(LostShard(shard, position))
    return lost


def tell_gone(place: MappingShard, lost: LostShard) -> Steps[Gap]:
    """Tell what a target has lost of a shard that can be read no more, and let it have the position again.
    Returns: the gap. Repeatable.

    Raises:  LeaseLost when the target was stamped under a later epoch; StoreError; whatever keeps the target
             from answering.
    """
    row, first = lost.shard.row, lost.there.watermark + 1
    gap = Gap(place.shard_id, first, row.watermark, 0, row.created_ms, generation=place.generation)
    key = gap.key(place.app, place.mapping_id)
    there: StateRow | None = yield Get(key)
    told = None if there is None else read_gap(there.fields)
    if told is not None and not told.acknowledged_ms:
        gap = replace(told, last=max(told.last, gap.last))
    else:
        gap = gap.told_after(told)
    if gap != told:
        yield Transact((Write(key, gap.fields()),))
    epoch = max(row.epoch, lost.there.epoch)
    stamped: TargetPosition = yield StampTarget(row.target, place.stream_label, place.shard_id, epoch)
    yield PutTargetPosition(row.target, replace(stamped, watermark=row.watermark))
    return gap
