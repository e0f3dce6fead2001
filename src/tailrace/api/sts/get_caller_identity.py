"""GetCallerIdentity: whose credentials these are.

Behaviour:     the root user of the account that the request is for: an access key of twelve digits, else the
               default account.
Limits:        none.
Not emulated:  users and roles: there is no IAM.
Source:        AWS API Reference, STS, GetCallerIdentity.
"""

from tailrace.api.registry import STS, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(STS, "GetCallerIdentity")
def get_caller_identity(engine: Engine, payload: Payload) -> Result:
    """Tell the account."""
    account = engine.settings.account
    return {"Arn": f"arn:aws:iam::{account}:root", "UserId": account, "Account": account}
