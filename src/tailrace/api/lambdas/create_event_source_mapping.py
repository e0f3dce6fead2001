"""CreateEventSourceMapping: run a function for the changes of a table's stream, or the records of a data
stream.

Behaviour:     answers 202 in the state Creating; the mapping is a row, and runs again after a restart. LATEST
               begins behind everything written before the answer; other streams of the table are not read,
               whatever the position. AT_TIMESTAMP begins in each shard with the first record of that time
               or later. A consumer's ARN has to be that of a registered one that is ACTIVE; its subscription
               of each shard is held while the mapping runs, and may be taken over as any other.
               KMSKeyArn and MetricsConfig are kept and shown: the row is not encrypted, and events are
               counted without being asked.
Limits:        semantics §2.1, §2.9; five filters; 50 tags.
               A mapping follows its stream alone: when that is switched off, or its table deleted, it
               delivers what the stream still holds for 24 hours and nothing of the stream that follows;
               LastProcessingResult says that the stream is disabled, later that it is not found (AWS
               documents no text for it).
               A data stream that is deleted takes its records with it; one that is made anew under its name
               is followed from its beginning.
Not emulated:  sources other than streams of tables and data streams, versions and aliases, permissions.
Source:        AWS API Reference, CreateEventSourceMapping; semantics §2.1, §2.2.
"""

from collections.abc import Mapping
from typing import Any, Final

from tailrace.api.lambdas.event_sources import Begin, check_kind, require_source
from tailrace.api.lambdas.mappings import EventSourceMapping
from tailrace.api.lambdas.names import function_name
from tailrace.api.lambdas.service import LambdaService
from tailrace.api.lambdas.settings import OTHER_SOURCES, read_settings
from tailrace.api.lambdas.tags import checked_tags
from tailrace.api.registry import LAMBDA, Members, operation
from tailrace.api.wire import Payload
from tailrace.errors import invalid_parameter
from tailrace.streams.kinesis.names import is_data_stream

NO_POSITION: Final = (
    "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
    "Member must not be null."
)
"""Said behind the front end: other sources need none."""
NO_TIMESTAMP: Final = "StartingPositionTimestamp is required when StartingPosition is AT_TIMESTAMP."
"""[U]"""
FUTURE: Final = "StartingPositionTimestamp cannot be in the future."
"""[U]"""


@operation(LAMBDA, "CreateEventSourceMapping", limited=dict.fromkeys(OTHER_SOURCES))
async def create_event_source_mapping(service: LambdaService, payload: Payload) -> Members:
    """Make a mapping. Raises: ApiError."""
    arn = payload.get("EventSourceArn", "")
    settings = read_settings(payload, source_arn=arn)
    check_kind(arn)
    now_ms = service.engine.clock.now().wall_ms
    begin = _begin(payload, arn, now_ms)
    name = function_name(payload["FunctionName"])
    if name not in service.functions:
        raise invalid_parameter("Function does not exist")
    stream = require_source(service.engine, arn)
    await service.check_unmapped(arn, name)
    made = EventSourceMapping(
        service.new_uuid(f"{arn}/{name}"),
        name,
        arn,
        stream.table,
        begin.position,
        payload.get("Enabled", True),
        settings,
        now_ms,
        tags=checked_tags(payload.get("Tags", {})),
        position_ms=begin.at_ms if begin.position == "AT_TIMESTAMP" else None,
    )
    return await service.save(made, "Creating", *service.beginning(made, stream, begin))


def _begin(payload: Mapping[str, Any], arn: str, now_ms: int) -> Begin:
    """Where it begins. Raises: ApiError."""
    position = payload.get("StartingPosition")
    moment = payload.get("StartingPositionTimestamp")
    if position is None:
        raise invalid_parameter(NO_POSITION)
    if position != "AT_TIMESTAMP":
        if moment is not None:
            raise invalid_parameter(
                f"StartingPositionTimestamp is not allowed with StartingPosition {position}, only with "
                "AT_TIMESTAMP."
            )
        return Begin(position)
    if not is_data_stream(arn):
        raise invalid_parameter(f"Unsupported starting position for arn type: {arn}")
    if moment is None:
        raise invalid_parameter(NO_TIMESTAMP)
    at_ms = int(moment * 1_000)
    if at_ms > now_ms:
        raise invalid_parameter(FUTURE)
    return Begin("AT_TIMESTAMP", at_ms)
