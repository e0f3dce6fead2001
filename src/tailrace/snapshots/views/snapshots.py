"""Snapshots as people read them: what is wanted, how far it is, and what is estimated.

Rules of this file: it only reads. Called by server/snapshots.py.
Stands alone because it is the room's only view.
"""

from typing import Any

from tailrace.ports import StateStore
from tailrace.snapshots.core.snapshot import (
    Snapshot,
    WantedSnapshot,
    read_snapshot,
    read_wanted,
    snapshot_key,
    wanted_key,
)


async def snapshot_value(state: StateStore, app: str, mapping_id: str, now_ms: int) -> dict[str, Any] | None:
    """A mapping's snapshot, as `tailrace snapshot status --json` has it; None: none was ever wanted. Raises:
    StoreError.

    Shape:   `state` is that of the last one: `waiting` for a worker, `paused`, or a phase. `share` is how
             much of the estimate was read, None where that is not known; `left_ms` about how long reading
             takes yet, `still_ms` for how long nothing has moved that is wanted and not paused.
    Units:   ms; items a second.
    """
    wanted = read_wanted(app, mapping_id, await state.get(wanted_key(app, mapping_id)))
    snapshot = read_snapshot(app, mapping_id, await state.get(snapshot_key(app, mapping_id)))
    if wanted is None:
        return None
    if snapshot is None or snapshot.number < wanted.number:
        still_ms = 0 if wanted.paused_by else max(0, now_ms - wanted.asked_ms)
        phase = "paused" if wanted.paused_by else "waiting"
        return {**_wanted(app, mapping_id, wanted), "state": phase, "still_ms": still_ms}
    read, estimate = snapshot.progress, snapshot.estimate
    is_paused = bool(wanted.paused_by) and not snapshot.is_over
    return {
        **_wanted(app, mapping_id, wanted),
        "state": "paused" if is_paused else snapshot.phase,
        "still_ms": 0 if is_paused or snapshot.is_over else max(0, now_ms - snapshot.moved_ms),
        "why": snapshot.why,
        "worker": snapshot.claimed_by,
        "items": read.items,
        "pages": read.pages,
        "bytes": read.size_bytes,
        "read_units": read.read_units,
        "swept": read.swept,
        "failures": read.failures,
        "refused": snapshot.refused,
        "exports": list(snapshot.exports),
        "failed": [{"key": key, "error": error} for key, error in read.failed],
        "estimated_items": estimate[0],
        "estimated_bytes": estimate[1],
        "share": _share(snapshot),
        "items_per_s": None if snapshot.items_per_s is None else round(snapshot.items_per_s, 1),
        "left_ms": None if is_paused else snapshot.left_ms,
        "begun_ms": snapshot.begun_ms,
        "ended_ms": snapshot.ended_ms or None,
    }


def _wanted(app: str, mapping_id: str, wanted: WantedSnapshot) -> dict[str, Any]:
    return {
        "handler": mapping_id,
        "app": app,
        "number": wanted.number,
        "why": wanted.why,
        "source": wanted.source,
        "paused_by": wanted.paused_by,
    }


def _share(snapshot: Snapshot) -> float | None:
    if snapshot.refused:
        return 0.0
    if snapshot.phase in ("sweeping", "done", "failed"):
        return 1.0
    if not snapshot.estimate[0]:
        return None
    return min(1.0, snapshot.progress.items / snapshot.estimate[0])
