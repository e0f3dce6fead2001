"""ListFunctions: the functions that the server was started with.

Behaviour:     by name; NextMarker while there are more.
Limits:        50 a page.
Not emulated:  MasterRegion and FunctionVersion are ignored.
Source:        AWS API Reference, ListFunctions.
"""

from typing import Any

import orjson

from tailrace.api.lambdas.names import configuration, page_size
from tailrace.api.lambdas.routes import Ask, Told, lambda_operation
from tailrace.api.lambdas.service import LambdaService


@lambda_operation("ListFunctions", "GET", "functions")
async def list_functions(service: LambdaService, ask: Ask) -> Told:
    """List functions. Raises: ApiError."""
    after = ask.query.get("Marker", "")
    found = [service.functions[name] for name in sorted(service.functions) if name > after]
    size = page_size(ask.query, 50)
    answer: dict[str, Any] = {"Functions": [configuration(service, each) for each in found[:size]]}
    if len(found) > size:
        answer["NextMarker"] = found[size - 1].name
    return Told(200, orjson.dumps(answer))
