"""Query and Scan: key conditions become byte ranges, rows are read in pages, filters come after.

Rules of this file: reads only. Rows stay the JSON bytes that are answered unless a filter or a projection needs values.
A page ends at `limit` evaluated items or after the item that crosses 1 MB. Called by `engine.engine`.
Source: semantics §6.6.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import orjson

from tailrace.engine.committer import Committer
from tailrace.errors import ApiError, InternalError, validation_error
from tailrace.expressions.condition import Condition
from tailrace.expressions.keys import KeyCondition, SortCondition
from tailrace.expressions.projection import Projection
from tailrace.tables.limits import PAGE_BYTES
from tailrace.tables.schema import HASH_BYTES, INVALID, TableSchema
from tailrace.values.size import size_bytes
from tailrace.values.types import Item
from tailrace.values.wire import dump_item

FIRST_ROWS: Final = 64
MOST_ROWS: Final = 1_024
WRONG_START: Final = "The provided starting key is invalid: "


class QueryRequest(msgspec.Struct, frozen=True):
    """One Query. `condition` comes from `expressions.keys`; its values are not yet checked against the schema.

    Shape:   `start` is ExclusiveStartKey, `limit` counts evaluated items, `count_only` is Select COUNT.
    """

    table: str
    condition: KeyCondition
    filter: Condition | None = None
    projection: Projection | None = None
    limit: int | None = None
    start: Item | None = None
    forward: bool = True
    count_only: bool = False
    measured: bool = False
    index: str | None = None
    fetches: bool = False
    """Whether whole items are fetched for the entries of a local index."""


@dataclass(frozen=True, slots=True)
class ScanRequest:
    """One page of a Scan, in the order of the partition keys' hashes.

    Shape:   `segment` is (Segment, TotalSegments) of a parallel scan; `index` and `fetches` as for a Query.
    """

    table: str
    filter: Condition | None = None
    projection: Projection | None = None
    limit: int | None = None
    start: Item | None = None
    count_only: bool = False
    measured: bool = False
    index: str | None = None
    fetches: bool = False
    segment: tuple[int, int] | None = None


class ItemPage(msgspec.Struct, frozen=True):
    """What one Query or Scan found.

    Shape:   `items` are JSON bytes, one an item, ready to be joined into an answer (empty for Select COUNT);
             `count` after the filter, `scanned_count` before; `last_key` is LastEvaluatedKey.
    """

    items: list[bytes]
    count: int
    scanned_count: int
    last_key: Item | None = None
    scanned_bytes: int = 0
    """What the evaluated items (or entries of an index) weigh; 0 unless the request is `measured`."""
    fetched_bytes: tuple[int, ...] = ()
    """What each item weighs that was fetched for an entry of a local index."""

    def decoded(self) -> list[Item]:
        """The items as values."""
        return [orjson.loads(item) for item in self.items]


class Range(msgspec.Struct, frozen=True):
    """Rows with first <= key < last."""

    first: bytes
    last: bytes | None

    def holds(self, key: bytes) -> bool:
        """Whether a key lies in it."""
        return self.first <= key and (self.last is None or key < self.last)


def query(committer: Committer, schema: TableSchema, request: QueryRequest) -> ItemPage:
    """One page of one partition. Raises: ApiError."""
    rows = query_range(schema, request.condition)
    if request.filter is not None:
        check_filter(schema.key_names, request.filter)
    if request.start is not None:
        rows = _after_start(schema, request, rows)
    reading = Reading(committer, schema.number, rows, request.limit, reverse=not request.forward)
    return read_page(schema.key_names, reading, request)


def scan(committer: Committer, schema: TableSchema, request: ScanRequest) -> ItemPage:
    """One page of the whole table. Raises: ApiError."""
    rows = segment_range(request.segment)
    if request.start is not None:
        start = _start_bytes(schema, request.start)
        check_segment(request.segment, rows, start)
        rows = Range(start + b"\0", rows.last)
    reading = Reading(committer, schema.number, rows, request.limit, reverse=False)
    return read_page(schema.key_names, reading, request)


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
        raise validation_error(
            f"{WRONG_START}Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct Segment. "
            f"TotalSegments: {segment[1]} Segment: {segment[0]}"
        )


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
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else None


def _start_bytes(schema: TableSchema, start: Item) -> bytes:
    try:
        return schema.key_bytes(start)
    except ApiError as error:
        raise validation_error(f"{WRONG_START}{error.message}") from None


def _after_start(schema: TableSchema, request: QueryRequest, rows: Range) -> Range:
    assert request.start is not None
    start = _start_bytes(schema, request.start)
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


class Reading:
    """Rows of a range in pages that grow, so that ten items cost one small read and a megabyte few large ones."""

    def __init__(
        self, committer: Committer, table: int, rows: Range, limit: int | None, *, reverse: bool
    ) -> None:
        self._committer = committer
        self._table = table
        self._rows = rows
        self._limit = limit
        self._reverse = reverse
        self._found: list[tuple[bytes, bytes]] | None = None

    def _read(self, first: bytes, last: bytes | None, asked: int) -> list[tuple[bytes, bytes]]:
        found, self._found = self._found, None
        if found is not None:
            return found
        return self._committer.query(self._table, first, last, asked, reverse=self._reverse)

    def few(self) -> list[bytes] | None:
        """The values of the whole range, when one small read finds them all and they are far from a page; else None."""
        found = self._read(self._rows.first, self._rows.last, FIRST_ROWS)
        if len(found) < FIRST_ROWS:
            values = [value for _, value in found]
            if sum(map(len, values)) < PAGE_BYTES:
                return values
        self._found = found
        return None

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        first, last = self._rows.first, self._rows.last
        left = self._limit
        size = FIRST_ROWS
        while True:
            asked = size if left is None else min(size, left)
            found = self._read(first, last, asked)
            yield from found
            if len(found) < asked or asked == left:
                return
            if left is not None:
                left -= asked
            # Rows may be large: no page of the store holds much more than a page of the answer.
            average = sum(len(value) for _, value in found) // asked + 1
            size = max(1, min(MOST_ROWS, size * 4, PAGE_BYTES // average))
            if self._reverse:
                last = found[-1][0]
            else:
                first = found[-1][0] + b"\0"


def read_page(
    key_names: Sequence[str],
    reading: Reading,
    request: QueryRequest | ScanRequest,
    fetch: Callable[[Item], bytes] | None = None,
) -> ItemPage:
    """Read until the page is full; the key of the last row has `key_names`. `fetch` gets an entry's whole item."""
    items: list[bytes] = []
    condition, projection, limit, count_only = (
        request.filter, request.projection, request.limit, request.count_only,
    )  # fmt: skip
    as_stored = condition is None and projection is None and fetch is None
    if as_stored and limit is None and not request.measured and (values := reading.few()) is not None:
        return ItemPage([] if count_only else values, len(values), len(values))
    scanned = count = 0
    meter = _Meter()
    fetched: list[int] = []
    last_key: Item | None = None
    for _, data in reading:
        scanned += 1
        is_full = meter.add(data) or scanned == limit
        if as_stored:
            count += 1
            if not count_only:
                items.append(data)
        else:
            item: Item = orjson.loads(data)
            whole = data if fetch is None else fetch(item)
            if fetch is not None:
                item = orjson.loads(whole)
                fetched.append(size_bytes(item))
            if condition is None or condition.matches(item):
                count += 1
                if not count_only:
                    items.append(whole if projection is None else dump_item(projection.apply(item)))
        if is_full:
            entry: Item = orjson.loads(data)
            last_key = {name: entry[name] for name in key_names}
            break
    weight = meter.weigh() if request.measured else 0
    return ItemPage(items, count, scanned, last_key, weight, tuple(fetched))


class _Meter:
    """Weighs a page. JSON is never lighter than the item it holds, so exact sizes matter only near the limit."""

    def __init__(self) -> None:
        self._bound = 0
        self._rows: list[bytes] = []
        self._exact = 0

    def weigh(self) -> int:
        """What all rows weigh, exactly."""
        return self._exact + sum(size_bytes(orjson.loads(row)) for row in self._rows)

    def add(self, data: bytes) -> bool:
        """Whether the page is full with this row."""
        self._bound += len(data)
        if self._bound < PAGE_BYTES:
            self._rows.append(data)
            return False
        for row in (*self._rows, data):
            self._exact += size_bytes(orjson.loads(row))
        self._rows.clear()
        # What is exact so far is the new bound: the rest may again be judged by its JSON for a while.
        self._bound = self._exact
        return self._exact >= PAGE_BYTES
