"""What people did, as the audit's rows say.

Rules of this file: it only reads; server/audit.py writes. A row's number is its place, and the newest is
found without reading those before it: 10,000 are kept. It stands alone, with one caller in the verbs and one
beside it, so that no view writes.
"""

from collections.abc import Mapping
from typing import Any, Final

from tailrace.ports import StateStore
from tailrace.rows.kinds import AUDIT
from tailrace.rows.writes import readable

PREFIX: Final = AUDIT.prefix()
BEGUN: Final = "begun"


def audit_key(number: int) -> str:
    """The row of what was done as that number."""
    return AUDIT.key(f"{number:012d}")


async def last_number(state: StateStore) -> int:
    """The highest number that was given; 0: none was."""
    first = await state.query(PREFIX, limit=1)
    if not first:
        return 0
    low, step = int(first[0].fields["number"]), 1
    while await state.query(
        PREFIX, after=audit_key(low + step - 1), limit=1
    ):  # one with that number, or a later one
        low, step = low + step, step * 2
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        if await state.query(PREFIX, after=audit_key(middle - 1), limit=1):
            low = middle
        else:
            high = middle
    return low


async def audit(state: StateStore, last: int) -> list[dict[str, Any]]:
    """The last so many things that people did, the newest last."""
    after = await last_number(state) - last
    rows = await state.query(PREFIX, after=audit_key(after) if after > 0 else "")
    return [read_audit(row.fields) for row in rows]


def read_audit(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What a row tells. Shape: `outcome` is None where it is not known: format 1 did not say. Raises:
    StoreError when its format is not known.
    """
    row = readable(fields, "audit", AUDIT.format)
    fields = {name: row[name] for name in ("number", "at_ms", "verb", "arguments", "by")}
    outcome = row.get("outcome", BEGUN)
    return {**fields, "outcome": None if outcome == BEGUN else outcome, "reason": row.get("reason", "")}
