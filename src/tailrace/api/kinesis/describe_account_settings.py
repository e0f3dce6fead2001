"""DescribeAccountSettings: what an account has committed to.

Behaviour:     per region.
Limits:        none.
Not emulated:  nothing.
Source:        AWS API Reference, Kinesis, DescribeAccountSettings.
"""

from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(KINESIS, "DescribeAccountSettings")
def describe_account_settings(engine: Engine, payload: Payload) -> Result:
    """Tell the settings."""
    return engine.kinesis.settings.account()
