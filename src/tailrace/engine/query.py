"""Query and Scan of a table: key conditions become byte ranges, a starting key shortens them.

Rules of this file: reads only; what is read from the range is `engine.paging`'s. Called by `engine.engine`.
Source: semantics §6.6.
"""

from collections.abc import Sequence
from typing import Final

from tailrace.engine.committer import Committer
from tailrace.engine.paging import ItemPage, PagedRows, Paging, QueryRequest, Range, ScanRequest
from tailrace.errors import ApiError, InternalError, validation_error
from tailrace.expressions.condition import Condition
from tailrace.expressions.keys import KeyCondition, SortCondition
from tailrace.tables.schema import HASH_BYTES, INVALID, TableSchema
from tailrace.values.types import Item

__all__ = ["ItemPage", "PagedRows", "Paging", "QueryRequest", "Range", "ScanRequest"]

WRONG_START: Final = "The provided starting key is invalid"


def query(committer: Committer, schema: TableSchema, request: QueryRequest) -> Paging:
    """One page of one partition, to be read. Raises: ApiError."""
    rows = query_range(schema, request.condition)
    if request.filter is not None:
        check_filter(schema.key_names, request.filter)
    if request.start is not None:
        rows = _after_start(schema, request, rows)
    reading = PagedRows(committer, schema.number, rows, request.limit, reverse=not request.forward)
    return Paging(schema.key_names, reading, request)


def scan(committer: Committer, schema: TableSchema, request: ScanRequest) -> Paging:
    """One page of the whole table, to be read. Raises: ApiError."""
    rows = segment_range(request.segment)
    if request.start is not None:
        start = _start_bytes(schema, request.start)
        check_segment(request.segment, rows, start)
        rows = Range(start + b"\0", rows.last)
    reading = PagedRows(committer, schema.number, rows, request.limit, reverse=False)
    return Paging(schema.key_names, reading, request)


def segment_range(segment: tuple[int, int] | None) -> Range:
    """The part of the hash space that one segment scans: disjoint, and together all of it.

    >>> segment_range((1, 2)).first.hex()
    '8000000000000000'
    """
    if segment is None:
        return Range(b"", None)
    number, total = segment
    first, last = (-(-(place << 64) // total) for place in (number, number + 1))
    return Range(first.to_bytes(HASH_BYTES), None if number + 1 == total else last.to_bytes(HASH_BYTES))


def check_segment(segment: tuple[int, int] | None, rows: Range, start: bytes) -> None:
    """Require a starting key of this segment. Raises: ApiError. Source: semantics §6.6."""
    if segment is not None and not rows.holds(start):
        raise wrong_start(
            "Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. "
            f"TotalSegments: {segment[1]} Segment: {segment[0]}"
        )


def wrong_start(reason: object) -> ApiError:
    """What is wrong with an ExclusiveStartKey. A Query says no reason for one that does not fit the keys."""
    return validation_error(f"{WRONG_START}: {reason}")


def check_filter(key_names: Sequence[str], condition: Condition) -> None:
    """Refuse a Query's filter on a key attribute. Raises: ApiError. Source: semantics §6.6."""
    names = condition.attribute_names()
    member = "QueryFilter" if condition.member == "QueryFilter" else "Filter Expression"
    for name in key_names:
        if name in names:
            raise validation_error(
                f"{member} can only contain non-primary key attributes: Primary key attribute: {name}"
            )


def query_range(schema: TableSchema, condition: KeyCondition) -> Range:
    """The byte range of a key condition. Raises: ApiError when a value has another type than the schema's."""
    if schema.hash_type not in condition.partition:
        raise wrong_type()
    prefix = schema.partition_prefix(condition.partition)
    if condition.sort is None:
        return Range(prefix, following_prefix(prefix))
    return _sort_range(schema, prefix, condition.sort)


def _sort_range(schema: TableSchema, prefix: bytes, sort: SortCondition) -> Range:
    for value in (sort.low, sort.high):
        if value is not None and schema.range_type not in value:
            raise wrong_type()
    low = prefix + schema.sort_bytes(sort.low)
    end = following_prefix(prefix)
    match sort.operator:
        case "=":
            return Range(low, low + b"\0")
        case "<":
            return Range(prefix, low)
        case "<=":
            return Range(prefix, low + b"\0")
        case ">":
            return Range(low + b"\0", end)
        case ">=":
            return Range(low, end)
        case "BETWEEN":
            assert sort.high is not None
            return Range(low, prefix + schema.sort_bytes(sort.high) + b"\0")
        case "begins_with":
            return Range(low, following_prefix(low))
        case _:
            raise InternalError(f"no such sort condition: {sort.operator!r}")


def wrong_type() -> ApiError:
    """A key condition's value has another type than the key."""
    return validation_error(f"{INVALID}Condition parameter type does not match schema type")


def following_prefix(prefix: bytes) -> bytes | None:
    """The first key after every key that begins with this prefix; None when there is none.

    >>> following_prefix(bytes([1, 255]))
    b'\\x02'
    """
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None


def _start_bytes(schema: TableSchema, start: Item) -> bytes:
    try:
        return schema.key_bytes(start)
    except ApiError as error:
        raise wrong_start(error.message) from None


def _after_start(schema: TableSchema, request: QueryRequest, rows: Range) -> Range:
    assert request.start is not None
    try:
        start = schema.key_bytes(request.start)
    except ApiError:
        raise validation_error(WRONG_START) from None
    sort = request.condition.sort
    if schema.range_name is None or (sort is not None and sort.operator == "="):
        raise validation_error("The query can return at most one row and cannot be restarted")
    if not start.startswith(schema.partition_prefix(request.condition.partition)):
        raise validation_error(
            "The provided starting key is outside query boundaries based on provided conditions"
        )
    if not rows.holds(start):
        raise validation_error("The provided starting key does not match the range key predicate")
    return Range(start + b"\0", rows.last) if request.forward else Range(rows.first, start)
