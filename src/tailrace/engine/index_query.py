"""Query and Scan of a secondary index: key conditions become byte ranges of its entries.

Rules of this file: reads only. A global index answers with what its entries hold; a local one may also fetch
the items themselves, which costs units of the table. Called by `engine.engine`. Source: semantics §6.6, §6.7.
"""

from collections.abc import Iterable

from tailrace.engine.committer import Committer
from tailrace.engine.query import (
    WRONG_START,
    PagedRows,
    Paging,
    QueryRequest,
    Range,
    ScanRequest,
    check_filter,
    check_segment,
    following_prefix,
    segment_range,
    wrong_start,
    wrong_type,
)
from tailrace.errors import ApiError, InternalError, validation_error
from tailrace.expressions.keys import KeyCondition, SortCondition
from tailrace.tables.indexes import KeyAttribute, TableIndexSchema, partition_bytes
from tailrace.tables.limits import PARTITION_KEY_BYTES, SORT_KEY_BYTES
from tailrace.tables.schema import (
    EMPTY_KINDS,
    INVALID,
    MISMATCH,
    NOT_VALID,
    TableSchema,
)
from tailrace.values.canonical import ordered_bytes, terminated
from tailrace.values.types import AttributeValue, Item


def query_index(
    committer: Committer, schema: TableSchema, index: TableIndexSchema, request: QueryRequest
) -> Paging:
    """One page of one partition of an index. Raises: ApiError."""
    rows = index_range(index, request.condition)
    if request.filter is not None:
        check_filter(index.definition.key_names, request.filter)
    if request.start is not None:
        rows = _after_start(index, request, rows)
    reading = PagedRows(committer, index.number, rows, request.limit, reverse=not request.forward)
    return Paging(index.start_names, reading, request, _fetch(committer, schema, request))


def scan_index(
    committer: Committer, schema: TableSchema, index: TableIndexSchema, request: ScanRequest
) -> Paging:
    """One page of a whole index, or of one segment of it. Raises: ApiError."""
    rows = segment_range(request.segment)
    if request.start is not None:
        start = _start_bytes(index, request.start)
        check_segment(request.segment, rows, start)
        rows = Range(start + b"\0", rows.last)
    reading = PagedRows(committer, index.number, rows, request.limit, reverse=False)
    return Paging(index.start_names, reading, request, _fetch(committer, schema, request))


def _fetch(committer: Committer, schema: TableSchema, request: QueryRequest | ScanRequest) -> "Fetch | None":
    return Fetch(committer, schema) if request.fetches else None


class Fetch:
    """Gets the whole item of an entry of a local index."""

    def __init__(self, committer: Committer, schema: TableSchema) -> None:
        self._committer = committer
        self._schema = schema

    def __call__(self, entry: Item) -> bytes:
        """The item's bytes. Raises: InternalError when entry and item disagree."""
        key = self._schema.locate_item(entry).key_bytes
        data = self._committer.get(self._schema.number, key)
        if data is None:
            raise InternalError(f"an index entry of table {self._schema.name!r} has no item")
        return data


# ---- ranges ------------------------------------------------------------------------------------------------


def index_range(index: TableIndexSchema, condition: KeyCondition) -> Range:
    """The byte range of a key condition. Raises: ApiError when a value does not fit the index's key."""
    definition = index.definition
    hashes = _key_bytes(definition.hash_key, (condition.partition, *condition.further), PARTITION_KEY_BYTES)
    prefix = partition_bytes(hashes)
    sort = condition.sort
    values = (*condition.leading, *(() if sort is None else (sort.low,)))
    ranges = _key_bytes(definition.range_key, values, SORT_KEY_BYTES)
    if sort is None:
        return Range(prefix, following_prefix(prefix))
    for ordered in ranges[:-1]:
        prefix += terminated(ordered)
    return _sort_range(prefix, ranges[-1], sort, definition.range_key[len(ranges) - 1])


def _sort_range(prefix: bytes, ordered: bytes, sort: SortCondition, attribute: KeyAttribute) -> Range:
    low, end = prefix + terminated(ordered), following_prefix(prefix)
    match sort.operator:
        case "=":
            return Range(low, following_prefix(low))
        case "<":
            return Range(prefix, low)
        case "<=":
            return Range(prefix, following_prefix(low))
        case ">":
            return Range(_after(low), end)
        case ">=":
            return Range(low, end)
        case "BETWEEN":
            assert sort.high is not None
            (high,) = _key_bytes((attribute,), (sort.high,), SORT_KEY_BYTES)
            return Range(low, following_prefix(prefix + terminated(high)))
        case "begins_with":
            begin = low.removesuffix(terminated(b""))
            return Range(begin, following_prefix(begin))
        case _:
            raise InternalError(f"no such sort condition: {sort.operator!r}")


def _after(prefix: bytes) -> bytes:
    following = following_prefix(prefix)
    assert following is not None  # a prefix ends with a terminator
    return following


def _key_bytes(
    attributes: Iterable[KeyAttribute], values: Iterable[AttributeValue], most: int
) -> list[bytes]:
    """The ordered bytes of as many key attributes as there are values. Raises: ApiError."""
    parts: list[bytes] = []
    for (name, kind), value in zip(attributes, values, strict=False):
        if kind not in value:
            raise wrong_type()
        ordered = ordered_bytes(value)
        if not ordered:
            raise validation_error(
                f"{NOT_VALID}The AttributeValue for a key attribute cannot contain an empty "
                f"{EMPTY_KINDS[kind]} value. "
                f"Key: {name}"
            )
        parts.append(ordered)
    if sum(map(len, parts)) > most:
        raise validation_error(
            # AWS's text really has no blank before the first number.
            f"{INVALID}Size of hashkey has exceeded the maximum size limit of2048 bytes"
            if most == PARTITION_KEY_BYTES
            else f"{INVALID}Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
        )
    return parts


# ---- starting again ----------------------------------------------------------------------------------------


def _start_bytes(index: TableIndexSchema, start: Item) -> bytes:
    """Where a Scan's ExclusiveStartKey stands. Raises: ApiError."""
    names = index.start_names
    if len(start) != len(names) or any(name not in start for name in names):
        raise wrong_start(MISMATCH)
    try:
        table_key = index.table.key_bytes({name: start[name] for name in index.table.key_names})
    except ApiError as error:
        raise wrong_start(error.message) from None
    key = index.key_bytes(start, table_key)
    if key is None:
        raise wrong_start(MISMATCH)
    return key


def _after_start(index: TableIndexSchema, request: QueryRequest, rows: Range) -> Range:
    assert request.start is not None
    try:
        start = _start_bytes(index, request.start)
    except ApiError:
        raise validation_error(WRONG_START) from None
    partition = index_range(index, KeyCondition(request.condition.partition, None, request.condition.further))
    if not partition.holds(start):
        raise validation_error(
            "The provided starting key is outside query boundaries based on provided conditions"
        )
    if not rows.holds(start):
        raise validation_error("The provided starting key does not match the range key predicate")
    return Range(start + b"\0", rows.last) if request.forward else Range(rows.first, start)
