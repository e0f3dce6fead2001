"""ListTagsForStream: the tags of a data stream, by name.

Behaviour:     tags behind ExclusiveStartTagKey.
Limits:        50 tags a page.
Not emulated:  nothing.
Source:        AWS API Reference, Kinesis, ListTagsForStream.
"""

from tailrace.api.kinesis.requests import name_and_arn
from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.engine.kinesis.tagging import TAGS


@operation(KINESIS, "ListTagsForStream")
def list_tags_for_stream(engine: Engine, payload: Payload) -> Result:
    """List tags. Raises: ApiError."""
    stream = engine.kinesis.streams.usable(*name_and_arn(payload))
    after = payload.get("ExclusiveStartTagKey", "")
    tags = [(name, value) for name, value in sorted(stream.document.tags.items()) if name > after]
    page = tags[: payload.get("Limit", TAGS)]
    return {
        "Tags": [{"Key": name, "Value": value} for name, value in page],
        "HasMoreTags": len(tags) > len(page),
    }
