"""DescribeTable: what a table is and how it stands.

Behaviour:     ItemCount and TableSizeBytes are exact, where AWS refreshes them every six hours.
Limits:        none.
Not emulated:  nothing.
Source:        AWS API Reference, DescribeTable; semantics §6.11.
"""

from typing import Final

from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.shapes import TABLE_NAME, Input, structure
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine

INPUT: Final = Input(structure("DescribeTableInput", "TableName", TableName=TABLE_NAME))


@operation(DYNAMODB, "DescribeTable", INPUT)
def describe_table(engine: Engine, payload: Payload) -> Result:
    """Describe a table. Raises: ApiError."""
    return {"Table": engine.describe_table(payload["TableName"])}
