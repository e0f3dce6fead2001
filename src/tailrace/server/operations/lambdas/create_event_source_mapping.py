"""CreateEventSourceMapping: run a function for the changes of a table's stream.

Behaviour:     answers 202 in the state Creating; the mapping is a row, and runs again after a restart. LATEST begins behind everything written before
               the answer.
Limits:        semantics §2.1; five filters.
Not emulated:  TumblingWindowInSeconds, KMSKeyArn, MetricsConfig, Tags, sources other than DynamoDB streams; permissions. A
               stream that is switched off and on is followed under its new ARN; on AWS that needs a new mapping.
Source:        AWS API Reference, CreateEventSourceMapping; semantics §2.1, §2.2.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from tailrace.errors import ApiError
from tailrace.ports import StreamRef
from tailrace.server.lambda_mappings import EventSourceMapping, invalid, read_settings
from tailrace.server.lambda_names import function_name
from tailrace.server.lambda_routes import Ask, Told, lambda_operation
from tailrace.server.lambda_service import LambdaService
from tailrace.streams.arns import parse_stream_arn

POSITIONS: Final = ("LATEST", "AT_TIMESTAMP", "TRIM_HORIZON")


@lambda_operation("CreateEventSourceMapping", "POST", "event-source-mappings")
async def create_event_source_mapping(service: LambdaService, ask: Ask) -> Told:
    """Make a mapping. Raises: ApiError."""
    payload = ask.payload()
    arn = str(payload.get("EventSourceArn") or "")
    if not arn.startswith("arn:aws:dynamodb:") or "/stream/" not in arn:
        raise invalid("Unrecognized event source.")
    position = _position(payload, arn)
    name = function_name(str(payload.get("FunctionName") or ""))
    if name not in service.functions:
        raise invalid("Function does not exist")
    stream = _stream(service, arn)
    for each in service.mappings():
        if (each.stream_arn, each.function) == (arn, name):
            raise ApiError(
                "ResourceConflictException",
                f'The event source arn (" {arn} ") and function (" {name} ") provided mapping already exists. '
                f"Please update or delete the existing mapping with UUID {each.uuid}",
                status=409,
            )
    settings = read_settings(payload)
    enabled = payload.get("Enabled", True) is not False
    made = EventSourceMapping(
        service.new_uuid(f"{arn}/{name}"), name, arn, stream.table, position, enabled, settings,
        service.engine.clock.now().wall_ms,
    )  # fmt: skip
    begins = service.latest(made, stream) if position == "LATEST" else []
    return Told(202, orjson.dumps(await service.save(made, "Creating", *begins)))


def _position(payload: Mapping[str, Any], arn: str) -> str:
    position = payload.get("StartingPosition")
    if position is None:
        raise invalid(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: "
            "Member must not be null."
        )
    if position not in POSITIONS:
        raise ApiError(
            "ValidationException",
            f"1 validation error detected: Value '{position}' at 'startingPosition' failed to satisfy constraint: "
            f"Member must satisfy enum value set: [{', '.join(POSITIONS)}]",
        )
    if position == "AT_TIMESTAMP":
        raise invalid(f"Unsupported starting position for arn type: {arn}")
    return str(position)


def _stream(service: LambdaService, arn: str) -> StreamRef:
    try:
        found = service.engine.stream_of(parse_stream_arn(arn).table)
    except ApiError:
        found = None
    if found is None or found.arn != arn:
        raise invalid(f"Stream not found: {arn}")
    return found
