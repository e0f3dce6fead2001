"""The `audit` verb: what people did and how it ended, the newest last.

Rules of this file: it only reads. Registered by `verbs`.
"""

from tailrace.errors import TailraceError
from tailrace.server.control import Arguments, Subject, verb
from tailrace.views.audit import audit as audit_view


@verb("audit")
async def audit(subject: Subject, arguments: Arguments) -> object:
    """Arguments: last (how many)."""
    last = arguments.get("last", 100)
    if not isinstance(last, int) or last < 1:
        raise TailraceError("`audit` needs a number above 0.", hint="tailrace audit --last 20")
    return await audit_view(subject.state, last)
