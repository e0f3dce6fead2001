"""CreateFunction: take over a function that the server was started with, with a configuration.

Behaviour:     answers 201; a name that was created before is a conflict, one that `--function` does not name
               is refused with that hint. The code is not run: what runs is what
               `--function NAME=module:attribute` names; the size and the hash of a ZipFile are told as AWS
               tells them.
Limits:        Timeout 1 to 900 s, MemorySize 128 to 10,240 MB, an environment of 4 KB, names of 140
               characters.
Not emulated:  images, layers, VPCs, file systems, DeadLetterConfig, versions (Publish), signing; the state
               Pending.
Source:        AWS API Reference, CreateFunction.
"""

from tailrace.api.lambdas.configuration import NOT_EMULATED, code_of, document, read_configuration
from tailrace.api.lambdas.functions import DEFAULTS, Configured
from tailrace.api.lambdas.names import function_name
from tailrace.api.lambdas.service import LambdaService
from tailrace.api.lambdas.tags import checked_tags
from tailrace.api.registry import LAMBDA, Members, operation
from tailrace.api.wire import Payload
from tailrace.errors import ApiError, invalid_parameter


@operation(LAMBDA, "CreateFunction", limited=NOT_EMULATED)
async def create_function(service: LambdaService, payload: Payload) -> Members:
    """Make a function. Raises: ApiError."""
    name = function_name(payload["FunctionName"])
    code = code_of(payload)
    settings = read_configuration(payload, DEFAULTS)
    if name not in service.functions.registered:
        known = ", ".join(service.functions.registered)
        raise invalid_parameter(
            "Tailrace runs no code that comes over the wire: start the server with --function "
            f"{name}=module:attribute to make {name} "
            f"a function that can be created. It was started with: {known}."
        )
    if name in service.functions and service.functions[name].configured.created:
        raise ApiError("ResourceConflictException", f"Function already exist: {name}", status=409)
    now_ms = service.engine.clock.now().wall_ms
    made = Configured(
        name, {**settings, **code}, now_ms, created=True, tags=checked_tags(payload.get("Tags", {}))
    )
    await service.configure(made)
    return document(service.functions[name], service.engine.settings.region, service.engine.settings.account)
