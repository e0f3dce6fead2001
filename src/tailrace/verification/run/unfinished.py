"""Whether a snapshot has still to bring rows to a mirror: until then no difference is one.

Rules of this file: it only reads rows. Asked before each look at suspects, and before a comparison begins.
Stands alone because it is all that a comparison knows of snapshots.
"""

from tailrace.snapshots.core.snapshot import read_snapshot, read_wanted, snapshot_key, wanted_key
from tailrace.verification.run.reading import Compared


async def unfinished_snapshot(compared: Compared) -> str:
    """The snapshot that is not over, in words; "": there is none. Raises: StoreError."""
    app, handler, state = compared.name.app, compared.name.handler, compared.state
    wanted = read_wanted(app, handler, await state.get(wanted_key(app, handler)))
    if wanted is None:
        return "the first snapshot has not begun" if compared.is_kept else ""
    snapshot = read_snapshot(app, handler, await state.get(snapshot_key(app, handler)))
    paused = " (it is paused)" if wanted.paused_by else ""
    if snapshot is None or snapshot.number < wanted.number:
        return f"snapshot {wanted.number} has not begun{paused}"
    if snapshot.is_over:
        return ""
    items, about = snapshot.progress.items, snapshot.estimate[0]
    of = f" of about {about:,}" if about else ""
    return f"snapshot {snapshot.number} is {snapshot.phase}: {items:,}{of} items{paused}"
