"""Scan: every item of a table, page by page.

Behaviour:     in the order of the partition keys' hashes; a page ends at Limit evaluated items or 1 MB before the filter;
               every read is consistent.
Limits:        1 MB a page; expression 4 KB.
Not emulated:  IndexName; TotalSegments other than 1 (parallel scan).
Source:        AWS API Reference, Scan; semantics §6.6.
"""

from typing import Final

from tailrace.engine.engine import Engine
from tailrace.engine.query import ScanRequest
from tailrace.errors import validation_error
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
    Whole,
    structure,
)  # fmt: skip
from tailrace.server.validation import not_emulated
from tailrace.server.wire import Payload

INPUT: Final = Input(
    structure(
        "ScanInput", "TableName",
        TableName=TABLE_NAME, IndexName=INDEX_NAME, AttributesToGet=ATTRIBUTE_LIST, Limit=POSITIVE, Select=SELECT,
        ScanFilter=CONDITIONS, ConditionalOperator=OPERATOR, ExclusiveStartKey=Values(),
        ReturnConsumedCapacity=RETURN_CAPACITY, TotalSegments=Whole(1, 1_000_000), Segment=Whole(0, 999_999),
        ProjectionExpression=EXPRESSION, FilterExpression=EXPRESSION, ExpressionAttributeNames=NAMES,
        ExpressionAttributeValues=EXPRESSION_VALUES, ConsistentRead=Flag(),
    ),
    {"IndexName": None},
    {"TotalSegments": 1},
)  # fmt: skip


@operation(DYNAMODB, "Scan", INPUT)
def scan(engine: Engine, payload: Payload) -> Result:
    """One page of the table. Raises: ApiError."""
    placeholders = read_placeholders(payload, "ProjectionExpression", "FilterExpression")
    start_key = read_start_key(payload)
    check_segments(payload.get("Segment"), payload.get("TotalSegments"))
    counts = counts_only(payload, "Scanning")
    projection = read_projection(payload, placeholders)
    condition = read_filter(payload, placeholders, "ScanFilter")
    placeholders.check_all_used()
    page = engine.scan(
        ScanRequest(
            payload["TableName"],
            condition,
            projection,
            payload.get("Limit"),
            start_key,
            counts,
            is_wanted(payload),
        )
    )
    return page_bytes(payload, page, counts)


def check_segments(segment: int | None, total: int | None) -> None:
    """Require both or neither, and a segment that exists. Raises: ApiError. Source: semantics §6.6."""
    if segment is None and total is None:
        return
    if total is None:
        raise validation_error(
            "The TotalSegments parameter is required but was not present in the request when Segment parameter is present"
        )
    if segment is None:
        raise validation_error(
            "The Segment parameter is required but was not present in the request when parameter TotalSegments is present"
        )
    if segment >= total:
        raise validation_error(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            f"Segment: {segment} is not less than TotalSegments: {total}"
        )
    if total > 1:
        raise not_emulated(f"TotalSegments={total}")
