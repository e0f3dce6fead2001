"""What is done to folded rows of a merged table: mended, forgotten.

Rules of this file: a bucket's rows in, a bucket's rows out, in the order of their keys; what was done is said
beside it. Runs in a thread.
"""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

from tailrace.columns.schema import TableColumns
from tailrace.sinks.lake.compaction import BucketRows
from tailrace.sinks.lake.folding import bucket_of, newest_rows
from tailrace.sinks.lake.rows import CHANGED_AT, DELETED, KEY, OP, VERSION, tombstones_of, widened_to
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import Version


class Wanted(Struct, frozen=True):
    """A row that is to be mended. Shape: `seen` is the version that it must have, None for no row."""

    place: int
    record: ChangeRecord
    seen: Version | None


class MendedRows:
    """Compare and set. Shape: `rows` by entity, as they are to be; `mended` are the places of those that
    were, after the edits.
    """

    def __init__(
        self,
        wanted: Sequence[Wanted],
        rows: Mapping[str, pa.Table],
        tables: Mapping[str, TableColumns],
        buckets: int,
    ) -> None:
        self.mended: list[int] = []
        self._tables = tables
        self._rows = rows
        self._wanted: dict[int, list[Wanted]] = {}
        for one in wanted:
            self._wanted.setdefault(bucket_of(one.record.key, buckets), []).append(one)

    def __call__(self, bucket: int, rows: BucketRows) -> BucketRows:
        """Shape: rows of every entity of the table, in and out."""
        wanted = self._wanted.get(bucket, [])
        there = _newest_versions(rows, {one.record.key for one in wanted})
        chosen = {one.record.key: one for one in wanted if there.get(one.record.key) == one.seen}
        self.mended += [one.place for one in chosen.values()]
        if not chosen:
            return rows
        return {entity: self._with(entity, table, chosen) for entity, table in rows.items()}

    def _with(self, entity: str, table: pa.Table, chosen: Mapping[bytes, Wanted]) -> pa.Table:
        columns = self._tables[entity]
        keys = pa.array(list(chosen), pa.binary())
        is_chosen = pc.is_in(table.column(KEY), keys)
        parts = [table.filter(pc.invert(is_chosen))]
        written: set[bytes] = set()
        if (mine := self._rows.get(entity)) is not None:
            parts.append(widened_to(mine.filter(pc.is_in(mine.column(KEY), keys)), columns))
            written.update(parts[-1].column(KEY).to_pylist())
        before = table.filter(is_chosen)
        for place, key in enumerate(before.column(KEY).to_pylist()):
            if key not in written:  # of another entity now
                record = chosen[key].record
                row = before.slice(place, 1)
                parts.append(tombstones_of(row, columns, record.version, record.created_us))
        return newest_rows(parts, columns)


def _newest_versions(rows: BucketRows, keys: set[bytes]) -> dict[bytes, Version]:
    """The newest version of each of these keys that has a row, of whatever entity."""
    versions: dict[bytes, Version] = {}
    for table in rows.values():
        chosen = table.filter(pc.is_in(table.column(KEY), pa.array(list(keys), pa.binary())))
        pairs = zip(chosen.column(KEY).to_pylist(), chosen.column(VERSION).to_pylist(), strict=True)
        for key, packed in pairs:
            version = Version.from_packed(packed)
            versions[key] = max(version, versions.get(key, version))
    return versions


class ForgottenRows:
    """Leave out deletions of before a time, at most so many. Shape: `keys` are theirs, after the edits."""

    def __init__(self, before_us: int, limit: int) -> None:
        self.keys: list[bytes] = []
        self._before_us = before_us
        self._limit = limit

    def __call__(self, bucket: int, rows: BucketRows) -> BucketRows:
        """Shape: rows of every entity of the table, in and out."""
        return {entity: self._without(table) for entity, table in rows.items()}

    def _without(self, table: pa.Table) -> pa.Table:
        times = pc.cast(table.column(CHANGED_AT), pa.int64())
        is_old = pc.and_(pc.equal(table.column(OP), DELETED), pc.less(times, self._before_us))
        places = pc.indices_nonzero(is_old).slice(0, self._limit - len(self.keys))
        if not len(places):
            return table
        self.keys += table.column(KEY).take(places).to_pylist()
        numbers = pa.array(range(table.num_rows))
        return table.filter(pc.invert(pc.is_in(numbers, places.cast(numbers.type))))
