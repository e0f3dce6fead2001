"""UpdateFunctionConfiguration: another time-out, memory, environment or description.

Behaviour:     what a payload leaves out stays; invocations that run end with the old configuration, the next one has the new one, of mappings too.
               RevisionId refuses a change of something that has changed meanwhile.
Limits:        those of CreateFunction.
Not emulated:  what CreateFunction does not emulate; the status InProgress.
Source:        AWS API Reference, UpdateFunctionConfiguration.
"""

import orjson
from msgspec.structs import replace

from tailrace.api.lambdas.configuration import check_revision, read_configuration
from tailrace.api.lambdas.names import configuration, registered
from tailrace.api.lambdas.routes import Ask, Told, lambda_operation
from tailrace.api.lambdas.service import LambdaService


@lambda_operation("UpdateFunctionConfiguration", "PUT", "functions/{FunctionName}/configuration")
async def update_function_configuration(service: LambdaService, ask: Ask) -> Told:
    """Change a function. Raises: ApiError."""
    function, payload = registered(service, ask.names["FunctionName"]), ask.payload()
    check_revision(function, payload.get("RevisionId"))
    settings = read_configuration(payload, function.configured.settings, ("FunctionName", "RevisionId"))
    now_ms = service.engine.clock.now().wall_ms
    await service.configure(replace(function.configured, settings=settings, modified_ms=now_ms))
    return Told(200, orjson.dumps(configuration(service, service.functions[function.name])))
