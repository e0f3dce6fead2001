"""ListTagsForResource: the tags of a data stream or a consumer.

Behaviour:     by name, all at once.
Limits:        none.
Not emulated:  nothing.
Source:        AWS API Reference, Kinesis, ListTagsForResource.
"""

from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(KINESIS, "ListTagsForResource")
def list_tags_for_resource(engine: Engine, payload: Payload) -> Result:
    """List tags. Raises: ApiError."""
    tags = engine.kinesis.resources.tags(payload["ResourceARN"])
    return {"Tags": [{"Key": name, "Value": value} for name, value in sorted(tags.items())]}
