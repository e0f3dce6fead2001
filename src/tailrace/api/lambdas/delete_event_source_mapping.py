"""DeleteEventSourceMapping: no more invocations for a mapping.

Behaviour:     answers 202 in the state Deleting; what is in flight ends, then the mapping is gone. Its dead letters stay: `tailrace dlq ls`.
Limits:        none.
Not emulated:  nothing.
Source:        AWS API Reference, DeleteEventSourceMapping; semantics §2.1.
"""

import orjson

from tailrace.api.lambdas.routes import Ask, Told, lambda_operation
from tailrace.api.lambdas.service import LambdaService, deleted


@lambda_operation("DeleteEventSourceMapping", "DELETE", "event-source-mappings/{UUID}")
async def delete_event_source_mapping(service: LambdaService, ask: Ask) -> Told:
    """Delete a mapping. Raises: ApiError."""
    mapping = deleted(await service.mapping(ask.names["UUID"]))
    return Told(202, orjson.dumps(await service.save(mapping, "Deleting")))
