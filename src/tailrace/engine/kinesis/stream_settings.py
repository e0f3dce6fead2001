"""What of a data stream can be changed beside its shards: retention, mode, size of records, encryption,
monitoring, warm throughput, and what its account has committed to.

Rules of this file: a change asks for an ACTIVE stream; with `aws_delays` the stream is UPDATING afterwards.
What is encrypted is only told: no key of KMS is looked for. Source: semantics §5.3; fleet §4.2; AWS API
Reference. Texts that no source shows are marked [U].
"""

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from tailrace.engine.catalog import Namespace
from tailrace.engine.kinesis.catalog import DataParts, DataStreamState
from tailrace.engine.kinesis.documents import (
    HOUR_MS,
    LEAST_HOURS,
    MOST_HOURS,
    AccountDocument,
    StreamMode,
)
from tailrace.engine.kinesis.lifecycle import LIMIT, DataStreams
from tailrace.engine.kinesis.reading import DataReader
from tailrace.errors import ApiError, validation_error
from tailrace.streams.moment import Moment

INVALID: Final = "InvalidArgumentException"
DAY_MS: Final = 24 * HOUR_MS
MODES_A_DAY: Final = 2
METRICS: Final = (
    "IncomingBytes",
    "IncomingRecords",
    "OutgoingBytes",
    "OutgoingRecords",
    "WriteProvisionedThroughputExceeded",
    "ReadProvisionedThroughputExceeded",
    "IteratorAgeMilliseconds",
)
ALL: Final = "ALL"
COMMITMENT: Final = "MinimumThroughputBillingCommitment"


