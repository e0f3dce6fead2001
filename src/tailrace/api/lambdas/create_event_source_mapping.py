"""CreateEventSourceMapping: run a function for the changes of a table's stream.

Behaviour:     answers 202 in the state Creating; the mapping is a row, and runs again after a restart. LATEST
               begins behind everything written before the answer; other streams of the table are not read,
               whatever the position. KMSKeyArn and MetricsConfig are kept and shown: the row is not
               encrypted, and events are counted without being asked.
Limits:        semantics §2.1, §2.9; five filters; 50 tags.
               A mapping follows its stream alone: when that is switched off, or its table deleted, it
               delivers what the stream still holds for 24 hours and nothing of the stream that follows;
               LastProcessingResult says that the stream is disabled, later that it is not found (AWS
               documents no text for it).
Not emulated:  sources other than DynamoDB streams, versions and aliases, permissions.
Source:        AWS API Reference, CreateEventSourceMapping; semantics §2.1, §2.2.
"""

from collections.abc import Mapping
from typing import Any, Final

from tailrace.api.lambdas.mappings import EventSourceMapping
from tailrace.api.lambdas.names import function_name
from tailrace.api.lambdas.service import LambdaService
from tailrace.api.lambdas.settings import OTHER_SOURCES, read_settings
from tailrace.api.lambdas.tags import checked_tags
from tailrace.api.registry import LAMBDA, Members, operation
from tailrace.api.wire import Payload
from tailrace.errors import ApiError, invalid_parameter
from tailrace.ports import StreamRef
from tailrace.streams.arns import parse_stream_arn

NO_POSITION: Final = (
    "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
    "Member must not be null."
)
"""Said behind the front end: other sources need none."""


@operation(LAMBDA, "CreateEventSourceMapping", limited=dict.fromkeys(OTHER_SOURCES))
async def create_event_source_mapping(service: LambdaService, payload: Payload) -> Members:
    """Make a mapping. Raises: ApiError."""
    settings = read_settings(payload)
    enabled = payload.get("Enabled", True)
    arn = payload.get("EventSourceArn", "")
    if not arn.startswith("arn:aws:dynamodb:") or "/stream/" not in arn:
        raise invalid_parameter("Unrecognized event source.")
    position = _position(payload, arn)
    name = function_name(payload["FunctionName"])
    if name not in service.functions:
        raise invalid_parameter("Function does not exist")
    stream = _stream(service, arn)
    await service.check_unmapped(arn, name)
    made = EventSourceMapping(
        service.new_uuid(f"{arn}/{name}"),
        name,
        arn,
        stream.table,
        position,
        enabled,
        settings,
        service.engine.clock.now().wall_ms,
        tags=checked_tags(payload.get("Tags", {})),
    )
    return await service.save(made, "Creating", *service.beginning(made, stream))


def _position(payload: Mapping[str, Any], arn: str) -> str:
    position = payload.get("StartingPosition")
    if position is None:
        raise invalid_parameter(NO_POSITION)
    if position == "AT_TIMESTAMP":
        raise invalid_parameter(f"Unsupported starting position for arn type: {arn}")
    if payload.get("StartingPositionTimestamp") is not None:
        raise invalid_parameter(
            f"StartingPositionTimestamp is not allowed with StartingPosition {position}, only with "
            "AT_TIMESTAMP."
        )
    return str(position)


def _stream(service: LambdaService, arn: str) -> StreamRef:
    try:
        stream = service.engine.stream_of(parse_stream_arn(arn).table)
    except ApiError:
        stream = None
    if stream is None or stream.arn != arn:
        raise invalid_parameter(f"Stream not found: {arn}")
    return stream
