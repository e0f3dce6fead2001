"""Writing in calls of several entries, as SQS, SNS and EventBridge take them, each of which answers for each entry.

Rules of this file: calls go one after the other, in order; a call that fails as a whole fails what it held and everything after it, and says
what was accepted before. Called by destinations.py and event_bridge.py.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from tailrace.errors import SinkError
from tailrace.ports import Batch, Failure, FailureKind, Outcome
from tailrace.sinks.aws import THROTTLING
from tailrace.sinks.calling import failure_of
from tailrace.sinks.messages import Failures, Message, Refusals, in_chunks, sendable

ENTRIES: Final = 10
ENTRY_BYTES: Final = 262_144
"""A call and one message in it: SQS, SNS and EventBridge. Units: bytes."""
Send = Callable[[Sequence[Message]], Awaitable[Refusals]]


async def write_entries(
    batch: Batch, send: Send, *, most: int = ENTRIES, most_bytes: int = ENTRY_BYTES, what: str
) -> Outcome:
    """Send a batch in calls of at most `most` entries; `send` answers with what was refused, by index."""
    failures = Failures()
    broken: Failure | None = None
    for chunk in in_chunks(sendable(batch, failures, most_bytes, what), most, most_bytes):
        ready = [message for message in chunk if not failures.holds_back(message.record)]
        if broken is not None:
            for message in ready:
                failures.add(message, broken)
            continue
        try:
            refused = await send(ready) if ready else {}
        except SinkError as error:
            broken = failure_of(error)
            refused = dict.fromkeys(range(len(ready)), broken)
        for index, failure in refused.items():
            failures.add(ready[index], failure)
    return failures.outcome


def refused_entry(entry: Any, *, is_ours: bool = True) -> Failure:
    """What one entry's error says: throttled and the service's own faults are an outage, the rest is the message's fault."""
    code = str(entry.get("Code") or entry.get("ErrorCode") or "")
    text = f"{code}: {entry.get('Message') or entry.get('ErrorMessage') or ''}".rstrip(": ")
    if code in THROTTLING:
        return Failure(FailureKind.THROTTLED, text)
    if not is_ours or code in ("InternalFailure", "InternalException", "InternalError", "ServiceUnavailable"):
        return Failure(FailureKind.UNAVAILABLE, text)
    return Failure(FailureKind.RECORD, text)
