"""ListFunctions: the functions that the server was started with.

Behaviour:     by name; NextMarker while there are more.
Limits:        50 a page.
Not emulated:  MasterRegion and FunctionVersion are ignored.
Source:        AWS API Reference, ListFunctions.
"""

from typing import Any

from tailrace.api.lambdas.names import configuration, page_size
from tailrace.api.lambdas.service import LambdaService
from tailrace.api.registry import LAMBDA, Members, operation
from tailrace.api.wire import Payload


@operation(LAMBDA, "ListFunctions")
async def list_functions(service: LambdaService, payload: Payload) -> Members:
    """List functions. Raises: ApiError."""
    after = payload.get("Marker", "")
    functions = [service.functions[name] for name in sorted(service.functions) if name > after]
    size = page_size(payload, 50)
    answer: dict[str, Any] = {
        "Functions": [configuration(service, function) for function in functions[:size]]
    }
    if len(functions) > size:
        answer["NextMarker"] = functions[size - 1].name
    return answer
