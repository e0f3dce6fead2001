"""PutResourcePolicy: attach a policy to a table or a stream.

Behaviour:     kept and told, never enforced; the same policy again keeps its revision, another one's is
               greater. Goes with its table or stream.
Limits:        20 KB, a JSON object.
Not emulated:  what a policy allows or denies; ConfirmRemoveSelfResourceAccess is accepted.
Source:        AWS API Reference, PutResourcePolicy.
"""

from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(DYNAMODB, "PutResourcePolicy")
def put_resource_policy(engine: Engine, payload: Payload) -> Result:
    """Attach a policy. Raises: ApiError."""
    revision = engine.resources.put_policy(
        payload["ResourceArn"], payload["Policy"], payload.get("ExpectedRevisionId")
    )
    return {"RevisionId": revision}
