"""DescribeTable: what a table is and how it stands.

Behaviour:     ItemCount and TableSizeBytes are exact, where AWS refreshes them every six hours.
Limits:        none.
Not emulated:  nothing.
Source:        AWS API Reference, DescribeTable; semantics §6.11.
"""

from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(DYNAMODB, "DescribeTable")
def describe_table(engine: Engine, payload: Payload) -> Result:
    """Describe a table. Raises: ApiError."""
    return {"Table": engine.describe_table(payload["TableName"])}
