"""Writing in calls of several entries, as SQS, SNS and EventBridge take and answer them.

Rules of this file: calls go one after the other, in order. One call that fails says little of the next one;
three outages in a row do, and so does an error of who we are or where the service is: what is left of the
batch then fails with it, unsent. A call that is refused for its content is cut in halves until it is known
whose content it was. Called by destinations.py and event_bridge.py.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from tailrace.aws.errors import verdict
from tailrace.errors import SinkError, SinkOutage
from tailrace.ports import Failure, FailureKind, Outcome, RecordBatch
from tailrace.sinks.calling import failure_of
from tailrace.sinks.messages import Failures, Message, Refusals, Size, body_bytes, in_chunks, sendable

ENTRIES: Final = 10
OUTAGES_IN_A_ROW: Final = 3
Send = Callable[[Sequence[Message]], Awaitable[Refusals]]


async def write_entries(
    batch: RecordBatch,
    send: Send,
    *,
    most: int = ENTRIES,
    most_bytes: int,
    receiver: str,
    size: Size = body_bytes,
) -> Outcome:
    """Send a batch in calls of at most `most` entries that weigh at most `most_bytes` together; `send`
    answers with what was refused, by index.
    """
    failures = Failures()
    broken: Failure | None = None
    outages = 0
    for chunk in in_chunks(sendable(batch, failures, most_bytes, receiver, size), most, most_bytes, size):
        ready = [message for message in chunk if not failures.holds_back(message.record)]
        if broken is not None:
            for message in ready:
                failures.add(message, broken)
            continue
        try:
            refused = await _send(ready, send) if ready else {}
        except SinkError as error:
            failure = failure_of(error)
            outages += 1
            if error.hint is not None or outages >= OUTAGES_IN_A_ROW:
                broken = failure
            refused = dict.fromkeys(range(len(ready)), failure)
        else:
            outages = 0 if ready else outages
        for index, failure in refused.items():
            failures.add(ready[index], failure)
    return failures.outcome


async def _send(messages: Sequence[Message], send: Send) -> Refusals:
    """Send, and when the whole call is refused for what it holds, its halves. Raises: SinkOutage."""
    try:
        return await send(messages)
    except SinkOutage:
        raise
    except SinkError as error:
        if len(messages) == 1:
            return {0: failure_of(error)}
    middle = len(messages) // 2
    first = await _send(messages[:middle], send)
    try:
        second = await _send(messages[middle:], send)
    except SinkOutage as error:  # the first half is sent: only the second is to be sent again
        second = dict.fromkeys(range(len(messages) - middle), failure_of(error))
    return {**first, **{middle + index: failure for index, failure in second.items()}}


def refused_entry(entry: Any, *, is_ours: bool = True) -> Failure:
    """What one entry's error says: see aws/errors.py; what the service calls its own fault is an outage."""
    code = str(entry.get("Code") or entry.get("ErrorCode") or "")
    words = str(entry.get("Message") or entry.get("ErrorMessage") or "")
    text = f"{code}: {words}".rstrip(": ")
    judged = verdict(code, words)
    if judged.hint is not None:
        text = f"{text}\n  next: {judged.hint}"
    if judged.kind is FailureKind.RECORD and not is_ours:
        return Failure(FailureKind.UNAVAILABLE, text)
    return Failure(judged.kind, text, final=judged.is_final)
