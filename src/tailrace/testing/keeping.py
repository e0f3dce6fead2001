"""What the sinks of a world would have sent: kept instead, decoded, in order.

Theory of operation: the real sinks run up to where a request would leave (sinks/intercepting.py), so their
checks, entries, headers and ids are those of production; there it is taken apart into one `Sent` a message.
Rules of this file: everything is accepted, nothing is judged. Laid around sinks and on-failure destinations
by faulting.py, read by `world.sent`.
"""

import json
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from tailrace.app.alerting import AlertSink
from tailrace.app.plain import to_plain_item
from tailrace.ports import Clock, Outcome, RecordBatch, Sink
from tailrace.sinks.intercepting import KEEPER, ServiceCall
from tailrace.testing.journal import Journal


@dataclass(frozen=True, slots=True)
class Sent:
    """One message, event, item, object or request that a sink would have sent.

    Shape:   `to` is the queue, topic, bus, table, bucket, index or address; `body` what it says, decoded
             (JSON with exact numbers, an item's plain values; of a removal in DynamoDB its key); `request` is
             the whole entry as the service would have been given it; `service` and `operation` as boto3 names
             them ("sqs", "send_message_batch"), or "webhook" and "post", "opensearch" and "index",
             "postgresql" and "put".
    """

    to: str
    body: Any
    request: Mapping[str, Any]
    service: str
    operation: str


class KeptWrites:
    """Everything that was kept in a world, by handler."""

    def __init__(self, journal: Journal) -> None:
        self._sent: dict[str, list[Sent]] = {}
        self._journal = journal

    def of(self, handler: str) -> list[Sent]:
        """What a handler's sink and its destination were given, in order."""
        return list(self._sent.get(handler, ()))

    def keep(self, handler: str, request: ServiceCall) -> Any:
        """Keep a request. Returns: the answer of a service that accepts it."""
        entries, answer = _taken(request)
        for sent in entries:
            self._journal.note("{} → {} {}, kept", handler, request.service, sent.to)
        self._sent.setdefault(handler, []).extend(entries)
        return answer


class KeepingSink:
    """A sink whose requests are kept."""

    def __init__(self, sink: Sink, handler: str, kept: KeptWrites) -> None:
        self._sink = sink
        self._handler = handler
        self._kept = kept

    async def open(self, clock: Clock) -> None:
        """Open it; what it sends for that is kept too."""
        with self._keeping():
            await self._sink.open(clock)

    async def write(self, batch: RecordBatch) -> Outcome:
        """What the sink says when everything that it sends is accepted."""
        with self._keeping():
            return await self._sink.write(batch)

    async def close(self) -> None:
        """Close it; what it sends for that is kept too."""
        with self._keeping():
            await self._sink.close()

    @contextmanager
    def _keeping(self) -> Iterator[None]:
        token = KEEPER.set(lambda request: self._kept.keep(self._handler, request))
        try:
            yield
        finally:
            KEEPER.reset(token)


class KeepingDestination:
    """An on-failure destination whose requests are kept."""

    def __init__(self, destination: Any, handler: str, kept: KeptWrites) -> None:
        self._destination = destination
        self._handler = handler
        self._kept = kept

    async def deliver(self, failure: Any) -> None:
        """Let the destination make its request, and keep that."""
        token = KEEPER.set(lambda request: self._kept.keep(self._handler, request))
        try:
            await self._destination.deliver(failure)
        finally:
            KEEPER.reset(token)


ALERTS: Final = "app.alerts"
"""What alerts are kept under: no handler can have this name."""


class KeepingAlertSink:
    """Who is told of alerts, whose requests are kept."""

    def __init__(self, sink: AlertSink, kept: KeptWrites) -> None:
        self._sink = sink
        self._kept = kept

    async def open(self, clock: Clock) -> None:
        """Nothing is sent for that, as yet: a request of it would really leave."""
        await self._sink.open(clock)

    async def tell(self, id: str, subject: str, body: bytes) -> None:
        """Keep the request that it makes."""
        token = KEEPER.set(lambda request: self._kept.keep(ALERTS, request))
        try:
            await self._sink.tell(id, subject, body)
        finally:
            KEEPER.reset(token)

    def close(self) -> Awaitable[None]:
        """Nothing is sent for that."""
        return self._sink.close()


def _taken(request: ServiceCall) -> tuple[list[Sent], Any]:
    """The messages of a request, and what the service would have answered."""
    parameters, called = request.parameters, (request.service, request.operation)
    match called:
        case ("sqs", "get_queue_url"):
            name, account = parameters["QueueName"], parameters["QueueOwnerAWSAccountId"]
            return [], {"QueueUrl": f"https://sqs.{NOWHERE}/{account}/{name}"}
        case ("sqs", "send_message_batch"):
            return _batched(
                request, parameters["QueueUrl"], parameters["Entries"], lambda entry: entry["MessageBody"]
            )
        case ("sns", "publish_batch"):
            entries = parameters["PublishBatchRequestEntries"]
            return _batched(request, parameters["TopicArn"], entries, lambda entry: entry["Message"])
        case ("events", "put_events"):
            return [
                _sent(request, entry["EventBusName"], entry["Detail"], entry)
                for entry in parameters["Entries"]
            ], {
                "FailedEntryCount": 0,
                "Entries": [{"EventId": str(number)} for number in range(len(parameters["Entries"]))],
            }
        case ("sqs", "send_message"):
            return [_sent(request, parameters["QueueUrl"], parameters["MessageBody"], parameters)], {}
        case ("sns", "publish"):
            return [_sent(request, parameters["TopicArn"], parameters["Message"], parameters)], {}
        case ("s3", "put_object"):
            return [_sent(request, parameters["Bucket"], parameters["Body"], parameters)], {}
        case ("webhook", "post"):
            return [_sent(request, parameters["url"], parameters["body"], parameters)], {}
        case ("postgresql", _):
            return [Sent(parameters["table"], parameters["body"], parameters, *called)], {}
        case ("opensearch" | "elasticsearch", _):
            return [_sent(request, parameters["index"], parameters["body"], parameters)], {}
        case ("dynamodb", _):
            body = _plain(parameters.get("Item") or parameters.get("Key") or {})
            return [Sent(parameters["TableName"], body, parameters, *called)], {}
    return [Sent("", None, parameters, *called)], {}


NOWHERE: Final = "tailrace.invalid"
"""Names under .invalid never exist (RFC 6761)."""


def _batched(
    request: ServiceCall, to: str, entries: list[Mapping[str, Any]], body: Callable[[Mapping[str, Any]], Any]
) -> tuple[list[Sent], Any]:
    """Of a call with entries of their own answers: all of them successful."""
    sent = [_sent(request, to, body(entry), entry) for entry in entries]
    return sent, {"Successful": [{"Id": entry["Id"]} for entry in entries], "Failed": []}


def _sent(request: ServiceCall, to: str, body: str | bytes, entry: Mapping[str, Any]) -> Sent:
    return Sent(to, json.loads(body, parse_float=Decimal), entry, request.service, request.operation)


def _plain(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item as a boto3 client is given it, as plain values."""
    return to_plain_item({name: _wire(value) for name, value in item.items()})


def _wire(value: Any) -> Any:
    match value:
        case bytes():
            return b64encode(value).decode()
        case list():
            return [_wire(element) for element in value]
        case dict():
            return {name: _wire(element) for name, element in value.items()}
    return value
