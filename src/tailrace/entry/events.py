"""The event of a table's stream or a data stream as Lambda hands it over, read as a source that has one batch
and no more.

Theory of operation: an event holds records of one shard, of which it names the stream and no more: neither
the shard nor what comes after. Its records become change records, with the sequence number that is on the
wire as it is, and the batch is a closed shard of its own, so that the machine reads it once, settles it and
ends. Which table or data stream of the app it is of, its stream's ARN says; an account number is compared
only where the app names one.
Rules of this file: pure; what is no batch of one stream of the app is refused whole, never skipped in part.
Source: semantics §1.3, §2.10.
"""

from base64 import b64decode
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NoReturn

from msgspec import Struct
from msgspec.structs import replace

from tailrace.app.app import App
from tailrace.app.table import Table
from tailrace.errors import ApiError, SettingsError, SourceError
from tailrace.ports import ReadDone, Shard, StreamRef
from tailrace.sources.stream_records import RecordPlace, change_of, event_name, images_of
from tailrace.streams.arns import TableArn, parse_table_arn
from tailrace.streams.kinesis.data_records import DataRecord
from tailrace.streams.kinesis.names import read_data_stream_arn, stream_arn_of
from tailrace.streams.kinesis.plain import plain_record
from tailrace.streams.record import ChangeRecord
from tailrace.tables.plain_keys import located
from tailrace.tables.schema import TableSchema

SHARD: Final = "lambda-"
"""What the name of a shard begins with that Lambda did not name; the label of its stream follows."""
BOTH: Final = "NEW_AND_OLD_IMAGES"


class Incoming(Struct, frozen=True):
    """One batch. Shape: records of one shard, in order, at least one; `identifiers` are their sequence
    numbers as Lambda wants them back, by place.
    """

    stream: StreamRef
    table: Table
    records: Sequence[ChangeRecord]
    identifiers: Sequence[str]

    @property
    def shard(self) -> Shard:
        """The batch as a shard that is closed behind its last record."""
        first, last = self.records[0].sequence, self.records[-1].sequence
        return Shard(shard_id(self.stream.label), first, last=last, stream=self.stream.label)

    def descended(self, ancestry: str) -> "Incoming":
        """The batch of changes that descend from these handlers, as far as anybody said."""
        if not ancestry:
            return self
        return replace(self, records=[replace(record, ancestry=ancestry) for record in self.records])


def shard_id(label: str) -> str:
    """How rows name the shard that a record of a stream came from by Lambda."""
    return f"{SHARD}{label}"


def read_event(app: App, event: Any) -> Incoming | None:
    """The batch of an event: `{"Records": […]}`, or the bare list that a pipe sends; None for an empty one.

    Raises:  SettingsError for what is no batch of one stream of a table that the app declares, with all that
             the app needs to see.
    """
    entries = event.get("Records") if isinstance(event, Mapping) else event
    if not isinstance(entries, list):
        raise SettingsError(
            "the event has no Records: app.lambda_handler is called by an event source mapping of a "
            "DynamoDB stream or a data stream; a schedule calls app.lambda_redriver"
        )
    if isinstance(event, Mapping) and "window" in event:
        raise SettingsError(
            "the event source mapping has TumblingWindowInSeconds, and wants a state back that handlers of "
            "an app have not: take it away"
        )
    if not entries:
        return None
    if all(isinstance(raw, Mapping) and "kinesis" in raw for raw in entries):
        return _of_data(app, entries)
    try:
        arns = {str(raw["eventSourceARN"]) for raw in entries}
        views = {str(raw["dynamodb"]["StreamViewType"]) for raw in entries}
    except (KeyError, TypeError) as error:
        raise SettingsError(f"the event's records are not those of a DynamoDB stream: no {error}") from error
    arn = _only(arns)
    table, place = table_of(app, arn)
    if views != {BOTH}:
        raise SettingsError(
            f"the stream {arn} has the view type {', '.join(sorted(views))}: handlers are given both images, "
            f"and what shows fewer would be judged wrongly. Its view type must be {BOTH}"
        )
    label = arn.partition("/stream/")[2]
    stream = StreamRef(arn, place.table, label, BOTH, place.region)
    return _incoming(stream, table, entries)


def table_of(app: App, arn: str) -> tuple[Table, TableArn]:
    """The app's table behind the ARN of a stream, and where it is. Raises: SettingsError."""
    place = parse_table_arn(arn.partition("/stream/")[0])
    if place is None:
        raise SettingsError(f"{arn!r} is no stream of DynamoDB's: this function is called by nothing else")
    for table in app.tables.values():
        there = table.place
        if there == place or (there is None and (app.region, table.name) == (place.region, place.table)):
            return table, place
    raise SettingsError(
        f"app {app.name!r} declares no table {place.table!r} in {place.region}: its records are not handled, "
        "so they are refused",
        hint="remove the event source mapping, or declare the table",
    )


