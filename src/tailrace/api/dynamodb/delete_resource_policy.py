"""DeleteResourcePolicy: take the policy off a table or a stream.

Behaviour:     without a policy it answers without RevisionId.
Limits:        none.
Not emulated:  nothing.
Source:        AWS API Reference, DeleteResourcePolicy.
"""

from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(DYNAMODB, "DeleteResourcePolicy")
def delete_resource_policy(engine: Engine, payload: Payload) -> Result:
    """Remove a policy. Raises: ApiError."""
    revision = engine.resources.delete_policy(payload["ResourceArn"], payload.get("ExpectedRevisionId"))
    return {} if revision is None else {"RevisionId": revision}
