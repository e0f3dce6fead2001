"""How old a deletion must be before its row may go.

Theory of operation: a row of a deleted item is there so that nothing older brings the item back. Nothing
older comes any more when it is no longer in any stream, no dead letter, parked or saved change is older, no
replay goes so far back, and no scan that began before is still at work.
Rules of this file: pure. Performed by run/forgetting.py. Source: growth §4, ADR 64 and 65.
Stands alone because the janitor and the docs' figures ask the same question.
"""

from collections.abc import Iterable
from typing import Final

from tailrace.snapshots.core.snapshot import Snapshot

MARGIN_MS: Final = 3_600_000
"""By so much clocks may differ, of workers and of whoever numbers changes."""


def forget_before(
    now_ms: int,
    keep_ms: int,
    pending_ms: Iterable[int],
    snapshots: Iterable[Snapshot],
    margin_ms: int = MARGIN_MS,
) -> int:
    """Deletions of before then may be forgotten. Units: ms since the epoch; `pending_ms` are when changes
    were written that are still to be written to the sink.

    >>> forget_before(1_000_000_000, 600_000_000, [399_000_000], [])
    395400000
    """
    unfinished = [snapshot.since_ms for snapshot in snapshots if not snapshot.is_over]
    return min([now_ms - keep_ms, *(at_ms - margin_ms for at_ms in (*pending_ms, *unfinished))])
