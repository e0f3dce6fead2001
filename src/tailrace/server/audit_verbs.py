"""The `audit` verb: what people did and how it ended, the newest last.

Rules of this file: it only reads. Registered by `verbs`.
"""

from collections.abc import AsyncGenerator

from tailrace.errors import TailraceError
from tailrace.server.audit import PREFIX, read_audit
from tailrace.server.control import Arguments, Subject, verb


@verb("audit")
async def audit(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: last (how many)."""
    last = arguments.get("last", 100)
    if not isinstance(last, int) or last < 1:
        raise TailraceError("`audit` needs a number above 0.", hint="tailrace audit --last 20")
    rows = subject.engine.state_query(PREFIX)[-last:]
    yield [read_audit(row.fields) for row in rows]
