"""StopStreamEncryption: records of a data stream are no longer encrypted.

Behaviour:     answers about records that are put from now on say so. The stream is UPDATING
               only with --aws-delays.
Limits:        none.
Not emulated:  encryption: no key of KMS is looked for.
Source:        AWS API Reference, Kinesis, StopStreamEncryption.
"""

from tailrace.api.kinesis.requests import name_and_arn
from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(KINESIS, "StopStreamEncryption")
def stop_stream_encryption(engine: Engine, payload: Payload) -> Result:
    """Encrypt no longer. Raises: ApiError."""
    stream = engine.kinesis.streams.idle(*name_and_arn(payload))
    engine.kinesis.settings.encrypt(stream, payload["EncryptionType"], payload["KeyId"], starts=False)
    return b""
