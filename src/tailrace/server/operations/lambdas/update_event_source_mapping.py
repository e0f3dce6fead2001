"""UpdateEventSourceMapping: other settings, on or off.

Behaviour:     answers 202; the mapping goes on at its checkpoint, also after it was disabled.
Limits:        semantics §2.1; the source and the starting position stay what they are.
Not emulated:  another FunctionName for a mapping; what CreateEventSourceMapping does not emulate.
Source:        AWS API Reference, UpdateEventSourceMapping; semantics §2.1, §2.3.
"""

import orjson

from tailrace.server.lambda_mappings import changed, invalid
from tailrace.server.lambda_names import function_name
from tailrace.server.lambda_routes import Ask, Told, lambda_operation
from tailrace.server.lambda_service import LambdaService


@lambda_operation("UpdateEventSourceMapping", "PUT", "event-source-mappings/{UUID}")
async def update_event_source_mapping(service: LambdaService, ask: Ask) -> Told:
    """Change a mapping. Raises: ApiError."""
    before, payload = service.mapping(ask.names["UUID"]), ask.payload()
    name = payload.get("FunctionName")
    if name is not None and function_name(str(name)) != before.function:
        raise invalid(
            "Tailrace does not emulate another FunctionName for an event source mapping: make a new one."
        )
    after = changed(before, payload, service.engine.clock.now().wall_ms)
    state = "Updating" if after.enabled == before.enabled else "Enabling" if after.enabled else "Disabling"
    return Told(202, orjson.dumps(await service.save(after, state)))
