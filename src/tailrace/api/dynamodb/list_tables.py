"""ListTables: names of tables, in alphabetical order.

Behaviour:     LastEvaluatedTableName is answered only when more follow. Those of the request's region and
account.
Limits:        100 names a page.
Not emulated:  nothing.
Source:        AWS API Reference, ListTables; semantics §6.11.
"""

from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(DYNAMODB, "ListTables")
def list_tables(engine: Engine, payload: Payload) -> Result:
    """List tables. Raises: ApiError."""
    return engine.list_tables(payload.get("ExclusiveStartTableName"), payload.get("Limit"))
