"""Filter criteria: which records of a stream an event source mapping lets through, as AWS asks it of the
records of a Lambda event.

Theory of operation: patterns ask for a few members of a record. Those that stand in its head are asked first;
an image is decoded only for a rule whose head has matched, and only the parts that some pattern names are
built.
Rules of this file: pure; judging never raises. Called by settings, by worker/worker.py and by simulation.
Source: semantics §2.11.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from tailrace.errors import PatternError, SettingsError
from tailrace.patterns.fields import Field, accepts, gather, matches
from tailrace.patterns.operators import Dialect
from tailrace.patterns.pattern import Pattern, compile_pattern
from tailrace.streams.envelopes import event_id, view_size
from tailrace.streams.kinesis.plain import DATA, data_of, partition_key_of
from tailrace.streams.record import ChangeRecord, SequenceNumber, ViewType

MOST_FILTERS: Final = 5
LONGEST_PATTERN: Final = 4_096
"""Units: characters. Source: semantics §2.1."""
INVALID: Final = "Invalid filter pattern definition."
TTL_IDENTITY: Final = {"type": "Service", "principalId": "dynamodb.amazonaws.com"}
Part = Callable[[ChangeRecord], Any]


def read_filter_criteria(criteria: object, dialect: Dialect = "mapping") -> tuple[Pattern, ...]:
    """The patterns of `{"Filters": [{"Pattern": "…"}, …]}`; no patterns let everything through.

    Shape:   a pattern is the text of its JSON, as AWS wants it, or the JSON itself.
    Raises:  SettingsError, for a pattern in AWS's words with the engine's reason.

    >>> read_filter_criteria({"Filters": [{"Pattern": '{"eventName": ["INSERT"]}'}]})
    (compile_pattern('{"eventName": ["INSERT"]}', 'mapping'),)
    """
    match criteria:
        case None:
            return ()
        case {"Filters": list() as filters, **rest} if not rest:
            pass
        case {} if criteria == {}:
            return ()
        case _:
            raise SettingsError(
                f"FilterCriteria: {criteria!r} is not allowed; it is {{'Filters': [{{'Pattern': '…'}}, …]}}"
            )
    if len(filters) > MOST_FILTERS:
        raise SettingsError(
            f"FilterCriteria: {len(filters)} filters are too many; at most {MOST_FILTERS} are allowed"
        )
    return tuple(_read_filter(number, filter_, dialect) for number, filter_ in enumerate(filters))


def _read_filter(number: int, filter_: object, dialect: Dialect) -> Pattern:
    where = f"FilterCriteria.Filters[{number}]"
    match filter_:
        case {"Pattern": str() | Mapping() as pattern, **rest} if not rest:
            pass
        case {} if filter_ == {}:
            pattern = "{}"
        case _:
            raise SettingsError(f"{where}: {filter_!r} is not allowed; it is {{'Pattern': '…'}}")
    if isinstance(pattern, str) and len(pattern) > LONGEST_PATTERN:
        raise SettingsError(
            f"{where}: a pattern has at most {LONGEST_PATTERN:,} characters, this one {len(pattern):,}"
        )
    try:
        return compile_pattern(pattern, dialect)
    except PatternError as error:
        raise SettingsError(f"{where}: {INVALID} {error}") from error


class RecordFilter:
    """Patterns joined by OR, as a question about the records of one stream.

    Shape:   called with a record; the rest is what its Lambda event says of the stream.
    Guarantee: the same answer as the patterns give on `streams.envelopes.lambda_record`. Never raises.
    """

    __slots__ = ("_body", "_constant", "_head", "_rules")

    def __init__(
        self, patterns: Sequence[Pattern], stream_arn: str, view_type: ViewType, region: str
    ) -> None:
        names = {name for pattern in patterns for name in pattern.names}
        self._constant: dict[str, Any] = {
            "eventVersion": "1.1",
            "eventSource": "aws:dynamodb",
            "awsRegion": region,
            "eventSourceARN": stream_arn,
        }
        self._head = _named(HEAD, names)
        self._body = _named(body_parts(view_type), names, "dynamodb.")
        self._rules = [
            ([field for field in rule if not _is_body(field)], [field for field in rule if _is_body(field)])
            for pattern in patterns
            for rule in pattern.fields
        ]

    def __call__(self, record: ChangeRecord) -> bool:
        """Whether one of the patterns lets the record through."""
        event = self._constant.copy()
        for name, part in self._head:
            member = part(record)
            if member is not None:
                event[name] = member
        is_whole = False
        for head, body in self._rules:
            if not _fits(head, event):
                continue
            if not body:
                return True
            if not is_whole:
                event["dynamodb"] = self._dynamodb(record)
                is_whole = True
            if matches(body, event):
                return True
        return False

    def _dynamodb(self, record: ChangeRecord) -> dict[str, Any]:
        members = ((name, part(record)) for name, part in self._body)
        return {name: value for name, value in members if value is not None}


def check_data_filters(patterns: Sequence[Pattern]) -> None:
    """Refuse what can never match a plain record: a text where the members of its data are asked for.

    Raises:  SettingsError. Source: semantics §2.11; Lambda Developer Guide, "Properly filtering Kinesis and
             DynamoDB messages".
    """
    for number, pattern in enumerate(patterns):
        if DATA in pattern.names:
            raise SettingsError(
                f"FilterCriteria.Filters[{number}]: {INVALID} the pattern of data is JSON: {{'data': "
                "{'member': ['value']}}"
            )


class DataFilter:
    """Patterns joined by OR, as a question about plain records: about what a Lambda event says of each in
    `kinesis`, with the data as the JSON that it is.

    Shape:   called with a record. A pattern that asks for data matches no record whose data is no JSON.
    Guarantee: never raises.
    """

    __slots__ = ("_metadata", "_patterns")

    def __init__(self, patterns: Sequence[Pattern]) -> None:
        self._patterns = [
            (pattern, any(name.split(".", 1)[0] == DATA for name in pattern.names)) for pattern in patterns
        ]
        names = {name for pattern in patterns for name in pattern.names}
        self._metadata = _named(METADATA, names)

    def __call__(self, record: ChangeRecord) -> bool:
        """Whether one of the patterns lets the record through."""
        event = {name: part(record) for name, part in self._metadata}
        is_json: bool | None = None
        for pattern, asks_data in self._patterns:
            if asks_data and is_json is None:
                try:
                    event[DATA] = orjson.loads(data_of(record))
                    is_json = True
                except ValueError:
                    is_json = False
            if (is_json or not asks_data) and pattern.matches(event):
                return True
        return False


def _named(parts: Mapping[str, Part], names: set[str], prefix: str = "") -> list[tuple[str, Part]]:
    """The parts that some name begins with."""
    return [
        (name, part)
        for name, part in parts.items()
        if any(path == prefix + name or path.startswith(f"{prefix}{name}.") for path in names)
    ]


def _is_body(field: Field) -> bool:
    return field.name == "dynamodb" or field.name.startswith("dynamodb.")


def _fits(head: Sequence[Field], event: dict[str, Any]) -> bool:
    for field in head:
        leaves: list[Any] = []
        gather(event, field.steps, 0, leaves)
        if not accepts(field, leaves):
            return False
    return True


def _size(view_type: ViewType) -> Part:
    return lambda record: view_size(record, view_type)


def _image(data: bytes | None) -> Any:
    return None if data is None else orjson.loads(data)


HEAD: Final[Mapping[str, Part]] = {
    "eventName": lambda record: record.event_name,
    "eventID": event_id,
    "userIdentity": lambda record: TTL_IDENTITY if record.by_ttl else None,
}
"""What stands beside `dynamodb` in a record and differs from record to record."""


METADATA: Final[Mapping[str, Part]] = {
    "kinesisSchemaVersion": lambda _: "1.0",
    "partitionKey": partition_key_of,
    "sequenceNumber": lambda record: SequenceNumber(record.sequence).wire,
    "approximateArrivalTimestamp": lambda record: record.created_ms / 1_000,
}
"""What stands in `kinesis` of a plain record's event beside its data."""


def body_parts(view_type: ViewType) -> dict[str, Part]:
    """What stands inside `dynamodb`, as far as this view type shows it."""
    parts: dict[str, Part] = {
        "ApproximateCreationDateTime": lambda record: float(record.created_us // 1_000_000),
        "Keys": lambda record: orjson.loads(record.keys),
        "SequenceNumber": lambda record: SequenceNumber(record.sequence).wire,
        "SizeBytes": _size(view_type),
        "StreamViewType": lambda _: view_type,
    }
    if view_type in ("NEW_IMAGE", "NEW_AND_OLD_IMAGES"):
        parts["NewImage"] = lambda record: _image(record.new)
    if view_type in ("OLD_IMAGE", "NEW_AND_OLD_IMAGES"):
        parts["OldImage"] = lambda record: _image(record.old)
    return parts
