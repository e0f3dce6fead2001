"""What people did: every verb that changed something, with its arguments and its time, durable in the state.

Rules of this file: a row is written before the verb runs, so that what was tried is there too; a dry run leaves none. The last 10,000
are kept. Called by `control` and `cli.offline`, read by the `audit` verb. Format 1, docs/formats/state.md.
"""

import getpass
from collections.abc import Mapping
from typing import Any, Final

from tailrace.engine.engine import Engine
from tailrace.leases.rows import VERSION, key_of
from tailrace.ports import StateWrite

PREFIX: Final = "audit/"
KEPT: Final = 10_000
UNRECORDED: Final = frozenset({"stop"})
"""Its log line says it; a row would be written while the store closes."""


def note(engine: Engine, name: str, arguments: Mapping[str, Any], changes: bool) -> None:
    """Write down that somebody asks for this."""
    if not changes or arguments.get("dry_run") or name in UNRECORDED:
        return
    rows = engine.state_query(PREFIX)
    now_ms = engine.clock.now().wall_ms
    number = rows[-1].fields["number"] + 1 if rows else 1
    fields = {
        "v": VERSION, "number": number, "at_ms": now_ms, "verb": name, "arguments": dict(arguments), "by": _who(),
    }  # fmt: skip
    old = [StateWrite(row.key, None) for row in rows[: max(0, len(rows) - KEPT + 1)]]
    engine.state_transact([StateWrite(key_of("audit", f"{number:012d}"), fields), *old])


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""  # a container may have no name for its user
