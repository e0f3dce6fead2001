"""What AWS's front end checks otherwise than its model says.

Rules of this file: data, laid over `api.models` by `api.inputs`: what stands here replaces what the model has
of a shape, or of one member of a structure. `order` tells which members come first where several mistakes are
told, `last` which come last; `also` adds members, `whole` tells what is wrong with an element of a list of
the list, `arn` that a table's ARN may stand for its name, `placeholders` that the names of a map of values
are an expression's. Source: semantics §6; aws-texts-2026.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from tailrace.api.models import lambdas

Patches: TypeAlias = Mapping[str, Mapping[str, Any]]
"""By the name of a shape, or `Structure.Member`."""

NAME: Final = "[a-zA-Z0-9_.-]+"
TABLE: Final = {"min": 3, "max": 255, "pattern": NAME, "arn": True}
POSITIVE_WARM: Final = {
    "members": {"ReadUnitsPerSecond": "PositiveLongObject", "WriteUnitsPerSecond": "PositiveLongObject"}
}
"""A table's own; that of an index is checked later."""
LAST_KEY: Final = {"last": ("Key",)}

DYNAMODB: Final[Patches] = {
    "TableArn": TABLE,
    "CreateTableInput": {
        "required": ("TableName", "AttributeDefinitions", "KeySchema"),
        "order": ("AttributeDefinitions", "TableName", "KeySchema", "GlobalSecondaryIndexes"),
    },
    "CreateTableInput.TableName": {"arn": False},
    "CreateTableInput.GlobalTableSourceArn": {"min": 1, "max": 1_024, "pattern": None, "arn": False},
    "CreateTableInput.KeySchema": {"max": 2},
    "CreateTableInput.WarmThroughput": POSITIVE_WARM,
    "UpdateTableInput.WarmThroughput": POSITIVE_WARM,
    "LocalSecondaryIndex.KeySchema": {"max": 2},
    "GlobalSecondaryIndex.KeySchema": {"max": 8},
    "CreateGlobalSecondaryIndexAction.KeySchema": {"max": 8},
    "ExpressionAttributeValueMap": {"placeholders": True},
    "PutItemInput": {"last": ("Item",)},
    "UpdateItemInput": {"order": ("ReturnConsumedCapacity", "TableName", "ReturnValues"), **LAST_KEY},
    "DeleteItemInput": LAST_KEY,
    "BatchGetItemInput": {"last": ("RequestItems",)},
    "BatchWriteItemInput": {"last": ("RequestItems",)},
    "ConditionalOperator": {"enum": ("OR", "AND")},
    "ReturnValue": {"enum": ("ALL_NEW", "UPDATED_OLD", "ALL_OLD", "NONE", "UPDATED_NEW")},
    "ComparisonOperator": {
        "enum": (
            "IN",
            "NULL",
            "BETWEEN",
            "LT",
            "NOT_CONTAINS",
            "EQ",
            "GT",
            "NOT_NULL",
            "NE",
            "LE",
            "BEGINS_WITH",
            "GE",
            "CONTAINS",
        )
    },
    "Select": {"enum": ("SPECIFIC_ATTRIBUTES", "COUNT", "ALL_ATTRIBUTES", "ALL_PROJECTED_ATTRIBUTES")},
}
STREAMS: Final[Patches] = {
    "ListStreamsInput.TableName": {"arn": True},
    "ListStreamsInput.Limit": {"max": 100},
    "DescribeStreamInput.Limit": {"max": 100},
    "GetRecordsInput.Limit": {"max": 1_000},
}
KINESIS: Final[Patches] = {
    "PutRecordInput": {"required": ("Data", "PartitionKey")},
    "PutRecordsRequestEntry": {"required": ("Data", "PartitionKey")},
}
"""A partition key may be left out where streams distribute records themselves, which is not emulated."""
OWN_TAGS: Final[Mapping[str, Any]] = {"min": 0, "max": None, "pattern": None}
"""Lambda checks tags behind its front end, all of them at once."""
LAMBDA: Final[Patches] = {
    "TagKey": OWN_TAGS,
    "TagValue": OWN_TAGS,
    "PackageType": {"enum": ("Zip",)},
    "Timeout": {"max": 900},
    "MemorySize": {"max": 10_240},
    "EventSourcePosition": {"enum": ("LATEST", "AT_TIMESTAMP", "TRIM_HORIZON")},
    "FunctionResponseTypeList": {"whole": True},
    "EventSourceMappingMetricList": {"whole": True},
    "InvocationRequest": {
        "also": {"TraceId": "String"},
        "places": {
            **lambdas.SHAPES["InvocationRequest"]["places"],
            "TraceId": ("header", "X-Amzn-Trace-Id"),
        },
    },
    "UpdateEventSourceMappingRequest": {
        "also": {
            "EventSourceArn": "Arn",
            "StartingPosition": "EventSourcePosition",
            "StartingPositionTimestamp": "Date",
            "Tags": "Tags",
        }
    },
}
"""Functions that are images, and those that run longer or are larger, which need a capacity provider, are not
emulated. What UpdateEventSourceMapping takes beside its model is refused by name.
"""
