"""GetEventSourceMapping: a mapping's configuration, its state, and what came of its last batch.

Behaviour:     the state is Creating, Updating, Enabling, Disabling or Deleting until the worker was handed
               over, then Enabled or Disabled. LastProcessingResult is that of the last invocation; after a
               restart, until there is one, "OK" when records were handled before.
Limits:        none.
Not emulated:  the text of a source's failing permission: there are no permissions.
Source:        AWS API Reference, GetEventSourceMapping; semantics §2.1.
"""

from tailrace.api.lambdas.service import LambdaService
from tailrace.api.registry import LAMBDA, Members, operation
from tailrace.api.wire import Payload


@operation(LAMBDA, "GetEventSourceMapping")
async def get_event_source_mapping(service: LambdaService, payload: Payload) -> Members:
    """Describe a mapping. Raises: ApiError."""
    return await service.document(await service.mapping(payload["UUID"]))
