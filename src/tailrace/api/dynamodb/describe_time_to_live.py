"""DescribeTimeToLive: whether time to live is on, and by which attribute.

Behaviour:     AttributeName is left out while it is off.
Limits:        none.
Not emulated:  nothing.
Source:        AWS API Reference, DescribeTimeToLive; semantics §1.8.
"""

from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(DYNAMODB, "DescribeTimeToLive")
def describe_time_to_live(engine: Engine, payload: Payload) -> Result:
    """Describe time to live. Raises: ApiError."""
    return {"TimeToLiveDescription": engine.time_to_live.describe(payload["TableName"])}
