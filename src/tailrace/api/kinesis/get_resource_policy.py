"""GetResourcePolicy: the resource policy of a data stream or a consumer.

Behaviour:     as it was put.
Limits:        none.
Not emulated:  access control: no policy is enforced.
Source:        AWS API Reference, Kinesis, GetResourcePolicy.
"""

from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(KINESIS, "GetResourcePolicy")
def get_resource_policy(engine: Engine, payload: Payload) -> Result:
    """Tell the policy. Raises: ApiError."""
    return {"Policy": engine.kinesis.resources.policy(payload["ResourceARN"])}
