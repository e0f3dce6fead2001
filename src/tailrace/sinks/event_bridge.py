"""EventBridge as a sink: one event a value or change, on a bus.

Rules of this file: PutEvents answers for each entry, and the answer is believed. Declared as
`sinks.EventBridge(…)`, called through `app.sink`. Source: EventBridge API Reference, PutEvents. Stands alone
as every sink that is declared does: one is loaded without the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tailrace.app.sinking import AlwaysOpen
from tailrace.ports import Outcome, RecordBatch
from tailrace.sinks.aws import EVERYWHERE, AwsAccess
from tailrace.sinks.entries import ENTRIES, refused_entry, write_entries
from tailrace.sinks.messages import Message, Refusals

BUS_BYTES: Final = 1_048_576
"""What an event may weigh, and all events of one call together. Source: EventBridge User Guide, "PutEvents
event entry size" (1 MB since January 2026).
"""
EVENT_ID: Final = "tailrace:event/"
TIME_BYTES: Final = 14
"""What an event's time counts for. Source: the same."""


@dataclass(frozen=True, slots=True)
class EventBridge(AlwaysOpen):
    """A bus, by its name or ARN.

    Shape:   each event has two resources: the stream's ARN, and `tailrace:event/` with the change's event id,
             the same when it is repeated. `detail_type` and `source` are what rules match; the value, or the
             change document, is the detail. An event above `most_bytes`, with what is around its detail, is
             not put: it is given up at once.
    """

    bus: str = "default"
    detail_type: str = "Change"
    source: str = "tailrace"
    access: AwsAccess = EVERYWHERE
    most_bytes: int = BUS_BYTES

    @property
    def keys_at_once(self) -> int:
        """A call takes so many events, each of another item."""
        return ENTRIES

    @property
    def tells_repeats(self) -> bool:
        """Whether a rule's target can tell a repeated event: by the id among its resources."""
        return True

    async def write(self, batch: RecordBatch) -> Outcome:
        """Put an event for each message. Raises: SettingsError."""

        async def send(messages: Sequence[Message]) -> Refusals:
            entries = [
                {
                    "Source": self.source,
                    "DetailType": self.detail_type,
                    "Detail": message.body.decode(),
                    "EventBusName": self.bus,
                    "Time": message.record.created_ms / 1_000,
                    "Resources": [batch.stream.arn, f"{EVENT_ID}{message.id}"],
                }
                for message in messages
            ]
            answer = await self.access.call("events", "put_events", Entries=entries)
            if not answer.get("FailedEntryCount"):
                return {}
            return {
                index: refused_entry(entry)
                for index, entry in enumerate(answer["Entries"])
                if entry.get("ErrorCode")
            }

        around = TIME_BYTES + sum(
            len(text.encode()) for text in (self.source, self.detail_type, batch.stream.arn, EVENT_ID)
        )
        return await write_entries(
            batch,
            send,
            most_bytes=self.most_bytes,
            receiver="the bus",
            size=lambda message: around + len(message.id) + len(message.body),
        )
