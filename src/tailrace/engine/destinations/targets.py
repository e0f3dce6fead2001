"""The data streams that destinations name: whether they are there, and records put into them.

Rules of this file: the same door as PutRecord's, one record a call; nothing here waits or repeats. A stream
that is made anew under its name takes what waits. Called by `engine.destinations`.
"""

from typing import Literal, TypeAlias

from tailrace.engine.destinations import states
from tailrace.engine.destinations.documents import DestinationDocument
from tailrace.engine.kinesis.catalog import DataStreamState
from tailrace.engine.kinesis.kinesis import Kinesis
from tailrace.engine.kinesis.lifecycle import settle_data_stream
from tailrace.engine.kinesis.putting import KIB, DataEntry, DataPuts
from tailrace.streams.arns import parse_table_arn
from tailrace.streams.kinesis.names import data_stream_arn, read_data_stream_arn

Put: TypeAlias = Literal["taken", "throttled", "too large"]


class DestinationStreams:
    """Every data stream of the engine, as destinations see it."""

    def __init__(self, kinesis: Kinesis) -> None:
        self._parts = kinesis.parts
        self._puts = DataPuts(kinesis.parts, kinesis.rates)

    def wrong(self, document: DestinationDocument) -> str | None:
        """What AWS says of a stream that a destination cannot be enabled with, None: it can."""
        region, account = self._home(document)
        parts = read_data_stream_arn(document.stream_arn)
        if parts is not None and parts.region != region and not self._parts.settings.one_namespace:
            return states.OTHER_REGION
        stream = self._stream(document)
        if stream is None or stream.document.busy is not None or stream.document.account != account:
            return states.NOT_ACTIVE_STREAM
        return None

    def open(self, document: DestinationDocument) -> DataStreamState | None:
        """The stream, if records can be put into it now."""
        stream = self._stream(document)
        return stream if stream is not None and stream.is_usable else None

    def put(self, stream: DataStreamState, key: str, data: bytes) -> Put:
        """Put one record. Raises: StoreError."""
        if len(key) + len(data) > stream.document.max_record_kib * KIB:
            return "too large"
        (answer,) = self._puts.put(stream, [DataEntry(data, key)])
        return "taken" if answer.error is None else "throttled"

    def _stream(self, document: DestinationDocument) -> DataStreamState | None:
        parts = read_data_stream_arn(document.stream_arn)
        if parts is None:
            return None
        arn = document.stream_arn
        if self._parts.settings.one_namespace:
            settings = self._parts.settings
            arn = data_stream_arn(settings.region, settings.account, parts.stream)
        stream = self._parts.streams.streams.get(arn)
        return None if stream is None else settle_data_stream(self._parts, stream)

    def region_of(self, document: DestinationDocument) -> str:
        """The region that a record tells."""
        return self._home(document)[0]

    def _home(self, document: DestinationDocument) -> tuple[str, str]:
        """Region and account of its table."""
        arn = parse_table_arn(document.table)
        if arn is not None:
            return arn.region, arn.account
        return self._parts.settings.region, self._parts.settings.account
