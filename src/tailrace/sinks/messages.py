"""What a batch is to a service that takes messages: one body a record, with its key, its id and its place.

Rules of this file: a batch of a handler's values has a message a value; a batch of changes has a change
document a record. The id is the event id, so that a receiver can tell a repeated message. Used by every
sink here.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from tailrace.errors import SinkError
from tailrace.ports import Failed, Failure, Outcome, RecordBatch, Written
from tailrace.sinks.documents import change_document, to_json
from tailrace.streams.envelopes import event_id
from tailrace.streams.record import ChangeRecord

WRITTEN: Final = Written()


class Message(Struct, frozen=True):
    """One message. Shape: `place` is the record's index in the batch; `id` is unique within a record."""

    place: int
    record: ChangeRecord
    body: bytes
    id: str


def messages_of(batch: RecordBatch) -> Iterator[Message | tuple[int, Failure]]:
    """The messages of a batch, in order; a place and a failure for what is no JSON."""
    seen: Counter[int] = Counter()
    for place, record in enumerate(batch.records):
        number = seen[record.sequence]
        seen[record.sequence] += 1
        try:
            value = change_document(record, batch.stream) if batch.values is None else batch.values[place]
            body = to_json(value)
        except SinkError as error:
            yield place, Failure(error=str(error), final=True)
            continue
        yield Message(place, record, body, event_id(record) + (f"-{number}" if number else ""))


class Failures:
    """What failed so far, and what therefore must not be sent: later messages of the same item."""

    def __init__(self) -> None:
        self.by_place: dict[int, Failure] = {}
        self._keys: set[bytes] = set()

    def add(self, message: Message, failure: Failure) -> None:
        """A message was refused."""
        self.by_place.setdefault(message.place, failure)
        self._keys.add(message.record.key)

    def add_record(self, place: int, record: ChangeRecord, failure: Failure) -> None:
        """Why no message could be made of it."""
        self.by_place.setdefault(place, failure)
        self._keys.add(record.key)

    def holds_back(self, record: ChangeRecord) -> bool:
        """Whether an earlier message of this item failed."""
        return record.key in self._keys

    @property
    def outcome(self) -> Outcome:
        """What is told of the batch."""
        return Failed(dict(sorted(self.by_place.items()))) if self.by_place else WRITTEN


Size = Callable[[Message], int]


def body_bytes(message: Message) -> int:
    """What a message weighs where its body is all that counts. Units: bytes."""
    return len(message.body)


def sendable(
    batch: RecordBatch, failures: Failures, most_bytes: int, receiver: str, size: Size = body_bytes
) -> Iterator[Message]:
    """The messages that may be sent, one after the other; what is too large or no JSON joins the failures."""
    for rendered in messages_of(batch):
        place = rendered.place if isinstance(rendered, Message) else rendered[0]
        record = batch.records[place]
        if failures.holds_back(record):
            continue
        if not isinstance(rendered, Message):
            failures.add_record(place, record, rendered[1])
        elif size(rendered) > most_bytes:
            text = (
                f"the message has {size(rendered):,} bytes, and {receiver} takes at most {most_bytes:,} "
                "(most_bytes)"
            )
            failures.add(rendered, Failure(error=text, final=True))
        else:
            yield rendered


def in_chunks(
    messages: Iterable[Message], most: int, most_bytes: int, size: Size = body_bytes
) -> Iterator[list[Message]]:
    """Groups for one call, never with two messages of one item: none overtakes one that fails."""
    chunk: list[Message] = []
    keys: set[bytes] = set()
    total = 0
    for message in messages:
        weight = size(message)
        if chunk and (len(chunk) == most or total + weight > most_bytes or message.record.key in keys):
            yield chunk
            chunk, keys, total = [], set(), 0
        chunk.append(message)
        keys.add(message.record.key)
        total += weight
    if chunk:
        yield chunk


def by_key(messages: Sequence[Message]) -> Sequence[list[Message]]:
    """Messages of one item together, in order."""
    groups: dict[bytes, list[Message]] = {}
    for message in messages:
        groups.setdefault(message.record.key, []).append(message)
    return list(groups.values())


Refusals = Mapping[int, Failure]
"""Failures by the index of a message in its chunk."""
