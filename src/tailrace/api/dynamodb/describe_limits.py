"""DescribeLimits: the quotas of throughput.

Behaviour:     AWS's default quotas.
Limits:        none.
Not emulated:  the quotas themselves: no throughput is refused for them.
Source:        AWS API Reference, DescribeLimits; AWS Developer Guide, "Quotas".
"""

from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.tables.throughput import ACCOUNT_UNITS, TABLE_UNITS


@operation(DYNAMODB, "DescribeLimits")
def describe_limits(engine: Engine, payload: Payload) -> Result:
    """Tell the quotas."""
    return {
        "AccountMaxReadCapacityUnits": ACCOUNT_UNITS,
        "AccountMaxWriteCapacityUnits": ACCOUNT_UNITS,
        "TableMaxReadCapacityUnits": TABLE_UNITS,
        "TableMaxWriteCapacityUnits": TABLE_UNITS,
    }
