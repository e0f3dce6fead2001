"""A table as DescribeTable shows it.

Rules of this file: one pure function from documents to AWS's JSON. Called by `engine.lifecycle`.
Source: semantics §6.11.
"""

from collections.abc import Mapping
from typing import Any, Final

from tailrace.engine.documents import IndexDocument, TableDocument
from tailrace.engine.table_settings import warm_floor
from tailrace.tables.index_rules import warm_floor as index_floor
from tailrace.tables.options import describe_options, describe_warm

TOLD_LAST: Final = (
    "TableName", "TableStatus", "ProvisionedThroughput", "TableSizeBytes", "ItemCount", "TableArn", "TableId",
    "DeletionProtectionEnabled", "BillingModeSummary",
)  # fmt: skip


def describe(
    document: TableDocument,
    status: str,
    arn: str,
    stream_arn: str | None,
    *,
    items: int,
    size_bytes: int,
    indexes: Mapping[str, Any],
    attributes: list[dict[str, str]],
    kms: str,
    wall_ms: int,
) -> dict[str, Any]:
    """AWS's TableDescription. LatestStreamArn and LatestStreamLabel stay after the stream was disabled.

    Shape:   `indexes` are the members about indexes, `attributes` are AttributeDefinitions; `kms`
             begins the ARNs of keys. Units: wall_ms since the epoch, the present.
    """
    definition = document.definition
    answer: dict[str, Any] = {
        "AttributeDefinitions": attributes,
        "TableName": definition.name,
        "KeySchema": definition.key_schema(),
        "TableStatus": status,
        "CreationDateTime": document.created_ms / 1_000,
        "ProvisionedThroughput": document.throughput.described(
            (definition.read_units, definition.write_units), wall_ms
        ),
        "TableSizeBytes": size_bytes,
        "ItemCount": items,
        "TableArn": arn,
        "TableId": document.table_id,
        "DeletionProtectionEnabled": definition.deletion_protection,
        **indexes,
    }
    if document.on_demand_ms is not None:
        answer.update(_on_demand(document, is_active=status != "CREATING"))
    if definition.stream is not None:
        answer["StreamSpecification"] = {"StreamEnabled": True, "StreamViewType": definition.stream}
    if document.label is not None:
        answer["LatestStreamLabel"] = document.label
        answer["LatestStreamArn"] = stream_arn
    if definition.table_class is not None:
        answer["TableClassSummary"] = {"TableClass": definition.table_class}
        if document.class_ms is not None:
            answer["TableClassSummary"]["LastUpdateDateTime"] = document.class_ms / 1_000
    floor = warm_floor(definition)
    answer |= describe_options(definition.options, kms=kms, floor=floor, is_new=status == "CREATING")
    return answer


def leaving(description: Mapping[str, Any]) -> dict[str, Any]:
    """What DeleteTable answers: keys, indexes and the stream are not told any more. Source: AWS API
    Reference, DeleteTable.
    """
    return {name: value for name, value in description.items() if name in TOLD_LAST}


def _on_demand(document: TableDocument, *, is_active: bool) -> dict[str, Any]:
    """Also of a table that was on demand once: it tells when it last became so."""
    billing: dict[str, Any] = {"BillingMode": document.definition.billing_mode}
    mode: dict[str, Any] = {"TableThroughputMode": document.definition.billing_mode}
    if is_active and document.on_demand_ms is not None:
        billing["LastUpdateToPayPerRequestDateTime"] = document.on_demand_ms / 1_000
        mode["LastUpdateToPayPerRequestDateTime"] = document.on_demand_ms / 1_000
    return {"BillingModeSummary": billing, "TableThroughputModeSummary": mode}


def describe_index(
    document: IndexDocument,
    arn: str,
    *,
    items: int,
    size_bytes: int,
    on_demand: bool,
    status: str,
    is_filling: bool,
) -> dict[str, Any]:
    """AWS's LocalSecondaryIndexDescription or GlobalSecondaryIndexDescription."""
    definition = document.definition
    projection: dict[str, Any] = {"ProjectionType": definition.projection}
    if definition.included:
        projection["NonKeyAttributes"] = list(definition.included)
    answer: dict[str, Any] = {
        "IndexName": definition.name,
        "KeySchema": definition.key_schema(),
        "Projection": projection,
        "IndexSizeBytes": size_bytes,
        "ItemCount": items,
        "IndexArn": arn,
    }
    if definition.kind == "LOCAL":
        return answer
    answer["IndexStatus"] = status
    if document.status == "CREATING":
        answer["Backfilling"] = is_filling
    answer["ProvisionedThroughput"] = {
        "NumberOfDecreasesToday": 0,
        "ReadCapacityUnits": definition.read_units,
        "WriteCapacityUnits": definition.write_units,
    }
    most = {
        "MaxReadRequestUnits": definition.most_read_units,
        "MaxWriteRequestUnits": definition.most_write_units,
    }
    if any(units is not None for units in most.values()):
        answer["OnDemandThroughput"] = {name: units for name, units in most.items() if units is not None}
    if status == "ACTIVE":
        answer["WarmThroughput"] = describe_warm(
            definition.warm, index_floor(definition, on_demand=on_demand)
        )
    return answer
