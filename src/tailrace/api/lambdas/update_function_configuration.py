"""UpdateFunctionConfiguration: another time-out, memory, environment or description.

Behaviour:     what a payload leaves out stays; invocations that run end with the old configuration, the next
               one has the new one, of mappings too. RevisionId refuses a change of something that has changed
               meanwhile.
Limits:        those of CreateFunction.
Not emulated:  what CreateFunction does not emulate; the status InProgress.
Source:        AWS API Reference, UpdateFunctionConfiguration.
"""

from msgspec.structs import replace

from tailrace.api.lambdas.configuration import CREATED_WITH, NOT_EMULATED, check_revision, read_configuration
from tailrace.api.lambdas.names import configuration, registered
from tailrace.api.lambdas.service import LambdaService
from tailrace.api.registry import LAMBDA, Members, operation
from tailrace.api.wire import Payload


@operation(
    LAMBDA,
    "UpdateFunctionConfiguration",
    limited={name: value for name, value in NOT_EMULATED.items() if name not in CREATED_WITH},
)
async def update_function_configuration(service: LambdaService, payload: Payload) -> Members:
    """Change a function. Raises: ApiError."""
    function = registered(service, payload["FunctionName"])
    check_revision(function, payload.get("RevisionId"))
    settings = read_configuration(payload, function.configured.settings)
    now_ms = service.engine.clock.now().wall_ms
    await service.configure(replace(function.configured, settings=settings, modified_ms=now_ms))
    return configuration(service, service.functions[function.name])
