"""StartStreamEncryption: records of a data stream are encrypted from now on.

Behaviour:     answers about records that are put from now on say so. The stream is UPDATING
               only with --aws-delays.
Limits:        none.
Not emulated:  encryption: no key of KMS is looked for.
Source:        AWS API Reference, Kinesis, StartStreamEncryption.
"""

from tailrace.api.kinesis.requests import name_and_arn
from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(KINESIS, "StartStreamEncryption")
def start_stream_encryption(engine: Engine, payload: Payload) -> Result:
    """Begin to encrypt. Raises: ApiError."""
    stream = engine.kinesis.streams.idle(*name_and_arn(payload))
    engine.kinesis.settings.encrypt(stream, payload["EncryptionType"], payload["KeyId"], starts=True)
    return b""
