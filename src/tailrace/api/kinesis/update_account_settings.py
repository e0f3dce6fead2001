"""UpdateAccountSettings: commit an account to a minimum throughput, or end that.

Behaviour:     a commitment holds for 24 hours at least; one that is ended earlier ends then.
Limits:        none.
Not emulated:  billing.
Source:        AWS API Reference, Kinesis, UpdateAccountSettings.
"""

from tailrace.api.registry import KINESIS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(KINESIS, "UpdateAccountSettings")
def update_account_settings(engine: Engine, payload: Payload) -> Result:
    """Change the settings."""
    status = payload["MinimumThroughputBillingCommitment"]["Status"]
    return engine.kinesis.settings.commit(is_on=status == "ENABLED")
