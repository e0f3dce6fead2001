"""UpdateEventSourceMapping: other settings, another function, on or off.

Behaviour:     answers 202; the mapping goes on at its checkpoint, also after it was disabled and with another
               function. What a payload leaves out stays; an empty FilterCriteria, MetricsConfig, KMSKeyArn,
               FunctionResponseTypes or OnFailure takes it away.
Limits:        semantics §2.1; the source and the starting position stay what they are.
Not emulated:  what CreateEventSourceMapping does not emulate; ResourceInUseException while an earlier change
               is on its way: changes follow one another.
Source:        AWS API Reference, UpdateEventSourceMapping; semantics §2.1, §2.3.
"""

from tailrace.api.lambdas.mappings import changed, refuse_settled
from tailrace.api.lambdas.names import function_name
from tailrace.api.lambdas.service import LambdaService
from tailrace.api.lambdas.settings import UPDATED_OTHER_SOURCES
from tailrace.api.registry import LAMBDA, Members, operation
from tailrace.api.wire import Payload
from tailrace.errors import invalid_parameter


@operation(LAMBDA, "UpdateEventSourceMapping", limited=dict.fromkeys(UPDATED_OTHER_SOURCES))
async def update_event_source_mapping(service: LambdaService, payload: Payload) -> Members:
    """Change a mapping. Raises: ApiError."""
    before = await service.mapping(payload["UUID"])
    refuse_settled(payload)
    function = before.function
    if payload.get("FunctionName") is not None:
        function = function_name(payload["FunctionName"])
        if function not in service.functions:
            raise invalid_parameter("Function does not exist")
    after = changed(before, function, payload, service.engine.clock.now().wall_ms)
    if function != before.function:
        await service.check_unmapped(before.stream_arn, function)
    state = "Updating" if after.enabled == before.enabled else "Enabling" if after.enabled else "Disabling"
    return await service.save(after, state)
