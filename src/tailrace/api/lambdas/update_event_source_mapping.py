"""UpdateEventSourceMapping: other settings, another function, on or off.

Behaviour:     answers 202; the mapping goes on at its checkpoint, also after it was disabled and with another function. What a payload leaves out
               stays; an empty FilterCriteria, MetricsConfig, KMSKeyArn, FunctionResponseTypes or OnFailure takes it away.
Limits:        semantics §2.1; the source and the starting position stay what they are.
Not emulated:  what CreateEventSourceMapping does not emulate; ResourceInUseException while an earlier change is on its way: changes follow one another.
Source:        AWS API Reference, UpdateEventSourceMapping; semantics §2.1, §2.3.
"""

import orjson

from tailrace.api.lambdas.constraints import FUNCTION_NAME, Violations, invalid, text
from tailrace.api.lambdas.mappings import changed, check_names
from tailrace.api.lambdas.names import function_name
from tailrace.api.lambdas.routes import Ask, Told, lambda_operation
from tailrace.api.lambdas.service import LambdaService


@lambda_operation("UpdateEventSourceMapping", "PUT", "event-source-mappings/{UUID}")
async def update_event_source_mapping(service: LambdaService, ask: Ask) -> Told:
    """Change a mapping. Raises: ApiError."""
    before, payload = await service.mapping(ask.names["UUID"]), ask.payload()
    check_names(payload)
    function = before.function
    if payload.get("FunctionName") is not None:
        violations = Violations()
        violations.fits("FunctionName", text("FunctionName", payload["FunctionName"]), FUNCTION_NAME)
        violations.refuse()
        function = function_name(payload["FunctionName"])
        if function not in service.functions:
            raise invalid("Function does not exist")
    after = changed(before, function, payload, service.engine.clock.now().wall_ms)
    if function != before.function:
        await service.check_unmapped(before.stream_arn, function)
    state = "Updating" if after.enabled == before.enabled else "Enabling" if after.enabled else "Disabling"
    return Told(202, orjson.dumps(await service.save(after, state)))
