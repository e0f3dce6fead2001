"""SQS, SNS, S3 and a directory: on-failure destinations, the first two sinks as well.

Rules of this file: each delivers one failure document and says nothing else; what it raises means that
nothing was delivered. Repeating a delivery may send a message twice and writes the same object again.
Declared as `Discard(to=…)`, called by deadletters/run/courier.py; as sinks through `app.sink`. Source:
semantics §2.8.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Protocol

from tailrace.app.sinking import AlwaysOpen
from tailrace.errors import Refused, SettingsError, SinkError
from tailrace.ports import Outcome, RecordBatch
from tailrace.runtime.threads import in_thread
from tailrace.sinks.aws import EVERYWHERE, AwsAccess
from tailrace.sinks.entries import ENTRIES, refused_entry, write_entries
from tailrace.sinks.messages import Message, Refusals

QUEUE_BYTES: Final = 1_048_576
TOPIC_BYTES: Final = 262_144
"""What a message may weigh with its attributes, and all messages of one call together. Sources: SQS and SNS
quotas (SQS: since August 2025).
"""


class RenderedDocument(Protocol):
    """One failure document in both forms."""

    @property
    def message(self) -> bytes:
        """Without records, for queues."""

    @property
    def object(self) -> bytes:
        """With the whole event, for objects."""

    @property
    def object_name(self) -> str:
        """The object's name: the same whenever it is delivered."""


@dataclass(frozen=True, slots=True)
class Sqs(AlwaysOpen):
    """A queue, by its URL or ARN. Shape: a message above `most_bytes`, with its attributes, is not sent: it
    is given up at once.
    """

    queue: str
    access: AwsAccess = EVERYWHERE
    most_bytes: int = QUEUE_BYTES
    _urls: dict[str, str] = field(default_factory=dict, init=False, repr=False, compare=False)

    async def deliver(self, failure: RenderedDocument) -> None:
        """Send the message. Raises: Throttled, Unavailable, SinkError, SettingsError."""
        body = _fitting(failure.message, self.queue, self.most_bytes)
        await self.access.call("sqs", "send_message", QueueUrl=await self._url(), MessageBody=body)

    @property
    def keys_at_once(self) -> int:
        """A call takes so many messages, each of another item."""
        return ENTRIES

    @property
    def tells_repeats(self) -> bool:
        """Whether a FIFO queue drops a repeated message: by its deduplication id, for five minutes."""
        return self.queue.endswith(".fifo")

    async def write(self, batch: RecordBatch) -> Outcome:
        """Send a message for each value or change; in a FIFO queue grouped by item, with the event id."""

        async def send(messages: Sequence[Message]) -> Refusals:
            entries = [
                {
                    "Id": str(index),
                    "MessageBody": message.body.decode(),
                    **self._order(message),
                    **_attributes(message, batch),
                }
                for index, message in enumerate(messages)
            ]
            url = await self._url()
            return _refused(
                await self.access.call("sqs", "send_message_batch", QueueUrl=url, Entries=entries)
            )

        return await write_entries(
            batch, send, most_bytes=self.most_bytes, receiver="the queue", size=partial(_weight, batch)
        )

    def _order(self, message: Message) -> dict[str, str]:
        return _fifo(message) if self.queue.endswith(".fifo") else {}

    async def _url(self) -> str:
        if not self.queue.startswith("arn:"):
            return self.queue
        if self.queue not in self._urls:
            *_, account, name = self.queue.split(":")
            answer = await self.access.call(
                "sqs", "get_queue_url", QueueName=name, QueueOwnerAWSAccountId=account
            )
            self._urls[self.queue] = answer["QueueUrl"]
        return self._urls[self.queue]


