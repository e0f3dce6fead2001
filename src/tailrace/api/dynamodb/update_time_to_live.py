"""UpdateTimeToLive: let the service delete items whose time has come, or stop it.

Behaviour:     works at once, also for the items that are there; what has expired is deleted within seconds,
               with a record whose userIdentity is the service's. An item whose attribute was changed
               meanwhile stays.
Limits:        one attribute a table; with --aws-delays ENABLING for a minute and one change an hour. What
               expired more than five years ago, and what is no Number, stays.
Not emulated:  nothing.
Source:        AWS API Reference, UpdateTimeToLive; semantics §1.8.
"""

from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(DYNAMODB, "UpdateTimeToLive")
def update_time_to_live(engine: Engine, payload: Payload) -> Result:
    """Switch time to live. Raises: ApiError."""
    wanted = payload["TimeToLiveSpecification"]
    engine.time_to_live.update(payload["TableName"], wanted["AttributeName"], enabled=wanted["Enabled"])
    return {"TimeToLiveSpecification": wanted}
