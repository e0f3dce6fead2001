"""What must hold of a journal, judged by what was written: the law of the worlds of journals.

Theory of operation: the truth is what the table's stream had, looked at after every step of a world, before
anything is trimmed; it must itself be what clients were acknowledged. The journal is read by
tests/unit/journal/control.py, which knows nothing of Tailrace.
Rules of this file: it judges, and changes nothing. What it says names shard and sequence.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import orjson
from msgspec import Struct

from tailrace.engine.engine import Engine
from tailrace.errors import ApiError
from tailrace.journal.core.heads import TreeHead
from tailrace.ports import StreamRef
from tailrace.streams.record import ChangeRecord
from tests.unit.journal.control import ControlJournal, read_control, root_of, root_of_frontier

TABLE = "orders"
Place = tuple[str, str]


class Acknowledged(Struct, frozen=True):
    """A write that a client was told of, and that changed an item. Shape: DynamoDB JSON; None: no item."""

    old: dict[str, Any] | None
    new: dict[str, Any] | None


class Truth:
    """What was written. Shape: records by (stream label, shard), in sequence."""

    def __init__(self) -> None:
        self.records: dict[Place, list[ChangeRecord]] = {}
        self.acknowledged: list[Acknowledged] = []
        self.parents: dict[str, tuple[str, ...]] = {}
        self._reached: dict[Place, int] = {}

    def look(self, engine: Engine) -> None:
        """Read on in every shard. Raises: AssertionError where something was trimmed before it was seen."""
        for stream in _streams(engine):
            for shard in engine.shards_of(stream.arn):
                records = self.records.setdefault(shard.place, [])
                self.parents[shard.shard_id] = shard.parents
                while True:
                    page = engine.log.read(shard, self._reached.get(shard.place, 0), 1_000)
                    assert not page.trimmed, f"{shard.place} was trimmed before it was looked at"
                    self._reached[shard.place] = page.next_after
                    records += page.records
                    if not page.records:
                        break

    def forget(self) -> None:
        """What was written until now was gone before there was a journal."""
        self.records = {place: [] for place in self.records}
        self.acknowledged = []

    def continues(self, shard: str, ancestor: str) -> bool:
        """Whether a shard is another one, or has come from it."""
        return shard == ancestor or any(
            self.continues(parent, ancestor) for parent in self.parents.get(shard, ())
        )

    @property
    def all(self) -> list[ChangeRecord]:
        """Every change, in the order in which they were made."""
        return sorted(
            (record for records in self.records.values() for record in records),
            key=lambda record: record.sequence,
        )

    def faults(self) -> Iterator[str]:
        """Where the stream is not what clients were told."""
        made = [
            Acknowledged(_image(record.old), _image(record.new)) for record in self.all if not record.by_ttl
        ]
        if made != self.acknowledged:
            yield f"the stream has {len(made)} changes, clients know of {len(self.acknowledged)}"


def _streams(engine: Engine) -> list[StreamRef]:
    streams = engine.earlier_streams_of(TABLE)
    with suppress(ApiError):  # it is off
        streams.append(engine.stream_of(TABLE))
    return streams


def _image(data: bytes | None) -> dict[str, Any] | None:
    return None if data is None else orjson.loads(data)


# ---- the journal -------------------------------------------------------------------------------------------


def journal_faults(blobs: Mapping[str, bytes], truth: Truth, *, may_lose: bool) -> Iterator[str]:
    """Where the journal is not what was written. Shape: without `may_lose` nothing was trimmed that the
    archiver had not.
    """
    try:
        journals = [journal for folder, journal in read_control(blobs).items() if "/_tables/" not in folder]
    except KeyError as error:
        yield f"{error.args[0]} is named, and is not there"
        return
    places = {shard: label for journal in journals for label, shard in journal.shards}
    for (label, shard), records in truth.records.items():
        having = [journal for journal in journals if any(label == one for one, _ in journal.shards)]
        if len(having) != 1:
            if records:
                yield f"stream {label} is in {len(having)} journals"
            continue
        # What is lost of a shard that is gone is named by those that continue it.
        gaps = [gap for gap in having[0].gaps if truth.continues(gap[0], shard)]
        yield from _shard_faults(having[0], (label, shard), records, gaps, may_lose=may_lose)
    known = {shard for _, shard in truth.records}
    for shard in {row["shard"] for journal in journals for row in journal.changes} - (known & places.keys()):
        yield f"{shard} is in the journal and in no stream"


def _shard_faults(
    journal: ControlJournal,
    place: Place,
    records: list[ChangeRecord],
    gaps: list[tuple[str, int, int]],
    *,
    may_lose: bool,
) -> Iterator[str]:
    label, shard = place
    rows = journal.of_shard(shard)
    there = [int.from_bytes(row["sequence"], "big") for row in rows]
    # Of what was gone before the journal had anything it says that it is not known.
    begin_us = min((row["created_us"] for row in journal.rows), default=sys.maxsize)
    lost = {
        record.sequence
        for record in records
        if _is_in(record.sequence, gaps) or (may_lose and record.created_us < begin_us)
    } - set(there)
    wanted = [record.sequence for record in records if record.sequence not in lost]
    if there != wanted:
        less = sorted(set(wanted) - set(there))
        more = [one for one in there if one not in wanted or there.count(one) > 1]
        yield f"{shard} lacks {less[:5]}, and has {more[:5]} twice or without that it was written"
        return
    if lost and not may_lose:
        yield f"{shard} has lost {sorted(lost)[:5]}, and the stream would have kept it"
    if own := [one for one in there if _is_in(one, [gap for gap in gaps if gap[0] == shard])]:
        yield f"{shard} has {own[:5]}, which a gap of its own says that it has not"
    by_sequence = {record.sequence: record for record in records}
    for sequence, row in zip(there, rows, strict=True):
        record = by_sequence[sequence]
        said = (row["key"], row["event"], row["old"], row["new"], row["created_us"], row["origin"])
        origin = "ttl" if record.by_ttl else None
        if said != (record.key, record.event_name, record.old, record.new, record.created_us, origin):
            yield f"{shard}: change {sequence} is not what it was"
    if len({row["generation"] for row in rows}) > 1:
        yield f"{shard}: its changes have several generations"
    if rows:
        size, frontier = journal.trees.get((label, shard), (0, []))
        if size != len(rows) or root_of_frontier(frontier) != root_of([row["leaf"] for row in rows]):
            yield f"{shard}: its tree of {size} is not over its {len(rows)} changes"
    last = records[-1].sequence if records else 0
    through = journal.shards[label, shard][1] if (label, shard) in journal.shards else 0
    if through < last and last not in lost:
        yield f"{shard} ends at {through}, the last change is {last}"


def _is_in(sequence: int, gaps: list[tuple[str, int, int]]) -> bool:
    return any(first <= sequence <= last for _, first, last in gaps)


def head_faults(blobs: Mapping[str, bytes], heads: list[TreeHead]) -> Iterator[str]:
    """Where a journal did not only grow since a head was saved."""
    journals = read_control(blobs) if heads else {}
    for head in heads:
        journal = journals[head.journal]
        for tree in head.shards:
            if not tree.stream:
                continue  # what is read of a base is judged by the table
            leaves = [row["leaf"] for row in journal.of_shard(tree.shard)][: tree.size]
            if len(leaves) != tree.size or root_of(leaves).hex() != tree.root:
                yield f"{tree.shard}: its first {tree.size} changes are not those of head {head.number}"
