"""What people did: every verb that changed something, with its arguments and its time, durable in the state.

Rules of this file: a row is written before the verb runs, so that what was tried is there too; a dry run leaves none. The last 10,000
are kept; a note costs the same however many there are. Called by `control` and `cli.offline`, read by the `audit` verb. Format 1, docs/formats/state.md.
"""

import getpass
from collections.abc import Mapping
from typing import Any, Final

from tailrace.engine.engine import Engine
from tailrace.leases.rows import VERSION
from tailrace.ports import StateWrite
from tailrace.rows.kinds import AUDIT

PREFIX: Final = AUDIT.prefix()
KEPT: Final = 10_000
UNRECORDED: Final = frozenset({"stop", "clock.advance", "clock.set"})
"""Their log line says it. A row of `stop` would be written while the store closes; a replay moves a manual clock a hundred thousand
times, and would push out everything else."""


def note(engine: Engine, name: str, arguments: Mapping[str, Any], changes: bool) -> None:
    """Write down that somebody asks for this."""
    if not changes or arguments.get("dry_run") or name in UNRECORDED:
        return
    last = engine.state_last(PREFIX)
    now_ms = engine.clock.now().wall_ms
    number = 1 if last is None else last.fields["number"] + 1
    fields = {
        "v": VERSION, "number": number, "at_ms": now_ms, "verb": name, "arguments": dict(arguments), "by": _who(),
    }  # fmt: skip
    writes = [StateWrite(_key(number), fields)]
    if number > KEPT:
        writes.append(StateWrite(_key(number - KEPT), None))
    engine.state_transact(writes)


def _key(number: int) -> str:
    return AUDIT.key(f"{number:012d}")


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""  # a container may have no name for its user
