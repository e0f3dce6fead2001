"""UpdateContinuousBackups: point-in-time recovery on or off, as a setting that is told again.

Behaviour:     kept, so that tools that manage tables see what they set.
Limits:        a recovery period of 1–35 days, 35 unless told.
Not emulated:  backups: nothing can be restored.
Source:        AWS API Reference, UpdateContinuousBackups.
"""

from typing import Final

from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine

DAYS: Final = 35


@operation(DYNAMODB, "UpdateContinuousBackups")
def update_continuous_backups(engine: Engine, payload: Payload) -> Result:
    """Switch point-in-time recovery. Raises: ApiError TableNotFoundException."""
    wanted = payload["PointInTimeRecoverySpecification"]
    days = wanted.get("RecoveryPeriodInDays", DAYS) if wanted["PointInTimeRecoveryEnabled"] else None
    engine.resources.update_backups(payload["TableName"], days)
    return {"ContinuousBackupsDescription": engine.resources.backups(payload["TableName"])}
