"""GetEventSourceMapping: a mapping's configuration, its state, and what came of its last batch.

Behaviour:     the state is Creating, Updating, Enabling, Disabling or Deleting until the worker was handed over, then Enabled or Disabled.
               LastProcessingResult is that of the last invocation; after a restart, until there is one, "OK" when records were handled before.
Limits:        none.
Not emulated:  the text of a source's failing permission: there are no permissions.
Source:        AWS API Reference, GetEventSourceMapping; semantics §2.1.
"""

import orjson

from tailrace.api.lambdas.routes import Ask, Told, lambda_operation
from tailrace.api.lambdas.service import LambdaService


@lambda_operation("GetEventSourceMapping", "GET", "event-source-mappings/{UUID}")
async def get_event_source_mapping(service: LambdaService, ask: Ask) -> Told:
    """Describe a mapping. Raises: ApiError."""
    return Told(200, orjson.dumps(await service.document(await service.mapping(ask.names["UUID"]))))
