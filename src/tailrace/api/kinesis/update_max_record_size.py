"""UpdateMaxRecordSize: how large a record of a data stream may be.

Behaviour:     for records that are put from now on. The stream is UPDATING only with
               --aws-delays.
Limits:        1,024 to 10,240 KiB.
Not emulated:  nothing.
Source:        AWS API Reference, Kinesis, UpdateMaxRecordSize; fleet §4.2.
"""

from tailrace.api.kinesis.requests import INVALID
from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.errors import ApiError


@operation(KINESIS, "UpdateMaxRecordSize")
def update_max_record_size(engine: Engine, payload: Payload) -> Result:
    """Change the size. Raises: ApiError."""
    if "StreamARN" not in payload:
        raise ApiError(INVALID, "StreamARN must be specified.")
    stream = engine.kinesis.streams.idle(None, payload["StreamARN"])
    engine.kinesis.settings.resize_records(stream, payload["MaxRecordSizeInKiB"])
    return b""
