"""UpdateTable: indexes, stream, throughput, billing, deletion protection, table class, encryption.

Behaviour:     answers UPDATING; the next DescribeTable says ACTIVE. A stream that is switched on again is a
               new one. AttributeDefinitions must hold what a new index needs; what it does not is dropped. It
               is filled in slices while the table is read and written, also over a restart; it can be read
               once it is ACTIVE.
Limits:        one index created or deleted at a time; one kind of change a request where AWS asks for it;
               throughput is lowered four times a UTC day, then once an hour.
Not emulated:  ReplicaUpdates, MultiRegionConsistency, GlobalTableWitnessUpdates,
               GlobalTableSettingsReplicationMode, DisassociationProtectionEnabled, VectorIndexUpdates.
               Encryption, warm throughput and limits on demand are kept and told, and change nothing; no
               throughput is ever exceeded.
Source:        AWS API Reference, UpdateTable; semantics §1.2, §6.11.
"""

from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.tables.definition import read_change


@operation(DYNAMODB, "UpdateTable", refused={
    "ReplicaUpdates": None, "MultiRegionConsistency": None, "GlobalTableWitnessUpdates": None,
    "GlobalTableSettingsReplicationMode": None, "DisassociationProtectionEnabled": None,
    "VectorIndexUpdates": [],
})  # fmt: skip
def update_table(engine: Engine, payload: Payload) -> Result:
    """Change a table. Raises: ApiError."""
    return {"TableDescription": engine.update_table(payload["TableName"], read_change(payload))}
