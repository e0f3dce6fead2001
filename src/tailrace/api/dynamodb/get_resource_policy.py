"""GetResourcePolicy: the policy of a table or a stream, as it was put.

Behaviour:     the text byte for byte, and its revision.
Limits:        none.
Not emulated:  nothing.
Source:        AWS API Reference, GetResourcePolicy.
"""

from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(DYNAMODB, "GetResourcePolicy")
def get_resource_policy(engine: Engine, payload: Payload) -> Result:
    """Tell a policy. Raises: ApiError."""
    policy = engine.resources.policy(payload["ResourceArn"])
    return {"Policy": policy.policy, "RevisionId": policy.revision}
