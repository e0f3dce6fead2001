"""CreateTable: a table and, if asked for, its stream.

Behaviour:     answers CREATING; the next DescribeTable says ACTIVE (with --aws-delays after AWS's time).
Limits:        names 3–255 of `[a-zA-Z0-9_.-]`; one or two key attributes; 20 global indexes with up to four HASH and four
               RANGE attributes, 5 local ones, 100 projected non-key attributes.
Not emulated:  VectorIndexes; ResourcePolicy, GlobalTableSourceArn,
               GlobalTableSettingsReplicationMode. SSESpecification, Tags, WarmThroughput and OnDemandThroughput are
               accepted and not kept.
Source:        AWS API Reference, CreateTable; semantics §1.2, §6.11.
"""

from typing import Final

from tailrace.engine.engine import Engine
from tailrace.server.registry import DYNAMODB, Result, operation
from tailrace.server.shapes import (
    ATTRIBUTE_DEFINITIONS,
    BILLING_MODE,
    GLOBAL_INDEX,
    KEY_SCHEMA,
    LOCAL_INDEX,
    LONG,
    NEW_TABLE_NAME,
    STREAM,
    TABLE_CLASS,
    THROUGHPUT,
    Anything,
    Flag,
    Input,
    Many,
    Text,
    structure,
)  # fmt: skip
from tailrace.server.wire import Payload
from tailrace.tables.definition import read_definition

INPUT: Final = Input(
    structure(
        "CreateTableInput", "TableName", "AttributeDefinitions", "KeySchema",
        AttributeDefinitions=ATTRIBUTE_DEFINITIONS, TableName=NEW_TABLE_NAME, KeySchema=KEY_SCHEMA,
        LocalSecondaryIndexes=Many(LOCAL_INDEX), GlobalSecondaryIndexes=Many(GLOBAL_INDEX), BillingMode=BILLING_MODE,
        ProvisionedThroughput=THROUGHPUT, StreamSpecification=STREAM,
        SSESpecification=structure(
            "SSESpecification",
            Enabled=Flag(), SSEType=Text(choices=("AES256", "KMS")), KMSMasterKeyId=Text(),
        ),
        Tags=Many(structure("Tag", "Key", "Value", Key=Text(1, 128), Value=Text(0, 256))),
        TableClass=TABLE_CLASS, DeletionProtectionEnabled=Flag(),
        WarmThroughput=structure("WarmThroughput", ReadUnitsPerSecond=LONG, WriteUnitsPerSecond=LONG),
        OnDemandThroughput=structure("OnDemandThroughput", MaxReadRequestUnits=LONG, MaxWriteRequestUnits=LONG),
        ResourcePolicy=Text(), GlobalTableSourceArn=Text(1, 1024), GlobalTableSettingsReplicationMode=Text(),
        VectorIndexes=Many(Anything()),
    ),
    {
        "ResourcePolicy": None, "GlobalTableSourceArn": None, "GlobalTableSettingsReplicationMode": None,
        "VectorIndexes": [],
    },
)  # fmt: skip


@operation(DYNAMODB, "CreateTable", INPUT)
def create_table(engine: Engine, payload: Payload) -> Result:
    """Create a table. Raises: ApiError."""
    return {"TableDescription": engine.create_table(read_definition(payload))}
