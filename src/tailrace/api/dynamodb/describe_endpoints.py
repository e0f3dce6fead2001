"""DescribeEndpoints: where clients that ask for it go on.

Behaviour:     this server's own host and port, never AWS's.
Limits:        none.
Not emulated:  nothing.
Source:        AWS API Reference, DescribeEndpoints.
"""

from typing import Final

from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine

CACHE_MINUTES: Final = 1_440


@operation(DYNAMODB, "DescribeEndpoints")
def describe_endpoints(engine: Engine, payload: Payload) -> Result:
    """Tell the address."""
    return {"Endpoints": [{"Address": engine.endpoint, "CachePeriodInMinutes": CACHE_MINUTES}]}
