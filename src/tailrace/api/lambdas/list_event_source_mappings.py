"""ListEventSourceMappings: every mapping, or those of a stream or a function.

Behaviour:     by their UUIDs; NextMarker while there are more.
Limits:        MaxItems from 1 to 10,000, and 100 a page whatever it says.
Not emulated:  nothing.
Source:        AWS API Reference, ListEventSourceMappings.
"""

from typing import Any

from tailrace.api.lambdas.names import function_name, page_size
from tailrace.api.lambdas.service import LambdaService
from tailrace.api.registry import LAMBDA, Members, operation
from tailrace.api.wire import Payload


@operation(LAMBDA, "ListEventSourceMappings")
async def list_event_source_mappings(service: LambdaService, payload: Payload) -> Members:
    """List mappings. Raises: ApiError."""
    arn, name, after = payload.get("EventSourceArn"), payload.get("FunctionName"), payload.get("Marker", "")
    mappings = [
        mapping
        for mapping in await service.mappings()
        if mapping.uuid > after
        and (arn is None or mapping.stream_arn == arn)
        and (name is None or mapping.function == function_name(name))
    ]
    size = page_size(payload, 100)
    answer: dict[str, Any] = {
        "EventSourceMappings": [await service.document(mapping) for mapping in mappings[:size]]
    }
    if len(mappings) > size:
        answer["NextMarker"] = mappings[size - 1].uuid
    return answer