@dataclass(frozen=True, slots=True)
class Sns(AlwaysOpen):
    """A topic, by its ARN. Shape: a message above `most_bytes`, attributes included, is given up at once."""

    topic: str
    access: AwsAccess = EVERYWHERE
    most_bytes: int = TOPIC_BYTES

    async def deliver(self, failure: RenderedDocument) -> None:
        """Publish the message. Raises: Throttled, Unavailable, SinkError, SettingsError."""
        body = _fitting(failure.message, self.topic, self.most_bytes)
        await self.access.call("sns", "publish", TopicArn=self.topic, Message=body)

    async def tell(self, id: str, subject: str, body: bytes) -> None:
        """Publish one notice of an alert. Raises: Throttled, Unavailable, SinkError."""
        order = {"MessageGroupId": "tailrace", "MessageDeduplicationId": blake2b(id.encode()).hexdigest()}
        fifo = order if self.topic.endswith(".fifo") else {}
        text = body.decode()
        await self.access.call("sns", "publish", TopicArn=self.topic, Subject=subject, Message=text, **fifo)

    @property
    def keys_at_once(self) -> int:
        """A call takes so many messages, each of another item."""
        return ENTRIES

    @property
    def tells_repeats(self) -> bool:
        """Whether a FIFO topic drops a repeated message: by its deduplication id, for five minutes."""
        return self.topic.endswith(".fifo")

    async def write(self, batch: RecordBatch) -> Outcome:
        """Publish a message for each value or change; in a FIFO topic grouped by item, with the event id."""

        async def send(messages: Sequence[Message]) -> Refusals:
            is_fifo = self.topic.endswith(".fifo")
            entries = [
                {
                    "Id": str(index),
                    "Message": message.body.decode(),
                    **(_fifo(message) if is_fifo else {}),
                    **_attributes(message, batch),
                }
                for index, message in enumerate(messages)
            ]
            return _refused(
                await self.access.call(
                    "sns", "publish_batch", TopicArn=self.topic, PublishBatchRequestEntries=entries
                )
            )

        return await write_entries(
            batch, send, most_bytes=self.most_bytes, receiver="the topic", size=partial(_weight, batch)
        )


@dataclass(frozen=True, slots=True)
class S3:
    """A bucket, by its name or ARN; the object holds the whole event."""

    bucket: str
    access: AwsAccess = EVERYWHERE

    async def deliver(self, failure: RenderedDocument) -> None:
        """Put the object. Raises: Throttled, Unavailable, SinkError, SettingsError."""
        await self.access.call(
            "s3",
            "put_object",
            Bucket=self.bucket.removeprefix("arn:aws:s3:::"),
            Key=failure.object_name,
            Body=failure.object,
            ContentType="application/octet-stream",
        )


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory on this machine: the same objects as files. Written whole or not at all."""

    path: str | Path

    async def deliver(self, failure: RenderedDocument) -> None:
        """Write the file. Raises: SinkError."""
        try:
            await in_thread(self._write, failure)
        except OSError as error:
            raise SinkError(f"{self.path}: {error.strerror}") from error

    def _write(self, failure: RenderedDocument) -> None:
        place = Path(self.path) / f"{failure.object_name}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        beside = place.with_name(f".{place.name}.part")
        with beside.open("wb") as file:
            file.write(failure.object)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(place)


def _fifo(message: Message) -> dict[str, str]:
    # A group is at most 128 letters, a key may have 2,048 bytes of any kind.
    group = blake2b(message.record.key, digest_size=16).hexdigest()
    return {"MessageGroupId": group, "MessageDeduplicationId": message.id}


def _of_change(message: Message, batch: RecordBatch) -> dict[str, str]:
    return {"event_id": message.id, "event_name": message.record.event_name, "table": batch.stream.table}


def _attributes(message: Message, batch: RecordBatch) -> dict[str, Any]:
    return {
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": text}
            for name, text in _of_change(message, batch).items()
        }
    }


def _weight(batch: RecordBatch, message: Message) -> int:
    """A message as SQS counts it: body, and name, type and value of each attribute. Source: SQS quotas."""
    return len(message.body) + sum(
        len(name) + len("String") + len(text) for name, text in _of_change(message, batch).items()
    )


def _refused(answer: Any) -> Refusals:
    return {
        int(entry["Id"]): refused_entry(entry, is_ours=bool(entry.get("SenderFault", True)))
        for entry in answer.get("Failed", ())
    }


def _fitting(body: bytes, where: str, most_bytes: int) -> str:
    if len(body) > most_bytes:
        raise Refused(
            f"{where}: the failure document has {len(body):,} bytes, at most {most_bytes:,} are sent"
        )
    return body.decode()


def destination_of(arn: str, access: AwsAccess = EVERYWHERE) -> Any:
    """The destination behind an ARN, as Lambda's DestinationConfig names it. Raises: SettingsError."""
    match arn.split(":", 3):
        case ["arn", _, "sqs", _]:
            return Sqs(arn, access)
        case ["arn", _, "sns", _]:
            return Sns(arn, access)
        case ["arn", _, "s3", _]:
            return S3(arn, access)
    raise SettingsError(
        f"destination {arn!r} is not allowed; it is the ARN of an SQS queue, an SNS topic or an S3 bucket"
    )
