"""PutResourcePolicy: attach a resource policy to a data stream or a consumer.

Behaviour:     it replaces the one that is there.
Limits:        20 KiB, white space included.
Not emulated:  access control: no policy is enforced.
Source:        AWS API Reference, Kinesis, PutResourcePolicy.
"""

from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(KINESIS, "PutResourcePolicy")
def put_resource_policy(engine: Engine, payload: Payload) -> Result:
    """Attach a policy. Raises: ApiError."""
    engine.kinesis.resources.put_policy(payload["ResourceARN"], payload["Policy"])
    return b""
