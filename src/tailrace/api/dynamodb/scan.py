"""Scan: every item of a table or an index, page by page, whole or in segments.

Behaviour:     in the order of the partition keys' hashes; a page ends at Limit evaluated items or 1 MB before
               the filter; every read is consistent, of an index too. A segment is an equal part of the hash
               space; a local index has the segments of its table.
Limits:        1 MB a page; expression 4 KB; 1,000,000 segments.
Not emulated:  nothing.
Source:        AWS API Reference, Scan; semantics §6.6.
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
from tailrace.engine.query import ScanRequest
from tailrace.errors import validation_error


@operation(DYNAMODB, "Scan")
def scan(engine: Engine, payload: Payload) -> Result:
    """One page of the table or index. Raises: ApiError."""
    placeholders = read_placeholders(payload, "ProjectionExpression", "FilterExpression")
    start_key = read_start_key(payload)
    segment = read_segment(payload.get("Segment"), payload.get("TotalSegments"))
    counts = counts_only(payload)
    condition = read_filter(payload, placeholders, "ScanFilter")
    projection = read_projection(payload, placeholders)
    placeholders.check_all_used()
    index = read_index(engine, payload)
    refuse_key_paths(engine, payload, projection, condition)
    paging = engine.open(
        ScanRequest(
            payload["TableName"],
            condition,
            projection,
            payload.get("Limit"),
            start_key,
            counts,
            is_wanted(payload),
            None if index is None else index.name,
            index is not None and fetches_items(payload, index, projection, condition),
            segment,
        )
    )
    return page_answer(payload, paging, counts, index)


def read_segment(segment: int | None, total: int | None) -> tuple[int, int] | None:
    """Which part of the hash space, if not all: both or neither, and a segment that exists. Raises: ApiError.
    Source: semantics §6.6.
    """
    if segment is None and total is None:
        return None
    if total is None:
        raise validation_error(
            "The TotalSegments parameter is required but was not present in the request when Segment "
            "parameter is present"
        )
    if segment is None:
        raise validation_error(
            "The Segment parameter is required but was not present in the request when parameter "
            "TotalSegments is present"
        )
    if segment >= total:
        raise validation_error(
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            f"Segment: {segment} is not less than TotalSegments: {total}"
        )
    return segment, total
