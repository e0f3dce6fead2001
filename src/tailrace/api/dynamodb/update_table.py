"""UpdateTable: indexes, the stream, throughput and billing, protection against deletion, table class, encryption.

Behaviour:     answers UPDATING; the next DescribeTable says ACTIVE. A stream that is switched on again is a new one.
               A new index is filled in slices while the table is read and written, also over a restart; it can be read
               once it is ACTIVE.
Limits:        one index created or deleted at a time; one kind of change a request where AWS asks for it; throughput is
               lowered four times a UTC day, then once an hour.
Not emulated:  ReplicaUpdates, MultiRegionConsistency, GlobalTableWitnessUpdates,
               GlobalTableSettingsReplicationMode, DisassociationProtectionEnabled, VectorIndexUpdates. Encryption, warm
               throughput and limits on demand are kept and told, and change nothing; no throughput is ever exceeded.
Source:        AWS API Reference, UpdateTable; semantics §1.2, §6.11.
"""

from typing import Final

from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.shapes import (
    ATTRIBUTE_DEFINITIONS,
    BILLING_MODE,
    INDEX_UPDATES,
    ON_DEMAND_THROUGHPUT,
    SSE,
    STREAM,
    TABLE_CLASS,
    TABLE_NAME,
    THROUGHPUT,
    WARM_THROUGHPUT,
    Anything,
    Flag,
    Input,
    Many,
    Text,
    structure,
)  # fmt: skip
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.tables.definition import read_change

INPUT: Final = Input(
    structure(
        "UpdateTableInput", "TableName",
        AttributeDefinitions=ATTRIBUTE_DEFINITIONS, TableName=TABLE_NAME, BillingMode=BILLING_MODE,
        ProvisionedThroughput=THROUGHPUT, GlobalSecondaryIndexUpdates=INDEX_UPDATES, StreamSpecification=STREAM,
        SSESpecification=SSE, ReplicaUpdates=Many(Anything(), 1), TableClass=TABLE_CLASS,
        DeletionProtectionEnabled=Flag(), MultiRegionConsistency=Text(choices=("EVENTUAL", "STRONG")),
        GlobalTableWitnessUpdates=Many(Anything(), 1, 1), OnDemandThroughput=ON_DEMAND_THROUGHPUT, WarmThroughput=WARM_THROUGHPUT,
        GlobalTableSettingsReplicationMode=Text(), DisassociationProtectionEnabled=Flag(),
        VectorIndexUpdates=Many(Anything()),
    ),
    {
        "ReplicaUpdates": None, "MultiRegionConsistency": None, "GlobalTableWitnessUpdates": None,
        "GlobalTableSettingsReplicationMode": None, "DisassociationProtectionEnabled": None,
        "VectorIndexUpdates": [],
    },
)  # fmt: skip


@operation(DYNAMODB, "UpdateTable", INPUT)
def update_table(engine: Engine, payload: Payload) -> Result:
    """Change a table. Raises: ApiError."""
    return {"TableDescription": engine.update_table(payload["TableName"], read_change(payload))}
