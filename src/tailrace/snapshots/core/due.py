"""What makes a snapshot necessary, and which one is wanted next.

Rules of this file: pure. Asked by run/snapshotter.py and by the verbs.
Stands alone because a snapshot does not know why it is made.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from tailrace.snapshots.core.snapshot import Part, Snapshot, WantedSnapshot, Why


def due(
    wanted: WantedSnapshot | None, snapshot: Snapshot | None, stream: str | None, gaps: Sequence[str]
) -> Why | None:
    """Why a mapping that keeps a whole table needs a snapshot now; None: it needs none.

    Shape:   `stream` is the label of the newest stream (None: none has a number yet), `gaps` are the keys of
             those that no operator and no snapshot has acknowledged.
    Guarantee: whatever was lost before a snapshot began is filled by it, and what is lost later makes another
               one: between a stream and the next one, whether it was off or the table is another one, changes
               are in no stream.
    """
    if wanted is None:
        return "first"
    if snapshot is None or snapshot.number < wanted.number or not snapshot.is_over:
        return None  # one that begins does so with all that is lost by then; one that never ended is no use
    if snapshot.owes_whole:
        return "whole"
    if stream is not None and stream != snapshot.stream:
        return "stream"
    return "gap" if set(gaps) - set(snapshot.gaps) else None


def following(
    wanted: WantedSnapshot | None, app: str, mapping_id: str, why: Why, now_ms: int
) -> WantedSnapshot:
    """The next snapshot that is wanted, of the whole table."""
    if wanted is None:
        return WantedSnapshot(app, mapping_id, 1, why, asked_ms=now_ms)
    return WantedSnapshot(
        app, mapping_id, wanted.number + 1, why, read_units=wanted.read_units, paused_by=wanted.paused_by,
        asked_ms=now_ms, revision=wanted.revision,
    )  # fmt: skip


def asked(
    wanted: WantedSnapshot | None,
    snapshot: Snapshot | None,
    app: str,
    mapping_id: str,
    part: Part,
    now_ms: int,
) -> WantedSnapshot:
    """The next one that a person wants, at once. Shape: `snapshot` is how far the last one is that began, and
    may be an older answer than `wanted`.
    """
    owes_whole = False
    if wanted is not None and not part.is_whole:
        has_begun = snapshot is not None and snapshot.number >= wanted.number
        owes_whole = not has_begun and (wanted.part.is_whole or wanted.owes_whole)
    after = following(wanted, app, mapping_id, "asked", now_ms)
    return replace(after, part=part, paused_by="", owes_whole=owes_whole)
