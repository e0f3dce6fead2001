"""What a handler writes while it runs is told apart from what others write: the ancestry of its writes goes
with them.

Theory of operation: before a handler is called, `CAUSE` says what its writes will descend from; threads and
tasks that it starts in the usual ways inherit that. A botocore client puts it into the header that AWS's SDKs
use for this themselves, X-Amzn-Trace-Id; the test world reads it where it writes. A function in a process of
its own gets it as _X_AMZN_TRACE_ID, as in Lambda, where every AWS SDK picks it up.
Rules of this file: nothing here judges. Set by sinks/, read by testing/ and by the clients that
`trace_clients` has made known; judged by recursion.py.
"""

from collections.abc import Sequence
from contextvars import ContextVar
from importlib.util import find_spec
from typing import Any, Final

from tailrace.streams.ancestry import TRACE_HEADER, descended, merged, trace_id
from tailrace.streams.record import ChangeRecord

CAUSE: Final[ContextVar[str]] = ContextVar("tailrace_cause", default="")
"""The ancestry of what is written in this context."""
HEADER: Final = TRACE_HEADER.decode()
NO_REQUEST: Final = "0" * 32


class Causes:
    """The ancestries of one handler's answers. Shape: `first` is that of answers to a change without
    ancestry, as nearly all are.
    """

    __slots__ = ("first", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.first = descended("", name)

    def of(self, record: ChangeRecord) -> str:
        """Of what it writes for one change."""
        return descended(record.ancestry, self.name) if record.ancestry else self.first

    def of_batch(self, records: Sequence[ChangeRecord]) -> str:
        """Of what it writes for a batch."""
        ancestries = [record.ancestry for record in records if record.ancestry]
        return descended(merged(ancestries), self.name) if ancestries else self.first


def trace_clients() -> None:
    """Let every botocore session that is made from now on tell DynamoDB what its requests descend from.
    Without botocore: nothing.
    """
    if find_spec("botocore") is None:
        return
    import botocore

    if _begin not in botocore._INITIALIZERS:
        botocore.register_initializer(_begin)


def _begin(session: Any) -> None:
    session.register("before-call.dynamodb", _add_header)


def _add_header(params: dict[str, Any], **_: object) -> None:
    cause = CAUSE.get()
    if cause:
        params["headers"].setdefault(HEADER, trace_id(cause, 0, NO_REQUEST))
