"""Query: the items of one partition, in the order of the sort key.

Behaviour:     a page ends at Limit evaluated items or 1 MB before the filter; LastEvaluatedKey is answered even if
               nothing follows; every read is consistent.
Limits:        1 MB a page; expression 4 KB.
Not emulated:  IndexName.
Source:        AWS API Reference, Query; semantics §6.6.
"""

from typing import Final

from tailrace.engine.engine import Engine
from tailrace.engine.query import QueryRequest
from tailrace.errors import validation_error
from tailrace.expressions.keys import KeyCondition, parse_key_condition
from tailrace.expressions.legacy import read_key_conditions
from tailrace.expressions.placeholders import Placeholders
from tailrace.server.capacity import is_wanted
from tailrace.server.legacy import CONDITIONS
from tailrace.server.parameters import (
    EXPRESSION,
    EXPRESSION_VALUES,
    counts_only,
    page_bytes,
    read_filter,
    read_placeholders,
    read_projection,
    read_start_key,
)  # fmt: skip
from tailrace.server.registry import DYNAMODB, Result, operation
from tailrace.server.shapes import (
    ATTRIBUTE_LIST,
    INDEX_NAME,
    NAMES,
    OPERATOR,
    POSITIVE,
    RETURN_CAPACITY,
    SELECT,
    TABLE_NAME,
    Flag,
    Input,
    Values,
    structure,
)  # fmt: skip
from tailrace.server.wire import Payload
from tailrace.tables.schema import TableSchema

INPUT: Final = Input(
    structure(
        "QueryInput", "TableName",
        TableName=TABLE_NAME, IndexName=INDEX_NAME, Select=SELECT, AttributesToGet=ATTRIBUTE_LIST, Limit=POSITIVE,
        ConsistentRead=Flag(), KeyConditions=CONDITIONS, QueryFilter=CONDITIONS,
        ConditionalOperator=OPERATOR, ScanIndexForward=Flag(), ExclusiveStartKey=Values(),
        ReturnConsumedCapacity=RETURN_CAPACITY, ProjectionExpression=EXPRESSION, FilterExpression=EXPRESSION,
        KeyConditionExpression=EXPRESSION, ExpressionAttributeNames=NAMES, ExpressionAttributeValues=EXPRESSION_VALUES,
    ),
    {"IndexName": None},
)  # fmt: skip


@operation(DYNAMODB, "Query", INPUT)
def query(engine: Engine, payload: Payload) -> Result:
    """One page of a partition. Raises: ApiError."""
    placeholders = read_placeholders(
        payload, "ProjectionExpression", "FilterExpression", "KeyConditionExpression"
    )
    start_key = read_start_key(payload)
    counts = counts_only(payload, "Querying")
    if "KeyConditionExpression" not in payload and "KeyConditions" not in payload:
        raise validation_error(
            "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."
        )
    projection = read_projection(payload, placeholders)
    condition = read_filter(payload, placeholders, "QueryFilter")
    schema = engine.schema(payload["TableName"])
    key_condition = read_key_condition(payload, placeholders, schema)
    placeholders.check_all_used()
    page = engine.query(
        QueryRequest(
            payload["TableName"], key_condition, condition, projection, payload.get("Limit"), start_key,
            payload.get("ScanIndexForward", True), counts, is_wanted(payload),
        )
    )  # fmt: skip
    return page_bytes(payload, page, counts)


def read_key_condition(payload: Payload, placeholders: Placeholders, schema: TableSchema) -> KeyCondition:
    """The KeyConditionExpression, or KeyConditions. Raises: ApiError."""
    text = payload.get("KeyConditionExpression")
    if text is None:
        return read_key_conditions(payload["KeyConditions"], schema.hash_name, schema.range_name)
    return parse_key_condition(text, placeholders, schema.hash_name, schema.range_name)