def _incoming(stream: StreamRef, table: Table, entries: Sequence[Mapping[str, Any]]) -> Incoming:
    schema = TableSchema(
        table.name, 0, "", table.pk, table.pk_type, table.sk, None if table.sk is None else table.sk_type
    )
    records = [_record(raw, schema) for raw in entries]
    _check_order(records)
    identifiers = [str(raw["dynamodb"]["SequenceNumber"]) for raw in entries]
    return Incoming(stream, table, records, identifiers)


def _only(arns: Collection[str]) -> str:
    """The stream of all records. Raises: SettingsError where there are several."""
    if len(arns) > 1:
        raise SettingsError(f"the event has records of {len(arns)} streams: {', '.join(sorted(arns))}")
    (arn,) = arns
    return arn


def _check_order(records: Sequence[ChangeRecord]) -> None:
    """Require that numbers rise. Raises: SettingsError."""
    for before, after in pairwise(records):
        if before.sequence >= after.sequence:
            raise SettingsError(
                f"the event's records are not in the order of their sequence numbers: {after.sequence} "
                f"follows {before.sequence}"
            )


def _record(raw: Mapping[str, Any], schema: TableSchema) -> ChangeRecord:
    """One record. Raises: SettingsError for one that is not of the table."""
    try:
        data = raw["dynamodb"]
        place = RecordPlace(int(data["SequenceNumber"]), 0, schema, BOTH)
        return change_of(raw, event_name(raw["eventName"]), images_of(data), place)
    except (KeyError, TypeError, ValueError) as error:
        raise SettingsError(f"a record of the event is not readable: {error!r}") from error
    except ApiError as error:
        raise SettingsError(
            f"a record's key is not that of table {schema.name!r} as the app declares it: {error}"
        ) from error


# ---- data streams ------------------------------------------------------------------------------------------


def _of_data(app: App, entries: Sequence[Mapping[str, Any]]) -> Incoming:
    """A batch of a data stream's records. Raises: SettingsError."""
    try:
        arns = {str(raw["eventSourceARN"]) for raw in entries}
    except KeyError as error:
        raise SettingsError(f"the event's records are not those of a data stream: no {error}") from error
    arn = _only(arns)
    place = read_data_stream_arn(stream_arn_of(arn))
    declared = None if place is None else app.data_streams.get(place.stream)
    if place is None or declared is None or place.region != app.region:
        raise SettingsError(
            f"app {app.name!r} declares no data stream {arn!r}: its records are not handled, so they are "
            "refused",
            hint="remove the event source mapping, or declare the stream with app.data_stream",
        )
    stream = StreamRef(arn, declared.source.name, declared.name, "NEW_IMAGE", place.region)
    records = [_plain(raw) for raw in entries]
    _check_order(records)
    return Incoming(
        stream, declared.source, records, [str(raw["kinesis"]["sequenceNumber"]) for raw in entries]
    )


def _plain(raw: Mapping[str, Any]) -> ChangeRecord:
    """One record of a data stream. Raises: SettingsError for one that cannot be read."""
    try:
        data, shard = raw["kinesis"], str(raw["eventID"]).partition(":")[0]
        created_ms = round(data["approximateArrivalTimestamp"] * 1_000)
        number, key = str(data["sequenceNumber"]), str(data["partitionKey"])
        record = DataRecord(0, str(int(number)), created_ms, key, b64decode(data["data"], validate=True))
        return plain_record(record, shard, 0, *located(key))
    except (KeyError, TypeError, ValueError) as error:
        raise SettingsError(f"a record of the event is not readable: {error!r}") from error


class EventSource:
    """A batch as a `Source`. Guarantee: it reads what it was given, and nothing follows."""

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming

    async def stream(self) -> StreamRef:
        """The stream of the batch."""
        return self._incoming.stream

    async def earlier(self) -> list[StreamRef]:
        """None that Lambda would tell of."""
        return []

    async def shards(self, stream: StreamRef | None = None) -> list[Shard]:
        """The batch."""
        return [self._incoming.shard]

    async def read(self, shard: Shard, after: int, limit: int) -> ReadDone:
        """The records after a position; the last of them closes the shard. Raises: SourceError."""
        if shard.place != self._incoming.shard.place:
            self._refuse(shard)
        records = [record for record in self._incoming.records if record.sequence > after]
        page = records[:limit]
        last = self._incoming.records[-1].sequence
        next_after = page[-1].sequence if page else max(after, last)
        return ReadDone(page, next_after, closed=next_after >= last)

    def _refuse(self, shard: Shard) -> NoReturn:
        raise SourceError(f"an event has one shard, which is not {shard.shard_id}")
