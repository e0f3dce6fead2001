"""What a target commits that owns the checkpoint.

Theory of operation: a commit continues what its worker knows to be there. A target that has less was restored
meanwhile, maybe under this very epoch: its position would close a hole in silence. So it is refused as a lost
lease is, and
whoever takes the shard anew believes the target. One that has as much as the commit's own watermark has seen
that commit before; one in between has seen a part of it.
Rules of this file: pure. Every such target asks it, users' own too; `check_transactional_sink` checks what it
decides. Source: ADR 68.
"""

from tailrace.errors import LeaseLost
from tailrace.ports import TargetPosition


def held(there: TargetPosition | None, position: TargetPosition) -> TargetPosition:
    """What a target has of a shard whose position is to be written. Raises: LeaseLost when that is under
    another epoch.
    """
    if there is None or there.epoch != position.epoch:
        epoch = "no epoch" if there is None else f"epoch {there.epoch}"
        raise LeaseLost(f"{position.shard_id} has {epoch} in the target, this is {position.epoch}")
    return there


def is_committed(there: TargetPosition | None, position: TargetPosition) -> bool:
    """Whether a target has what is to be committed: then nothing is written. Raises: LeaseLost when it has
    the shard under another epoch, or less of it than its worker knows.

    >>> is_committed(TargetPosition("s", "a", 1, 7), TargetPosition("s", "a", 1, 9, after=7))
    False
    >>> is_committed(TargetPosition("s", "a", 1, 9), TargetPosition("s", "a", 1, 9, after=7))
    True
    """
    through = held(there, position).watermark
    if through >= position.watermark:
        return True
    if through < position.after:
        raise LeaseLost(
            f"{position.shard_id} stands at {through} in the target, which had {position.after}: it was "
            "emptied or restored, and goes on from there"
        )
    return False
