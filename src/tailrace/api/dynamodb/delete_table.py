"""DeleteTable: a table with all its items.

Behaviour:     answers DELETING; the table is gone for the next request, its rows go in slices later. Its
               stream stays readable until the records are 24 hours old.
Limits:        none.
Not emulated:  nothing.
Source:        AWS API Reference, DeleteTable; semantics §1.2, §6.11.
"""

from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(DYNAMODB, "DeleteTable")
def delete_table(engine: Engine, payload: Payload) -> Result:
    """Delete a table. Raises: ApiError."""
    return {"TableDescription": engine.delete_table(payload["TableName"])}
