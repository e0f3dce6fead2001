"""What people did: every verb that changed something, with its arguments and its time, durable in the state.

Rules of this file: a row is written before the verb runs, so that what was tried is there too, and again when it has ended: well, or with the reason why not. A dry run leaves
none. The last 10,000 are kept; a note costs the same however many there are. Called by `control` and `cli.offline`, read by the `audit` verb. Format 2, docs/formats/state.md.
"""

import getpass
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

from tailrace.engine.engine import Engine
from tailrace.errors import TailraceError
from tailrace.rows.kinds import AUDIT
from tailrace.rows.writes import Write, readable

PREFIX: Final = AUDIT.prefix()
KEPT: Final = 10_000
BEGUN: Final = "begun"
OK: Final = "ok"
FAILED: Final = "failed"
REASON: Final = 1_000
"""Letters of a reason that are kept."""
UNRECORDED: Final = frozenset({"stop", "clock.advance", "clock.set"})
"""Their log line says it. A row of `stop` would be written while the store closes; a replay moves a manual clock a hundred thousand
times, and would push out everything else."""


@contextmanager
def audited(engine: Engine, name: str, arguments: Mapping[str, Any], *, changes: bool) -> Iterator[None]:
    """Write down that somebody asks for this, and how it ended; what it raises goes on. Without an end nobody knows it: the server or its client went meanwhile."""
    key = _begin(engine, name, arguments) if changes and not arguments.get("dry_run") else None
    if key is None:
        yield
        return
    try:
        yield
    except ConnectionError:
        raise  # the client has gone: what it asked for may go on
    except Exception as error:
        with suppress(TailraceError):  # where nothing can be written any more, the reason itself is told
            _end(engine, key, FAILED, _reason(error))
        raise
    _end(engine, key, OK, "")


def _begin(engine: Engine, name: str, arguments: Mapping[str, Any]) -> str | None:
    if name in UNRECORDED:
        return None
    last = engine.state_last(PREFIX)
    now_ms = engine.clock.now().wall_ms
    number = 1 if last is None else last.fields["number"] + 1
    fields = {
        "v": AUDIT.format, "number": number, "at_ms": now_ms, "verb": name, "arguments": dict(arguments), "by": _who(),
        "outcome": BEGUN, "reason": "",
    }  # fmt: skip
    writes = [Write(_key(number), fields)]
    if number > KEPT:
        writes.append(Write(_key(number - KEPT), None))
    engine.state_transact(writes)
    return _key(number)


def _end(engine: Engine, key: str, outcome: str, reason: str) -> None:
    if (fields := engine.state_get(key)) is not None:  # pushed out meanwhile
        engine.state_transact([Write(key, {**fields, "outcome": outcome, "reason": reason})])


def _reason(error: Exception) -> str:
    text = (
        str(error.args[0])
        if isinstance(error, TailraceError) and error.args
        else f"{type(error).__name__}: {error}"
    )
    return text[:REASON]


def read_audit(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What a row tells. Shape: `outcome` is None where nobody knows it: format 1 did not say. Raises: StoreError when its format is not known."""
    row = readable(fields, "audit", AUDIT.format)
    told = {name: row[name] for name in ("number", "at_ms", "verb", "arguments", "by")}
    outcome = row.get("outcome", BEGUN)
    return {**told, "outcome": None if outcome == BEGUN else outcome, "reason": row.get("reason", "")}


def _key(number: int) -> str:
    return AUDIT.key(f"{number:012d}")


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""  # a container may have no name for its user
