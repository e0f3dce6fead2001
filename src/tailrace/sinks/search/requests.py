"""What a server is asked: bulk actions and their chunks, reads by id, searches, the index and its aliases.

Theory of operation: every write of a row is guarded: it creates a document that is not there, or replaces the
one with the sequence number and primary term that were read; the server refuses any other with a conflict.
Writes go through an alias and say so (`require_alias`), so that an index that is gone is never made by
accident, with types that nobody chose.
Rules of this file: pure. Bodies are bytes as they are sent.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import orjson
from msgspec import Struct

from tailrace.sinks.search.fields import CHANGED_US, DELETED, KEY, OURS, VERSION
from tailrace.streams.version import Version

MOST_BYTES: Final = 5 * 1024 * 1024
"""Of the body of one request. OpenSearch advises 5 to 15 MB; small AWS domains take 10 MiB."""
MOST_ACTIONS: Final = 1_000
JSON: Final = "application/json"
LINES: Final = "application/x-ndjson"
INDEX_SUFFIX: Final = "-000001"
ALL_SUFFIX: Final = "-all"


class SeenState(Struct, frozen=True):
    """Which state of a document is replaced."""

    sequence: int
    term: int


class IndexedRow(Struct, frozen=True):
    """Its version, and the state that a write of it must replace."""

    version: Version
    guard: SeenState


class GuardedWrite(Struct, frozen=True):
    """One guarded write. Shape: `place` is the writer's; `body` None deletes; `guard` None creates."""

    place: int
    id: str
    body: bytes | None
    guard: SeenState | None

    @property
    def action(self) -> str:
        """The server's name of it."""
        return "delete" if self.body is None else "create" if self.guard is None else "index"

    @property
    def lines(self) -> bytes:
        """As a bulk request has it, with the last newline."""
        about: dict[str, Any] = {"_id": self.id}
        if self.guard is not None:
            about["if_seq_no"], about["if_primary_term"] = self.guard.sequence, self.guard.term
        if self.body is not None:
            about["require_alias"] = True
        head = orjson.dumps({self.action: about})
        return head + b"\n" if self.body is None else b"%b\n%b\n" % (head, self.body)


def in_bulks(
    writes: Sequence[GuardedWrite], most: int = MOST_ACTIONS, most_bytes: int = MOST_BYTES
) -> Iterator[list[GuardedWrite]]:
    """Writes for one request. Guarantee: in order; one that is above the bound by itself is alone."""
    chunk: list[GuardedWrite] = []
    size = 0
    for write in writes:
        weight = len(write.body or b"") + len(write.id) + 64
        if chunk and (len(chunk) == most or size + weight > most_bytes):
            yield chunk
            chunk, size = [], 0
        chunk.append(write)
        size += weight
    if chunk:
        yield chunk


def halves(writes: Sequence[GuardedWrite]) -> tuple[list[GuardedWrite], list[GuardedWrite]]:
    """Two parts of a request that was too large."""
    middle = len(writes) // 2
    return list(writes[:middle]), list(writes[middle:])


def bulk_body(writes: Sequence[GuardedWrite]) -> bytes:
    """The lines of a bulk request."""
    return b"".join(write.lines for write in writes)


def read_body(ids: Sequence[str], field: str = VERSION) -> bytes:
    """A read of one field by ids, which sees what no search does yet."""
    return orjson.dumps({"docs": [{"_id": one, "_source": [field]} for one in ids]})


# ---- searches ----------------------------------------------------------------------------------------------


def rows_after(after: bytes, limit: int) -> bytes:
    """The next rows, in the order of their keys."""
    return _search([{"exists": {"field": KEY}}], limit, after=after, source=True)


def rows_to_sweep(first: bytes, last: bytes | None, below: Version, limit: int) -> bytes:
    """Shown rows between two keys that are older than a version."""
    keys: dict[str, str] = {} if not first else {"gte": first.hex()}
    if last is not None:
        keys["lt"] = last.hex()
    between = [{"range": {KEY: keys}}] if keys else []
    old = {"range": {VERSION: {"lt": below.text}}}
    return _search([{"term": {DELETED: False}}, *between, old], limit, source=[KEY, VERSION])


def rows_to_forget(before_us: int, limit: int) -> bytes:
    """Rows that were deleted before a time."""
    old = {"range": {CHANGED_US: {"lt": before_us}}}
    return _search([{"term": {DELETED: True}}, old], limit, source=[KEY, VERSION])


def _search(
    filters: Sequence[Mapping[str, Any]], limit: int, *, source: bool | list[str], after: bytes = b""
) -> bytes:
    body: dict[str, Any] = {
        "query": {"bool": {"filter": list(filters)}},
        "sort": [{KEY: "asc"}],
        "size": limit,
        "_source": source,
        "seq_no_primary_term": True,
        "track_total_hits": False,
    }
    if after:
        body["search_after"] = [after.hex()]
    return orjson.dumps(body)


# ---- the index ---------------------------------------------------------------------------------------------


def index_body(name: str, settings: Mapping[str, Any], mapping: Mapping[str, Any], most_fields: int) -> bytes:
    """The index with both of its aliases, in one call. Shape: `settings` and `mapping` are the user's."""
    own = {"mapping.total_fields.limit": most_fields}
    return orjson.dumps(
        {
            "settings": {"index": {**own, **settings}},
            "mappings": {
                **mapping,
                "dynamic": False,
                "properties": {**mapping.get("properties", {}), **OURS},
            },
            "aliases": {
                f"{name}{ALL_SUFFIX}": {"is_write_index": True},
                name: {"filter": {"term": {DELETED: False}}},
            },
        }
    )