class StreamSettings(Struct, frozen=True):
    """Changes of one account's streams, and of what it says of itself."""

    _parts: DataParts
    _streams: DataStreams
    _reader: DataReader
    _namespace: Namespace

    # ---- retention -----------------------------------------------------------------------------------------

    def lengthen(self, stream: DataStreamState, hours: int) -> None:
        """IncreaseStreamRetentionPeriod: what has passed the shorter one does not come back. Raises:
        ApiError.
        """
        present = self._require_hours(stream, hours)
        if hours < present:
            raise ApiError(
                INVALID,
                f"Requested retention period ({hours} hours) for stream {stream.name} can not be shorter "
                f"than existing retention period ({present} hours). Use DecreaseRetentionPeriod API.",
            )
        self._retain(stream, hours)

    def shorten(self, stream: DataStreamState, hours: int) -> None:
        """DecreaseStreamRetentionPeriod: what has passed the shorter one is gone at once. Raises:
        ApiError.
        """
        present = self._require_hours(stream, hours)
        if hours > present:
            raise ApiError(
                INVALID,
                f"Requested retention period ({hours} hours) for stream {stream.name} can not be longer than "
                f"existing retention period ({present} hours). Use IncreaseRetentionPeriod API.",
            )
        self._retain(stream, hours)

    def _require_hours(self, stream: DataStreamState, hours: int) -> int:
        """Returns: the present retention."""
        if hours < LEAST_HOURS:
            raise ApiError(
                INVALID,
                f"Minimum allowed retention period is {LEAST_HOURS} hours. Requested retention period "
                f"({hours} hours) is too short.",
            )
        if hours > MOST_HOURS:
            raise ApiError(
                INVALID,
                f"Maximum allowed retention period is {MOST_HOURS} hours. Requested retention period "
                f"({hours} hours) is too long.",
            )
        return stream.document.retention_hours

    def _retain(self, stream: DataStreamState, hours: int) -> None:
        shortest = min(stream.document.retention_hours, hours)
        kept_from_ms = self._reader.horizon_ms(replace(stream.document, retention_hours=shortest))
        self._streams.update(stream, retention_hours=hours, kept_from_ms=kept_from_ms)

    # ---- mode and sizes ------------------------------------------------------------------------------------

    def switch(self, stream: DataStreamState, mode: StreamMode, warm_mibps: int | None) -> None:
        """UpdateStreamMode; shards stay as they are. Raises: ApiError."""
        document = stream.document
        if mode == document.mode:
            raise validation_error(f"{stream.title} is in {mode} mode already.")
        wall_ms = self._parts.clock.now().wall_ms
        recent = tuple(at_ms for at_ms in document.modes_ms if at_ms > wall_ms - DAY_MS)
        if len(recent) >= MODES_A_DAY:
            raise ApiError(
                LIMIT,
                f"The mode of {stream} was changed {MODES_A_DAY} times in the last 24 hours, which is "
                "the limit.",
            )
        if mode == "ON_DEMAND":
            self._streams.require_on_demand()
        else:
            self._streams.require_room(len(stream.open_shards))
        self._streams.require_warm(stream.name, mode, warm_mibps)
        self._streams.update(stream, mode=mode, modes_ms=(*recent, wall_ms), warm_mibps=warm_mibps)

    def resize_records(self, stream: DataStreamState, kib: int) -> None:
        """UpdateMaxRecordSize."""
        self._streams.update(stream, max_record_kib=kib)

    def warm(self, stream: DataStreamState, mibps: int) -> None:
        """UpdateStreamWarmThroughput. Raises: ApiError."""
        self._streams.require_warm(stream.name, stream.document.mode, mibps)
        self._streams.update(stream, warm_mibps=mibps)

    # ---- flags ---------------------------------------------------------------------------------------------

    def encrypt(self, stream: DataStreamState, kind: str, key_id: str, *, starts: bool) -> None:
        """StartStreamEncryption and StopStreamEncryption: records say so that are put from now on. Raises:
        ApiError.
        """
        if kind != "KMS":
            raise validation_error(f"EncryptionType {kind} is not one that a stream is encrypted with: KMS.")
        present = stream.document.key_id
        if not starts and present != key_id:
            raise ApiError(
                INVALID,
                f"{stream.title} is not encrypted with {key_id}.",
            )
        self._streams.update(stream, key_id=key_id if starts else None)

    def monitor(self, stream: DataStreamState, metrics: Sequence[str], *, starts: bool) -> dict[str, Any]:
        """EnableEnhancedMonitoring and DisableEnhancedMonitoring. Returns: what was and what is."""
        named = set(METRICS if ALL in metrics else metrics)
        before = stream.document.metrics
        wanted = set(before) | named if starts else set(before) - named
        after = tuple(metric for metric in METRICS if metric in wanted)
        self._streams.update(stream, metrics=after)
        return {
            "StreamName": stream.name,
            "CurrentShardLevelMetrics": list(before),
            "DesiredShardLevelMetrics": list(after),
            "StreamARN": stream.arn,
        }

    # ---- the account ---------------------------------------------------------------------------------------

    def account(self) -> dict[str, Any]:
        """DescribeAccountSettings."""
        return _told(self._settled_account(), self._parts.clock.now().wall_ms)

    def _settled_account(self) -> AccountDocument:
        document = self._parts.streams.account(self._namespace)
        ended_ms = document.ended_ms
        if document.is_committed and ended_ms is not None and self._parts.clock.now().wall_ms >= ended_ms:
            document = replace(document, is_committed=False)
            self._parts.streams.save_account(self._namespace, document)
        return document

    def commit(self, *, is_on: bool) -> dict[str, Any]:
        """UpdateAccountSettings: a commitment holds for 24 hours at least; one that is ended earlier ends
        then, unless it is wanted again meanwhile.
        """
        document, wall_ms = self._settled_account(), self._parts.clock.now().wall_ms
        if is_on:
            began_ms = document.started_ms if document.is_committed else wall_ms
            document = AccountDocument(True, began_ms)
        elif document.is_committed:
            ends_ms = max(wall_ms, (document.started_ms or 0) + DAY_MS)
            document = replace(document, ended_ms=ends_ms, is_committed=ends_ms > wall_ms)
        self._parts.streams.save_account(self._namespace, document)
        return _told(document, wall_ms)


def _told(document: AccountDocument, wall_ms: int) -> dict[str, Any]:
    told: dict[str, Any] = {"Status": "ENABLED" if document.is_committed else "DISABLED"}
    if document.is_committed and document.ended_ms is not None:
        told["Status"] = "ENABLED_UNTIL_EARLIEST_ALLOWED_END"
    if document.started_ms is not None:
        told["StartedAt"] = Moment(document.started_ms)
        if document.is_committed:
            told["EarliestAllowedEndAt"] = Moment(document.started_ms + DAY_MS)
    if document.ended_ms is not None and not document.is_committed:
        told["EndedAt"] = Moment(document.ended_ms)
    return {COMMITMENT: told}
