"""UntagResource: take tags from a data stream or a consumer.

Behaviour:     a tag that is not there is no error.
Limits:        none.
Not emulated:  nothing.
Source:        AWS API Reference, Kinesis, UntagResource.
"""

from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(KINESIS, "UntagResource")
def untag_resource(engine: Engine, payload: Payload) -> Result:
    """Take tags. Raises: ApiError."""
    engine.kinesis.resources.untag(payload["ResourceARN"], payload["TagKeys"])
    return b""
