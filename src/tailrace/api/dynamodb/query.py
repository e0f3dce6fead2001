"""Query: the items of one partition of a table or an index, in the order of the sort key.

Behaviour:     a page ends at Limit evaluated items or 1 MB before the filter; LastEvaluatedKey is answered
               even if nothing follows; every read is consistent, of an index too. Entries of equal index keys
               come in the order of their items' keys. A local index fetches what it does not project from the
               table.
Limits:        1 MB a page; expression 4 KB.
Not emulated:  nothing.
Source:        AWS API Reference, Query; semantics §6.6.
"""

from tailrace.api.dynamodb.capacity import is_wanted
from tailrace.api.dynamodb.index_reading import fetches_items, read_index
from tailrace.api.dynamodb.parameters import (
    counts_only,
    page_answer,
    read_filter,
    read_placeholders,
    read_projection,
    read_start_key,
    refuse_key_paths,
)
from tailrace.api.registry import DYNAMODB, Result, operation
from tailrace.api.wire import Payload
from tailrace.engine.engine import Engine
from tailrace.engine.query import QueryRequest
from tailrace.errors import ApiError, validation_error
from tailrace.expressions.condition import bind
from tailrace.expressions.keys import KIND, KeyCondition, check_key_condition, parse_key_condition
from tailrace.expressions.legacy import read_key_conditions, read_key_nodes
from tailrace.expressions.placeholders import Placeholders
from tailrace.tables.indexes import TableIndexSchema
from tailrace.tables.schema import TableSchema


@operation(DYNAMODB, "Query")
def query(engine: Engine, payload: Payload) -> Result:
    """One page of a partition. Raises: ApiError."""
    placeholders = read_placeholders(
        payload, "ProjectionExpression", "FilterExpression", "KeyConditionExpression"
    )
    start_key = read_start_key(payload)
    counts = counts_only(payload)
    if "KeyConditionExpression" not in payload and "KeyConditions" not in payload:
        raise validation_error(
            "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."
        )
    try:
        condition = read_filter(payload, placeholders, "QueryFilter")
        projection = read_projection(payload, placeholders)
    except ApiError:
        _judge_key_condition(payload, placeholders, whole=False)
        raise
    try:
        index = read_index(engine, payload)
        key = engine.schema(payload["TableName"]) if index is None else index
        key_condition = read_key_condition(payload, placeholders, key)
    except ApiError:
        _judge_key_condition(payload, placeholders, whole=True)
        raise
    placeholders.check_all_used()
    refuse_key_paths(engine, payload, projection, condition)
    fetches = index is not None and fetches_items(payload, index, projection, condition)
    paging = engine.open(
        QueryRequest(
            payload["TableName"],
            key_condition,
            condition,
            projection,
            payload.get("Limit"),
            start_key,
            payload.get("ScanIndexForward", True),
            counts,
            is_wanted(payload),
            None if index is None else index.name,
            fetches,
        )
    )
    return page_answer(payload, paging, counts, index)


def _judge_key_condition(payload: Payload, placeholders: Placeholders, *, whole: bool) -> None:
    """What AWS says of a key condition before it looks at the other expressions, or (`whole`) for the table
    and its key. Raises: ApiError.
    """
    text = payload.get("KeyConditionExpression")
    if text is not None:
        bind(text, placeholders, KIND)
        if whole:
            placeholders.check_all_used()
            check_key_condition(text, placeholders)
    elif whole:
        read_key_nodes(payload["KeyConditions"])


def read_key_condition(
    payload: Payload, placeholders: Placeholders, key: TableSchema | TableIndexSchema
) -> KeyCondition:
    """The KeyConditionExpression, or KeyConditions. Raises: ApiError."""
    text = payload.get("KeyConditionExpression")
    if text is None:
        return read_key_conditions(payload["KeyConditions"], key.hash_names, key.range_names)
    return parse_key_condition(text, placeholders, key.hash_names, key.range_names)
