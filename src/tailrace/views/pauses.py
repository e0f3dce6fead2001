"""Whether a handler is paused, and why.

Rules of this file: it only reads. A handler is paused by a row that a person or its own guard wrote, or
because it has paused by itself: its checkpoints say so, where no operator has let it go on. Called by
`status`, `mapping ls`, `pause` and `resume`.
"""

from tailrace.leases.checkpoint import Reason, suspended_of
from tailrace.mapping.outcomes import first_line
from tailrace.ports import StateStore
from tailrace.rows.kinds import CHECKPOINT, RESUMED, words_of
from tailrace.runtime.pages import rows
from tailrace.runtime.pausing import Suspension, ended_suspensions
from tailrace.runtime.recursion import pause_key


async def is_paused(state: StateStore, app: str, handler: str) -> bool:
    """Whether a handler was told to pause, or has paused by itself."""
    return await state.get(pause_key(app, handler)) is not None or bool(await _reasons(state, app, handler))


async def pause_reason(state: StateStore, app: str, handler: str) -> str | None:
    """Why a handler is paused when it was no person who paused it."""
    row = await state.get(pause_key(app, handler))
    if row is not None:
        return row.fields.get("reason")
    reasons = await _reasons(state, app, handler)
    if not reasons:
        return None
    _, error, _, version = min(reasons.values(), key=lambda reason: reason[2])
    of = f" (version {version} of its code)" if version else ""
    return (
        f"no more of its keys can be parked, and the last ones tried all failed alike{of}: "
        f"{first_line(error)}. One change a minute is tried; "
        "another version of its code goes on by itself and puts back what failed"
    )


async def suspended(state: StateStore, app: str, handler: str) -> list[Suspension]:
    """Where a handler has paused by itself and no operator has let it go on."""
    return list(await _reasons(state, app, handler))


async def _reasons(state: StateStore, app: str, handler: str) -> dict[Suspension, Reason]:
    resumed = await state.get(RESUMED.key(app, handler))
    ended = ended_suspensions(None if resumed is None else resumed.fields)
    reasons: dict[Suspension, Reason] = {}
    async for row in rows(state, CHECKPOINT.prefix(app, handler)):
        if (reason := suspended_of(row.fields)) is not None:
            _, _, _, label, shard_id = words_of(row.key)
            reasons[label, shard_id, reason[2]] = reason
    return {place: reason for place, reason in reasons.items() if place not in ended}
