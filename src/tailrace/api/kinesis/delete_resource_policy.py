"""DeleteResourcePolicy: take the resource policy from a data stream or a consumer.

Behaviour:     one that is not there is not found.
Limits:        none.
Not emulated:  access control: no policy is enforced.
Source:        AWS API Reference, Kinesis, DeleteResourcePolicy.
"""

from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(KINESIS, "DeleteResourcePolicy")
def delete_resource_policy(engine: Engine, payload: Payload) -> Result:
    """Take the policy. Raises: ApiError."""
    engine.kinesis.resources.delete_policy(payload["ResourceARN"])
    return b""
