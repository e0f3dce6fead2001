"""Data streams come, are looked up by name or ARN, and go.

Rules of this file: the present status is computed from the clock; without `aws_delays` a stream works at
once. A deleted stream's shards are never seen again, its records are left to housekeeping. Source: semantics
§5.1, §5.3; AWS API Reference, CreateStream, DeleteStream.
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from tailrace.engine.catalog import Namespace
from tailrace.engine.kinesis.catalog import DataParts, DataStreamState
from tailrace.engine.kinesis.documents import (
    DATA_STREAM_DELAYS_MS,
    DataStreamDocument,
    StreamBusy,
    StreamMode,
    StreamStatus,
)
from tailrace.errors import ApiError, validation_error
from tailrace.streams.dates import spoken
from tailrace.streams.kinesis.data_shards import SECOND_MS, initial_shards
from tailrace.streams.kinesis.names import data_stream_arn, read_data_stream_arn

NOT_FOUND: Final = "ResourceNotFoundException"
IN_USE: Final = "ResourceInUseException"
LIMIT: Final = "LimitExceededException"
ON_DEMAND_SHARDS: Final = 4
SHARDS_AN_ACCOUNT: Final = 20_000
ON_DEMAND_STREAMS: Final = 50
CREATING_AT_ONCE: Final = 5
WARM_MIBPS: Final = 10_240
"""Ten gibibytes a second."""
OVER_SHARDS: Final = (
    "This request would exceed the shard limit for the account {0} in {1}. Current shard count for the "
    "account: {2}. Limit: {3}. Number of additional shards that would have resulted from this request: {4}. "
    "Refer to the AWS Service Limits page "
    "(http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and "
    "how to request higher limits."
)


class NewDataStream(Struct, frozen=True):
    """What CreateStream is told. Shape: without `shards` an on-demand stream begins with four."""

    name: str
    mode: StreamMode = "PROVISIONED"
    shards: int | None = None
    max_record_kib: int | None = None
    warm_mibps: int | None = None
    tags: Mapping[str, str] = {}


class DataStreams(Struct, frozen=True):
    """The data streams of one account and region."""

    _parts: DataParts
    _namespace: Namespace

    # ---- which one -----------------------------------------------------------------------------------------

    def named(self, name: str | None, arn: str | None = None) -> DataStreamState:
        """A stream in any state. Raises: ApiError (ResourceNotFoundException; InvalidArgumentException where
        name and ARN do not agree, or neither is there).
        """
        stream = self.settled(self._arn(name, arn))
        if stream is None:
            account = self._namespace.account
            if arn is not None and (parts := read_data_stream_arn(arn)) is not None:
                name, account = parts.stream, parts.account
            raise ApiError(NOT_FOUND, f"Stream {name} under account {account} not found.")
        return stream

    def usable(self, name: str | None, arn: str | None = None) -> DataStreamState:
        """A stream that can be written and read. Raises: ApiError; one that is not there yet, or not any
        more, is not found.
        """
        stream = self.named(name, arn)
        if not stream.is_usable:
            raise ApiError(NOT_FOUND, f"{stream.title} not found.")
        return stream

    def idle(self, name: str | None, arn: str | None = None) -> DataStreamState:
        """A stream that may be changed. Raises: ApiError (ResourceInUseException while it is not ACTIVE)."""
        stream = self.named(name, arn)
        if stream.document.busy is not None:
            raise ApiError(
                IN_USE,
                f"{stream.title} not ACTIVE, instead in state {stream.document.busy}",
            )
        return stream

    def arn_of(self, name: str) -> str:
        """The ARN that a stream of this name has here, whether or not there is one."""
        return data_stream_arn(self._namespace.region, self._namespace.account, name)

    def _arn(self, name: str | None, arn: str | None) -> str:
        if arn is None:
            if name is None:
                raise ApiError(
                    "InvalidArgumentException", "Either StreamName or StreamARN must be specified."
                )
            return self.arn_of(name)
        parts = read_data_stream_arn(arn)
        if parts is None:
            raise ApiError("InvalidArgumentException", f"StreamARN {arn} is not the ARN of a data stream.")
        if name is not None and name != parts.stream:
            raise ApiError(
                "InvalidArgumentException", f"StreamName {name} and StreamARN {arn} are not of one stream."
            )
        if self._parts.settings.one_namespace:
            return self.arn_of(parts.stream)
        return data_stream_arn(*parts)

    def settled(self, arn: str) -> DataStreamState | None:
        """A stream of this account and region, its waiting ended when its time has come; None: there is
        none.
        """
        stream = self._parts.streams.streams.get(arn)
        if stream is None or stream.namespace is not self._namespace:
            return None
        return settle_data_stream(self._parts, stream)

    def require_created(self, stream: DataStreamState, created_ms: int) -> None:
        """Require that a stream is the one of this creation time: others had its name. Raises: ApiError."""
        if stream.document.created_ms // SECOND_MS != created_ms // SECOND_MS:
            raise ApiError(
                NOT_FOUND,
                f"{stream.title} that was created at {spoken(created_ms)} not found.",
            )

    def all(self) -> list[DataStreamState]:
        """All of them, by their names."""
        settled = (self.settled(stream.arn) for stream in self._parts.streams.in_namespace(self._namespace))
        return [stream for stream in settled if stream is not None]

    def status(self, stream: DataStreamState) -> StreamStatus:
        """As it was settled last."""
        return stream.document.busy or "ACTIVE"

    # ---- coming and going ----------------------------------------------------------------------------------

    def create(self, new: NewDataStream) -> DataStreamState:
        """CreateStream. Raises: ApiError."""
        parts, namespace = self._parts, self._namespace
        if self.settled(self.arn_of(new.name)) is not None:
            raise ApiError(IN_USE, f"Stream {new.name} under account {namespace.account} already exists.")
        count = self._first_shards(new)
        self.require_room(count)
        streams = self.all()
        if sum(stream.document.busy == "CREATING" for stream in streams) >= CREATING_AT_ONCE:
            raise ApiError(LIMIT, f"At most {CREATING_AT_ONCE} streams may be in the CREATING state at once.")
        if new.mode == "ON_DEMAND":
            self.require_on_demand()
        self.require_warm(new.name, new.mode, new.warm_mibps)
        wall_ms = parts.clock.now().wall_ms
        number = parts.catalog.take_shard_numbers(count)
        document = DataStreamDocument(
            namespace.region,
            namespace.account,
            new.name,
            wall_ms,
            tuple(initial_shards(count, number, wall_ms)),
            next_index=count,
            mode=new.mode,
            warm_mibps=new.warm_mibps,
            tags=dict(new.tags),
        )
        if new.max_record_kib is not None:
            document = replace(document, max_record_kib=new.max_record_kib)
        return parts.streams.save(self.busy(document, "CREATING"), namespace)

    def _first_shards(self, new: NewDataStream) -> int:
        if new.mode == "ON_DEMAND":
            if new.shards is not None:
                raise validation_error(
                    f"ShardCount {new.shards} must not be specified for stream {new.name}: its mode is "
                    "ON_DEMAND."
                )
            return ON_DEMAND_SHARDS
        if new.shards is None:
            raise validation_error(
                f"ShardCount must be specified for stream {new.name}: its mode is PROVISIONED."
            )
        return new.shards

    def require_room(self, more: int) -> None:
        """Require that the account may have so many open shards more. Raises: ApiError."""
        count = self.open_shards()
        if count + more > SHARDS_AN_ACCOUNT:
            account, region = self._namespace.account, self._namespace.region
            raise ApiError(LIMIT, OVER_SHARDS.format(account, region, count, SHARDS_AN_ACCOUNT, more))

    def require_on_demand(self) -> None:
        """Require that the account may have one on-demand stream more. Raises: ApiError."""
        if self.on_demand() >= ON_DEMAND_STREAMS:
            raise ApiError(
                LIMIT,
                f"Account {self._namespace.account} has {ON_DEMAND_STREAMS} on-demand streams in "
                f"{self._namespace.region}, which is the limit.",
            )

    def open_shards(self) -> int:
        """How many open shards the account has in its provisioned streams."""
        return sum(len(stream.open_shards) for stream in self.all() if stream.document.mode == "PROVISIONED")

    def on_demand(self) -> int:
        """How many of its streams are on demand."""
        return sum(stream.document.mode == "ON_DEMAND" for stream in self.all())

    def require_warm(self, name: str, mode: StreamMode, mibps: int | None) -> None:
        """Require that a stream may have warm throughput: on demand, in an account that has committed to a
        minimum throughput. Raises: ApiError.
        """
        if mibps is None:
            return
        if mode != "ON_DEMAND":
            raise validation_error(f"WarmThroughputMiBps is not for stream {name}: its mode is {mode}.")
        if not self._parts.streams.account(self._namespace).is_committed:
            raise validation_error(
                f"WarmThroughputMiBps is not for stream {name}: account {self._namespace.account} does "
                "not have MinimumThroughputBillingCommitment enabled."
            )
        if mibps > WARM_MIBPS:
            raise validation_error(f"WarmThroughputMiBps {mibps} of stream {name} is above {WARM_MIBPS}.")

    def busy(self, document: DataStreamDocument, busy: StreamBusy) -> DataStreamDocument:
        """The document of a stream that has begun to change: with `aws_delays` it is not done at once."""
        parts = self._parts
        if not parts.settings.aws_delays:
            return document
        until_ms = parts.clock.now().wall_ms + DATA_STREAM_DELAYS_MS[busy]
        return replace(document, busy=busy, busy_until_ms=until_ms)

    def save(self, stream: DataStreamState, **changes: Any) -> DataStreamState:
        """Keep a stream with other settings."""
        return self._parts.streams.save(replace(stream.document, **changes), stream.namespace)

    def update(self, stream: DataStreamState, **changes: Any) -> None:
        """The same of what clients wait for: with delays the stream is UPDATING from now on."""
        document = self.busy(replace(stream.document, **changes), "UPDATING")
        self._parts.streams.save(document, stream.namespace)

    def delete(self, stream: DataStreamState, *, with_consumers: bool) -> None:
        """DeleteStream; it need not be ACTIVE. Raises: ApiError (ResourceInUseException while it has
        consumers and they are not to go too).
        """
        if stream.document.busy == "DELETING":
            return
        if stream.document.consumers and not with_consumers:
            raise ApiError(
                IN_USE,
                f"{stream.title} has registered consumers and EnforceConsumerDeletion is not true.",
            )
        document = self.busy(replace(stream.document, consumers=()), "DELETING")
        if document.busy == "DELETING":
            self._parts.streams.save(document, stream.namespace)
        else:
            self._parts.streams.remove(stream)


def settle_data_stream(parts: DataParts, stream: DataStreamState) -> DataStreamState | None:
    """End a stream's waiting, and its consumers', when their time has come. Returns: None when it is gone."""
    document, wall_ms = stream.document, parts.clock.now().wall_ms
    if document.busy is not None and wall_ms >= document.busy_until_ms:
        if document.busy == "DELETING":
            parts.streams.remove(stream)
            return None
        document = replace(document, busy=None)
    if any(
        consumer.busy is not None and wall_ms >= consumer.busy_until_ms for consumer in document.consumers
    ):
        consumers = tuple(
            replace(consumer, busy=None) if wall_ms >= consumer.busy_until_ms else consumer
            for consumer in document.consumers
            if not (consumer.busy == "DELETING" and wall_ms >= consumer.busy_until_ms)
        )
        document = replace(document, consumers=consumers)
    if document is not stream.document:
        parts.streams.save(document, stream.namespace)
    return stream
