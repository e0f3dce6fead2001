"""The events of a subscription to a shard, as frames, in JSON or CBOR.

Rules of this file: records are encoded once for everybody who reads them (`Encodings`); around them an event
is put together from bytes. Called by `subscribe_to_shard`. Stands alone because it knows how events are
written and nothing of when.
"""

from typing import Any, Final

from tailrace.api.event_stream import event_bytes, exception_bytes
from tailrace.api.listed import spliced
from tailrace.api.wire import CBOR, JSON_1_1, body_in
from tailrace.engine.kinesis.describing import described_child, described_record
from tailrace.engine.kinesis.fan_out import Encodings
from tailrace.streams.kinesis.data_records import DataPage, DataRecord

EVENT: Final = "SubscribeToShardEvent"
FIRST: Final = "initial-response"


class SubscriptionEvents:
    """Writes the events of one subscription. Shape: `kind` is the content type of the request."""

    def __init__(self, kind: bytes, encodings: Encodings) -> None:
        self._kind = CBOR if kind == CBOR else JSON_1_1
        self._name = self._kind.decode()
        self._encodings = encodings

    def first(self) -> bytes:
        """What every client waits for."""
        return event_bytes(FIRST, body_in(self._kind, {}), self._name)

    def event(self, page: DataPage, continuation: str) -> bytes:
        """Records, or none; at the end of a shard its children, and no number to go on with."""
        kind, encodings = self._kind, self._encodings
        records = [encodings.of(record, kind, self._record) for record in page.records]
        members: dict[str, Any] = {
            "ContinuationSequenceNumber": None if page.closed else continuation,
            "MillisBehindLatest": page.millis_behind,
        }
        if page.closed:
            members["ChildShards"] = [described_child(child) for child in page.children]
        return event_bytes(EVENT, spliced(kind, "Records", records, members), self._name)

    def _record(self, record: DataRecord) -> bytes:
        return body_in(self._kind, described_record(record))

    def exception(self, code: str, message: str) -> bytes:
        """An error inside the stream."""
        return exception_bytes(code, body_in(self._kind, {"message": message}), self._name)
