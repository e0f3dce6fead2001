"""What people did: every verb that changed something, with its arguments and its time, durable in the state.

Rules of this file: a row is written before the verb runs, so that what was tried is there too, and again when
it has ended: well, or with the reason why not. A dry run leaves none. The last 10,000 are kept; a note costs
the same however many there are. Called by `control` and `cli.offline`, read by views/audit.py. Format 2,
docs/formats/state.md.
"""

import getpass
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from tailrace.errors import StateConflict, TailraceError
from tailrace.ports import Clock, StateStore
from tailrace.rows.kinds import AUDIT
from tailrace.rows.writes import Absent, Write
from tailrace.views.audit import BEGUN, audit_key, last_number

KEPT: Final = 10_000
OK: Final = "ok"
FAILED: Final = "failed"
REASON: Final = 1_000
"""Letters of a reason that are kept."""
UNRECORDED: Final = frozenset({"stop", "clock.advance", "clock.set"})
"""Their log line says it. A row of `stop` would be written while the store closes; a replay moves a manual
clock a hundred thousand times, and would push out everything else.
"""


@asynccontextmanager
async def audited(
    state: StateStore, clock: Clock, name: str, arguments: Mapping[str, Any], *, changes: bool
) -> AsyncIterator[None]:
    """Write down that a client asks for this, and how it ended; what it raises goes on. Without an end it is
    unknown: the server or its client went meanwhile.
    """
    is_noted = changes and not arguments.get("dry_run") and name not in UNRECORDED
    key = await _begin(state, clock, name, arguments) if is_noted else None
    if key is None:
        yield
        return
    try:
        yield
    except ConnectionError:
        raise  # the client has gone: what it asked for may go on
    except Exception as error:
        with suppress(TailraceError):  # where nothing can be written any more, the reason itself is told
            await _end(state, key, FAILED, _reason(error))
        raise
    await _end(state, key, OK, "")


async def _begin(state: StateStore, clock: Clock, name: str, arguments: Mapping[str, Any]) -> str:
    while True:
        number = await last_number(state) + 1
        fields = {
            "v": AUDIT.format,
            "number": number,
            "at_ms": clock.now().wall_ms,
            "verb": name,
            "arguments": dict(arguments),
            "by": _who(),
            "outcome": BEGUN,
            "reason": "",
        }
        writes = [Write(audit_key(number), fields, Absent())]
        if number > KEPT:
            writes.append(Write(audit_key(number - KEPT), None))
        with suppress(
            StateConflict
        ):  # another process wrote down something at this moment, under that number
            await state.transact(writes)
            return audit_key(number)


async def _end(state: StateStore, key: str, outcome: str, reason: str) -> None:
    if (row := await state.get(key)) is not None:  # pushed out meanwhile
        await state.transact([Write(key, {**row.fields, "outcome": outcome, "reason": reason})])


def _reason(error: Exception) -> str:
    text = (
        str(error.args[0])
        if isinstance(error, TailraceError) and error.args
        else f"{type(error).__name__}: {error}"
    )
    return text[:REASON]


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""  # a container may have no name for its user
