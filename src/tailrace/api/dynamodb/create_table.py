"""CreateTable: a table and, if asked for, its stream.

Behaviour:     answers CREATING; the next DescribeTable says ACTIVE (with --aws-delays after AWS's time).
Limits:        names 3–255 of `[a-zA-Z0-9_.-]`; one or two key attributes; 20 global indexes with up to four
               HASH and four RANGE attributes, 5 local ones, 100 projected non-key attributes.
Not emulated:  VectorIndexes, GlobalTableSourceArn, GlobalTableSettingsReplicationMode. Encryption, warm
               throughput and limits on demand are kept and told, and change nothing; a policy is never
               enforced.
Source:        AWS API Reference, CreateTable; semantics §1.2, §6.11.
"""

from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.engine.resources import check_policy
from tailrace.tables.definition import read_definition


@operation(DYNAMODB, "CreateTable", refused={
    "GlobalTableSourceArn": None, "GlobalTableSettingsReplicationMode": None, "VectorIndexes": [],
})  # fmt: skip
def create_table(engine: Engine, payload: Payload) -> Result:
    """Create a table. Raises: ApiError."""
    definition, policy = read_definition(payload), payload.get("ResourcePolicy")
    if policy is not None:
        check_policy(policy)
    tags = {tag["Key"]: tag["Value"] for tag in payload.get("Tags", ())}
    description = engine.create_table(definition, tags)
    if policy is not None:
        engine.resources.put_policy(description["TableArn"], policy)
    return {"TableDescription": description}
