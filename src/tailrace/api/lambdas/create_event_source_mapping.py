"""CreateEventSourceMapping: run a function for the changes of a table's stream.

Behaviour:     answers 202 in the state Creating; the mapping is a row, and runs again after a restart. LATEST begins behind everything written before
               the answer; other streams of the table are not read, whatever the position. KMSKeyArn and MetricsConfig are kept and shown: the row is not encrypted, and events are counted without being asked.
Limits:        semantics §2.1, §2.9; five filters; 50 tags.
               A mapping follows its stream alone: when that is switched off, or its table deleted, it delivers what the stream still holds for 24 hours and nothing
               of the stream that follows; LastProcessingResult says that the stream is disabled, later that it is not found (AWS documents no text for it).
Not emulated:  sources other than DynamoDB streams, versions and aliases, permissions.
Source:        AWS API Reference, CreateEventSourceMapping; semantics §2.1, §2.2.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from tailrace.api.lambdas.constraints import FUNCTION_NAME, Violations, invalid, tags, text, truth
from tailrace.api.lambdas.mappings import CREATED_WITH, EventSourceMapping, check_names
from tailrace.api.lambdas.names import function_name
from tailrace.api.lambdas.routes import Ask, Told, lambda_operation
from tailrace.api.lambdas.service import LambdaService
from tailrace.api.lambdas.settings import read_settings
from tailrace.errors import ApiError
from tailrace.ports import StreamRef
from tailrace.streams.arns import parse_stream_arn

POSITIONS: Final = ("LATEST", "AT_TIMESTAMP", "TRIM_HORIZON")


@lambda_operation("CreateEventSourceMapping", "POST", "event-source-mappings")
async def create_event_source_mapping(service: LambdaService, ask: Ask) -> Told:
    """Make a mapping. Raises: ApiError."""
    payload = ask.payload()
    _check_members(payload)
    settings = read_settings(payload)
    enabled = truth("Enabled", True if payload.get("Enabled") is None else payload["Enabled"])
    arn = text("EventSourceArn", payload.get("EventSourceArn") or "")
    if not arn.startswith("arn:aws:dynamodb:") or "/stream/" not in arn:
        raise invalid("Unrecognized event source.")
    position = _position(payload, arn)
    name = function_name(payload["FunctionName"])
    if name not in service.functions:
        raise invalid("Function does not exist")
    stream = _stream(service, arn)
    await service.check_unmapped(arn, name)
    made = EventSourceMapping(
        service.new_uuid(f"{arn}/{name}"), name, arn, stream.table, position, enabled, settings,
        service.engine.clock.now().wall_ms, tags=tags(payload.get("Tags") or {}),
    )  # fmt: skip
    return Told(202, orjson.dumps(await service.save(made, "Creating", *service.beginning(made, stream))))


def _check_members(payload: Mapping[str, Any]) -> None:
    check_names(payload, *CREATED_WITH)
    violations = Violations()
    violations.given("FunctionName", payload.get("FunctionName"))
    if payload.get("FunctionName") is not None:
        violations.fits("FunctionName", text("FunctionName", payload["FunctionName"]), FUNCTION_NAME)
    if payload.get("StartingPosition") is not None:
        violations.one_of("StartingPosition", payload["StartingPosition"], POSITIONS)
    violations.refuse()


def _position(payload: Mapping[str, Any], arn: str) -> str:
    position = payload.get("StartingPosition")
    if position is None:
        violations = Violations()
        violations.given("StartingPosition", None)
        raise invalid(f"{violations.text}.")
    if position == "AT_TIMESTAMP":
        raise invalid(f"Unsupported starting position for arn type: {arn}")
    if payload.get("StartingPositionTimestamp") is not None:
        raise invalid(
            f"StartingPositionTimestamp is not allowed with StartingPosition {position}, only with AT_TIMESTAMP."
        )
    return str(position)


def _stream(service: LambdaService, arn: str) -> StreamRef:
    try:
        found = service.engine.stream_of(parse_stream_arn(arn).table)
    except ApiError:
        found = None
    if found is None or found.arn != arn:
        raise invalid(f"Stream not found: {arn}")
    return found
