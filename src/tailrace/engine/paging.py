"""Pages of items: rows of a range are read, filtered and weighed in slices, until the page is full.

Rules of this file: reads only. Rows stay the JSON bytes that are answered unless a filter or a projection
needs values. A page ends at `limit` evaluated items or after the item that crosses 1 MB. After a rest rows
are read again from where the page stands, so that nothing that was read before it is used after it. Called by
`engine.query` and `engine.index_query`.
Source: semantics §6.6.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec
import orjson
from msgspec import Struct

from tailrace.engine.committer import Committer
from tailrace.engine.slices import BYTES_READ, SLICE_WORK, Slices, at_once
from tailrace.expressions.condition import Condition
from tailrace.expressions.judging import BYTES_JUDGED, HEAVY_WORK, OPERATORS_JUDGED, judged, weight_of
from tailrace.expressions.keys import KeyCondition
from tailrace.expressions.projection import ProjectionExpression
from tailrace.tables.limits import PAGE_BYTES
from tailrace.values.canonical import size_bytes
from tailrace.values.types import Item
from tailrace.values.wire import dump_item

FIRST_ROWS: Final = 64
MOST_ROWS: Final = 1_024
LEAST_ROWS: Final = 16
BYTES_PASSED: Final = 1_024
"""How many bytes are passed on as they are stored for one unit of work."""


class QueryRequest(msgspec.Struct, frozen=True):
    """One Query. `condition` comes from `expressions.keys`; its values are not yet checked against the
    schema.

    Shape:   `start` is ExclusiveStartKey, `limit` counts evaluated items, `count_only` is Select COUNT.
    """

    table: str
    condition: KeyCondition
    filter: Condition | None = None
    projection: ProjectionExpression | None = None
    limit: int | None = None
    start: Item | None = None
    forward: bool = True
    count_only: bool = False
    measured: bool = False
    index: str | None = None
    fetches: bool = False
    """Whether whole items are fetched for the entries of a local index."""


class ScanRequest(Struct, frozen=True):
    """One page of a Scan, in the order of the partition keys' hashes.

    Shape:   `segment` is (Segment, TotalSegments) of a parallel scan; `index` and `fetches` as for a Query.
    """

    table: str
    filter: Condition | None = None
    projection: ProjectionExpression | None = None
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


class PageAsOf:
    """As of which sequence number a page is read: everything up to it is in the page, nothing behind it.

    Shape:   `position` is None before a page was begun.
    """

    __slots__ = ("_last_sequence", "position")

    def __init__(self, last_sequence: Callable[[], int]) -> None:
        self._last_sequence = last_sequence
        self.position: int | None = None

    def begin(self) -> None:
        """A page is read from now on."""
        self.position = self._last_sequence()

    def has_passed(self) -> bool:
        """Whether something was written since: what is read from now on is as of another number."""
        return self._last_sequence() != self.position


class PagedRows:
    """Rows of a range in pages that grow, so that ten items cost one small read and a megabyte few large
    ones.
    """

    def __init__(
        self, committer: Committer, table: int, rows: Range, limit: int | None, *, reverse: bool
    ) -> None:
        self._committer = committer
        self._table = table
        self._rows = rows
        self._limit = limit
        self._reverse = reverse
        self._ahead: list[tuple[bytes, bytes]] | None = None
        self._most = MOST_ROWS
        self._is_stale = False

    def _read(self, first: bytes, last: bytes | None, asked: int) -> list[tuple[bytes, bytes]]:
        rows, self._ahead = self._ahead, None
        if rows is not None:
            return rows
        return self._committer.query(self._table, first, last, asked, reverse=self._reverse)

    def few(self) -> list[bytes] | None:
        """The values of the whole range, when one small read finds them all and they are far from a page;
        else None.
        """
        rows = self._read(self._rows.first, self._rows.last, FIRST_ROWS)
        if len(rows) < FIRST_ROWS:
            values = [value for _, value in rows]
            if sum(map(len, values)) < PAGE_BYTES:
                return values
        self._ahead = rows
        return None

    def forget(self, rows: int) -> None:
        """After a rest: what was read and not yet handed out is read again. So many rows fit between two
        rests.
        """
        self._is_stale = True
        self._most = max(LEAST_ROWS, min(MOST_ROWS, rows))

    def __iter__(self) -> Iterator[bytes]:
        first, last = self._rows.first, self._rows.last
        left = self._limit
        size = FIRST_ROWS
        while True:
            asked = size if left is None else min(size, left)
            rows = self._read(first, last, asked)
            taken = read = 0
            self._is_stale = False
            for _, value in rows:
                taken += 1
                read += len(value)
                yield value
                if self._is_stale:
                    break
            if taken == len(rows) < asked or taken == left:
                return
            if left is not None:
                left -= taken
            # Rows may be large: no page of the store holds much more than a page of the answer.
            size = max(1, min(self._most, size * 4, PAGE_BYTES // (read // taken + 1)))
            if self._reverse:
                last = rows[taken - 1][0]
            else:
                first = rows[taken - 1][0] + b"\0"


class Paging:
    """One page that is still to be read. Shape: `fetch` gets an entry's whole item; the key of a row has
    `key_names`.
    """

    __slots__ = (
        "_fetch", "_fetched", "_is_over", "_is_stored", "_key_names", "_meter", "_reading", "_request",
        "_rows", "_work", "has_passed", "still_there",
    )  # fmt: skip

    def __init__(
        self,
        key_names: Sequence[str],
        reading: PagedRows,
        request: QueryRequest | ScanRequest,
        fetch: Callable[[Item], bytes] | None = None,
    ) -> None:
        self._key_names = key_names
        self._reading = reading
        self._request = request
        self._fetch = fetch
        self._is_stored = request.filter is None and request.projection is None and fetch is None
        self.still_there: Callable[[], object] = _nothing
        """Asked after each rest: raises ApiError when what is read has gone."""
        self.has_passed: Callable[[], bool] = _never
        """Asked after each rest: whether the page has to end with what was read before it."""
        self._is_over = False

    def few(self) -> ItemPage | None:
        """The page, when one small read tells that it is one and nothing is to be judged or weighed; else
        None.
        """
        request = self._request
        if not self._is_stored or request.limit is not None or request.measured:
            return None
        values = self._reading.few()
        if values is None:
            return None
        return ItemPage([] if request.count_only else values, len(values), len(values))

    def whole(self) -> ItemPage:
        """The page, without a rest. Raises: ApiError."""
        page = self.few()
        return at_once(self.slices()) if page is None else page

    def slices(self) -> Slices[ItemPage]:
        """The page, in slices. Raises: ApiError."""
        # Made here and not with the page: most pages are `few`.
        items: list[bytes] = []
        self._fetched: list[int] = []
        self._meter = _Meter()
        self._work = self._rows = 0
        request, meter = self._request, self._meter
        condition, projection, is_answered = request.filter, request.projection, not request.count_only
        operators, beside = (
            (0, 0) if condition is None else (condition.prepared.operators, weight_of(condition.values))
        )
        work_once = _work_once(request)
        scanned = count = 0
        last_key: Item | None = None
        for data in self._reading:
            scanned += 1
            self._rows += 1
            if self._is_stored:
                self._work += 1 + len(data) // BYTES_PASSED
                count += 1
                if is_answered:
                    items.append(data)
            else:
                item: Item = orjson.loads(data)
                whole = data if self._fetch is None else self._fetch(item)
                if whole is not data:
                    item = orjson.loads(whole)
                    self._fetched.append(size_bytes(item))
                work = work_once + operators * (1 + (len(whole) + beside) // BYTES_JUDGED) // OPERATORS_JUDGED
                self._work += work + len(data) // BYTES_READ
                if condition is None:
                    holds = True
                elif work <= HEAVY_WORK:
                    holds = condition.matches(item)
                else:
                    holds = yield from self._holds(condition, item)
                if holds:
                    count += 1
                    if is_answered:
                        items.append(whole if projection is None else dump_item(projection.apply(item)))
            is_full = scanned == request.limit
            if meter.add(data):
                yield from self._weighed()
                is_full = is_full or meter.is_full
            if not is_full and self._work >= SLICE_WORK:
                yield from self._rested()
            if is_full or self._is_over:
                entry: Item = orjson.loads(data)
                last_key = {name: entry[name] for name in self._key_names}
                break
        if request.measured:
            yield from self._weighed()
        weight = meter.exact if request.measured else 0
        return ItemPage(items, count, scanned, last_key, weight, tuple(self._fetched))

    def _holds(self, condition: Condition, item: Item) -> Slices[bool]:
        steps = judged(condition, item)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                holds: bool = end.value
                return holds
            yield from self._rested()

    def _weighed(self) -> Slices[None]:
        for _ in self._meter.weigh():
            yield from self._rested()

    def _rested(self) -> Slices[None]:
        rows, self._rows, self._work = self._rows, 0, 0
        yield
        self._reading.forget(rows)
        self.still_there()
        self._is_over = self._is_over or self.has_passed()


def _work_once(request: QueryRequest | ScanRequest) -> int:
    """What a row costs whatever its size. Units: of work."""
    paths = 0 if request.projection is None else len(request.projection.paths)
    return 2 + paths


def _nothing() -> None:
    """Where nothing can go between two slices."""


def _never() -> bool:
    """Where a page may be read as of several moments, as AWS's are."""
    return False


class _Meter:
    """Weighs a page. JSON is never lighter than the item it holds, so exact sizes matter at the limit."""

    def __init__(self) -> None:
        self._bound = 0
        self._rows: list[bytes] = []
        self.exact = 0

    @property
    def is_full(self) -> bool:
        """Whether what has been weighed makes a page."""
        return self.exact >= PAGE_BYTES

    def add(self, data: bytes) -> bool:
        """One more row. Returns: whether all must be weighed before one can tell if the page is full."""
        self._bound += len(data)
        self._rows.append(data)
        return self._bound >= PAGE_BYTES

    def weigh(self) -> Iterator[None]:
        """Weigh every row exactly, in slices."""
        work = 0
        for row in self._rows:
            self.exact += size_bytes(orjson.loads(row))
            work += 2 + len(row) // BYTES_READ
            if work >= SLICE_WORK:
                work = 0
                yield
        self._rows.clear()
        # What is exact so far is the new bound: the rest may again be judged by its JSON for a while.
        self._bound = self.exact
