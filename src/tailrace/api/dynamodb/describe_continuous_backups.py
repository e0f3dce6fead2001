"""DescribeContinuousBackups: what point-in-time recovery was told.

Behaviour:     ENABLED with recovery DISABLED until UpdateContinuousBackups says otherwise.
Limits:        none.
Not emulated:  backups: nothing can be restored.
Source:        AWS API Reference, DescribeContinuousBackups.
"""

from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine


@operation(DYNAMODB, "DescribeContinuousBackups")
def describe_continuous_backups(engine: Engine, payload: Payload) -> Result:
    """Describe backups. Raises: ApiError TableNotFoundException."""
    return {"ContinuousBackupsDescription": engine.resources.backups(payload["TableName"])}
