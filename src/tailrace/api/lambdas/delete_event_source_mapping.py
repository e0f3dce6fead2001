"""DeleteEventSourceMapping: no more invocations for a mapping.

Behaviour:     answers 202 in the state Deleting; what is in flight ends, then the mapping is gone. Its dead
               letters stay: `tailrace dlq ls`.
Limits:        none.
Not emulated:  nothing.
Source:        AWS API Reference, DeleteEventSourceMapping; semantics §2.1.
"""

from tailrace.api.lambdas.service import LambdaService, deleted
from tailrace.api.registry import LAMBDA, Members, operation
from tailrace.api.wire import Payload


@operation(LAMBDA, "DeleteEventSourceMapping")
async def delete_event_source_mapping(service: LambdaService, payload: Payload) -> Members:
    """Delete a mapping. Raises: ApiError."""
    mapping = deleted(await service.mapping(payload["UUID"]))
    return await service.save(mapping, "Deleting")
