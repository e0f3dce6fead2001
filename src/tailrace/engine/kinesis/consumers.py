"""Registered consumers of data streams: who may subscribe to shards.

Rules of this file: a consumer is kept in its stream's document; its present status is computed from the
clock, as a stream's is. A name that is registered again gets another ARN. Source: semantics §5.4; AWS API
Reference, RegisterStreamConsumer and its kin. Texts that no source shows are marked [U].
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from tailrace.engine.kinesis.catalog import DataParts, DataStreamState
from tailrace.engine.kinesis.documents import (
    DATA_STREAM_DELAYS_MS,
    ConsumerDocument,
    ConsumerStatus,
    DataStreamDocument,
)
from tailrace.engine.kinesis.lifecycle import IN_USE, LIMIT, NOT_FOUND, DataStreams
from tailrace.engine.kinesis.tagging import check_data_tags
from tailrace.errors import ApiError
from tailrace.streams.kinesis.names import read_consumer_arn
from tailrace.streams.kinesis.tokens import ListToken
from tailrace.streams.moment import Moment

CONSUMERS: Final = 20
COMMITTED_CONSUMERS: Final = 50
"""Of an on-demand stream of an account that has committed to a minimum throughput."""
CREATING_AT_ONCE: Final = 5
CONSUMERS_A_PAGE: Final = 100
INVALID: Final = "InvalidArgumentException"


class StreamConsumer(NamedTuple):
    """A consumer as it is now, and its stream."""

    stream: DataStreamState
    document: ConsumerDocument

    @property
    def arn(self) -> str:
        """What clients subscribe with."""
        return self.document.arn_in(self.stream.arn)

    @property
    def status(self) -> ConsumerStatus:
        """As it was settled last."""
        return self.document.busy or "ACTIVE"


class DataConsumers(Struct, frozen=True):
    """The consumers of one account's streams."""

    _parts: DataParts
    _streams: DataStreams

    # ---- which one -----------------------------------------------------------------------------------------

    def subscribing(self, arn: str) -> StreamConsumer:
        """A consumer that may subscribe. Raises: ApiError (ResourceNotFoundException; ResourceInUseException
        while it is not ACTIVE).
        """
        consumer = self.named(None, None, arn)
        if consumer.document.busy is not None:
            raise ApiError(
                IN_USE,
                f"Consumer {consumer.document.name} of stream {consumer.stream.name} under account "
                f"{consumer.stream.document.account} is not ACTIVE, but {consumer.status}.",
            )
        return consumer

    def named(self, stream_arn: str | None, name: str | None, arn: str | None) -> StreamConsumer:
        """A consumer by its ARN, or by its stream's and its name, or by all of them where they agree. Raises:
        ApiError.
        """
        parsed = None if arn is None else read_consumer_arn(arn)
        if arn is not None and parsed is None:
            raise ApiError(INVALID, f"ConsumerARN {arn} is not the ARN of a consumer.")
        if parsed is None and (stream_arn is None or name is None):
            raise ApiError(INVALID, "Either ConsumerARN, or StreamARN and ConsumerName, must be specified.")
        if parsed is not None and (stream_arn or parsed.stream, name or parsed.consumer) != parsed[:2]:
            raise ApiError(INVALID, f"StreamARN and ConsumerName are not those of the consumer {arn}.")
        stream = self._streams.usable(None, stream_arn if parsed is None else parsed.stream)
        wanted = name if parsed is None else parsed.consumer
        for document in stream.document.consumers:
            if document.name == wanted and arn in (None, document.arn_in(stream.arn)):
                return StreamConsumer(stream, document)
        raise ApiError(
            NOT_FOUND,
            f"Consumer {wanted} of {stream} not found.",
        )

    # ---- coming and going ----------------------------------------------------------------------------------

    def register(self, stream_arn: str, name: str, tags: Mapping[str, str]) -> StreamConsumer:
        """RegisterStreamConsumer. Raises: ApiError."""
        stream = self._streams.usable(None, stream_arn)
        document, account = stream.document, stream.document.account
        check_data_tags(name, tags)
        if any(consumer.name == name for consumer in document.consumers):
            raise ApiError(
                IN_USE,
                f"Consumer {name} of {stream} already exists.",
            )
        if sum(consumer.busy == "CREATING" for consumer in document.consumers) >= CREATING_AT_ONCE:
            raise ApiError(
                LIMIT,
                f"At most {CREATING_AT_ONCE} consumers of {stream} may be in the CREATING state at once.",
            )
        most = self._most(document, stream)
        if len(document.consumers) >= most:
            raise ApiError(
                LIMIT,
                f"Stream {stream.name} under account {account} has {most} registered consumers, which is the "
                "limit.",
            )
        wall_ms = self._parts.clock.now().wall_ms
        consumer = ConsumerDocument(name, wall_ms, tags=dict(tags))
        if self._parts.settings.aws_delays:
            until_ms = wall_ms + DATA_STREAM_DELAYS_MS["CREATING"]
            consumer = replace(consumer, busy="CREATING", busy_until_ms=until_ms)
        return StreamConsumer(self._streams.save(stream, consumers=(*document.consumers, consumer)), consumer)

    def _most(self, document: DataStreamDocument, stream: DataStreamState) -> int:
        is_committed = self._parts.streams.account(stream.namespace).is_committed
        return COMMITTED_CONSUMERS if document.mode == "ON_DEMAND" and is_committed else CONSUMERS

    def deregister(self, consumer: StreamConsumer) -> None:
        """DeregisterStreamConsumer; its subscriptions end."""
        stream, gone = consumer
        changed: tuple[ConsumerDocument, ...] = ()
        if self._parts.settings.aws_delays:
            until_ms = self._parts.clock.now().wall_ms + DATA_STREAM_DELAYS_MS["DELETING"]
            changed = (replace(gone, busy="DELETING", busy_until_ms=until_ms),)
        self._put(stream, gone, changed)

    def tag(self, consumer: StreamConsumer, tags: Mapping[str, str]) -> None:
        """The same consumer with exactly these tags. Raises: ApiError."""
        check_data_tags(consumer.document.name, tags)
        self._put(consumer.stream, consumer.document, (replace(consumer.document, tags=dict(tags)),))

    def _put(
        self, stream: DataStreamState, before: ConsumerDocument, after: tuple[ConsumerDocument, ...]
    ) -> None:
        others = (one for one in stream.document.consumers if one is not before)
        self._streams.save(stream, consumers=(*others, *after))

    # ---- telling -------------------------------------------------------------------------------------------

    def listed(self, stream: DataStreamState, after: str, limit: int) -> dict[str, Any]:
        """ListStreamConsumers: those whose names come after `after`, by name."""
        following = sorted(
            (one for one in stream.document.consumers if one.name > after), key=lambda one: one.name
        )
        page = following[:limit]
        answer: dict[str, Any] = {
            "Consumers": [described_consumer(StreamConsumer(stream, one)) for one in page]
        }
        if len(following) > len(page):
            wall_ms = self._parts.clock.now().wall_ms
            answer["NextToken"] = ListToken("consumers", stream.arn, page[-1].name, wall_ms).text
        return answer


def described_consumer(consumer: StreamConsumer) -> dict[str, Any]:
    """A consumer as clients see it, without its stream."""
    return {
        "ConsumerName": consumer.document.name,
        "ConsumerARN": consumer.arn,
        "ConsumerStatus": consumer.status,
        "ConsumerCreationTimestamp": Moment(consumer.document.created_ms),
    }
