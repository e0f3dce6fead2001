"""A snapshot of one mapping: what is wanted, how far it is, and the steps from the one to the other.

Theory of operation: two rows of a mapping. `snapshot-wanted` is what people and the app want: the number of
the snapshot, of which part of the table, and whether it is to stand still. `snapshot` is how far the worker
is that has the claim: nothing but the claimant writes it, each time under the condition that it is as it was
read, so that a worker which has lost the claim learns of it when it saves. A number in the wanted row that is
higher than that of the other begins anew.
A snapshot goes through phases. *begun*: it is not known yet by which numbers its rows are ordered.
*agreeing*: a reset is durable, and some worker may not number by it yet. *scanning*: pages are written to the
sink, then saved. *sweeping*: what the scan has not seen is deleted. *done*, or *failed* where items could not
be written: then nothing is deleted, for what could not be written would be taken for what is gone.
Rules of this file: pure; format 1, docs/formats/state.md. Performed by snapshots/run. Source: growth §4,
ADR 65.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import asdict, replace

from tailrace.rows.kinds import SNAPSHOT, SNAPSHOT_WANTED
from tailrace.rows.writes import VERSION, Absent, Condition, Equals, StateRow, Write, readable
from tailrace.streams.version import Version

Phase: TypeAlias = Literal["begun", "agreeing", "scanning", "sweeping", "done", "failed"]
Why: TypeAlias = Literal["first", "asked", "gap", "stream", "whole"]
"""What made it necessary: the first start, a person, changes that were lost, another stream of the table, a
part that took the place of a whole one.
"""
CLAIM_MS: Final = 30_000
"""How long a worker that says nothing keeps the claim, unless it says otherwise."""
MOST_FAILED: Final = 10
"""So many of the items that could not be written are named."""
MOST_GAPS: Final = 100
"""So many gaps one snapshot fills; more of them make another one."""


class PartFilter(Struct, frozen=True):
    """Which items of what is read are brought: a FilterExpression with its ExpressionAttributeNames and
    -Values, as JSON texts, "" for none.
    """

    expression: str
    names: str = ""
    values: str = ""


JOURNAL: Final = "journal:"
"""The source of rows that come from the table's journal, which the app keeps."""


class Part(Struct, frozen=True):
    """What of a table is read.

    Shape:   `partitions` are the values of partition keys as JSON texts, in DynamoDB's form; `segment` is
             (number, how many) of a parallel scan; neither: the whole table. `filter` leaves out items of it.
    """

    partitions: tuple[str, ...] = ()
    segment: tuple[int, int] | None = None
    filter: PartFilter | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole table."""
        return not self.partitions and self.segment is None and self.filter is None

    def of(self, estimate: tuple[int, int]) -> tuple[int, int]:
        """About how many items and bytes it has, of a table of so many; 0 where that is not known."""
        if self.partitions:
            return 0, 0
        many = 1 if self.segment is None else self.segment[1]
        items = 0 if self.filter is not None else -(-estimate[0] // many)
        return items, -(-estimate[1] // many)


WHOLE: Final = Part()


class WantedSnapshot(Struct, frozen=True):
    """What is wanted of a mapping's snapshot.

    Shape:   `number` rises with every snapshot that is wanted. `source` is where exports lie that its rows
             come from, "" for the table itself; `export` the full one that is meant, "" where any will do.
             `paused_by` is who wants it to stand still, "" for none. `revision` rises with
             every write. `owes_whole`: it is of a part, and takes the place of one of the whole table that
             was wanted and had not begun.
    Units:   `read_units` a second that a scan may use at most, None: by the table's own.
    """

    app: str
    mapping_id: str
    number: int
    why: Why = "asked"
    part: Part = WHOLE
    source: str = ""
    read_units: float | None = None
    paused_by: str = ""
    asked_ms: int = 0
    revision: int = 0
    export: str = ""
    owes_whole: bool = False

    @property
    def key(self) -> str:
        """Its row."""
        return wanted_key(self.app, self.mapping_id)

    def write(self) -> Write:
        """The row, if it is still as it was read."""
        revision = self.revision + 1
        condition: Condition = Equals("revision", self.revision) if self.revision else Absent()
        return Write(self.key, _wanted_fields(replace(self, revision=revision)), condition)


class Segment(Struct, frozen=True):
    """One part that is read beside the others. Shape: `after` is what the next page is asked with, None at
    the beginning.
    """

    after: Mapping[str, Any] | None = None
    is_done: bool = False


class ScanProgress(Struct, frozen=True):
    """What was read so far. Shape: `failed` are some of the `failures`, the key in hex with the error."""

    pages: int = 0
    items: int = 0
    size_bytes: int = 0
    read_units: float = 0.0
    swept: int = 0
    failures: int = 0
    failed: tuple[tuple[str, str], ...] = ()


class Snapshot(Struct, frozen=True):
    """How far a snapshot is.

    Shape:   `generation` is that of its rows; where `is_exact` that of each page is asked for with the page.
             `reset` is the revision of the numbers that readers have to know, 0: none. `below` is the bound
             of what is swept, None: nothing is. `stream` is the label of the newest stream when it began,
             `gaps` are the keys of those that it fills; of a part both are those of the last whole one.
             `estimate` in items and bytes, 0: not known. `claimed_by` is at it, `beat` rises with every
             write. `exports` are the ids of those that are read from `source`, in their order; `refused` says
             why nothing is read at all. `has_exported`: an earlier snapshot has brought rows of exports.
             `owes_whole`: it is of a part, and took the place of one of the whole table that was not done.
    Units:   as_of_us of the last page since the epoch; told_us up to when exports tell the table; begun_ms,
             moved_ms (the last page, or step), ended_ms since the epoch; worked_ms of reading.
    """

    app: str
    mapping_id: str
    number: int
    phase: Phase = "begun"
    why: Why = "asked"
    part: Part = WHOLE
    source: str = ""
    is_exact: bool = False
    generation: int = 0
    reset: int = 0
    below: Version | None = None
    stream: str = ""
    gaps: tuple[str, ...] = ()
    segments: tuple[Segment, ...] = ()
    progress: ScanProgress = ScanProgress()
    estimate: tuple[int, int] = (0, 0)
    as_of_us: int = 0
    swept_after: bytes = b""
    begun_ms: int = 0
    ended_ms: int = 0
    claimed_by: str = ""
    claim: int = 0
    beat: int = 0
    claim_ms: int = 0
    exports: tuple[str, ...] = ()
    told_us: int = 0
    refused: str = ""
    has_exported: bool = False
    owes_whole: bool = False
    moved_ms: int = 0
    worked_ms: int = 0

    @property
    def key(self) -> str:
        """Its row."""
        return snapshot_key(self.app, self.mapping_id)

    @property
    def is_over(self) -> bool:
        """Whether nothing more is done."""
        return self.phase in ("done", "failed")

    @property
    def items_per_s(self) -> float | None:
        """At which rate items have come, without the time that it stood still; None: that is not known."""
        return (
            self.progress.items * 1_000 / self.worked_ms if self.worked_ms and self.progress.items else None
        )

    @property
    def left_ms(self) -> int | None:
        """About how long reading takes yet; None: that is not known, or there were more items already."""
        left, per_s = self.estimate[0] - self.progress.items, self.items_per_s
        if self.phase != "scanning" or per_s is None or left <= 0:
            return None
        return round(left * 1_000 / per_s)

    def timed(self, after: "Snapshot", now_ms: int, worked_ms: int) -> "Snapshot":
        """What a step makes of it, with its times. Units: now_ms since the epoch, worked_ms since the last
        time that it was kept.
        """
        if self.phase == "scanning":
            after = replace(after, worked_ms=self.worked_ms + worked_ms)
        if after.phase != self.phase or after.progress != self.progress:
            after = replace(after, moved_ms=now_ms)
        return replace(after, ended_ms=now_ms) if after.is_over and not self.is_over else after

    @property
    def stamp(self) -> str:
        """What every write changes."""
        return f"{self.number}/{self.claim}/{self.beat}"

    @property
    def tombstone(self) -> Version | None:
        """As of when what is swept was deleted: a position at which it was not in the table. Where pages tell
        positions the one before the first page's: another scan, of a table that is quiet, is newer.
        """
        if self.below is None:
            return None
        if self.is_exact:
            return Version(self.below.generation, max(0, self.below.sequence - 1))
        return Version(self.generation, self.as_of_us + 1)

    @property
    def since_ms(self) -> int:
        """From when on changes of the stream stand above its rows: their deletions must be there until it is
        over. Units: ms since the epoch.
        """
        return min(self.begun_ms, self.told_us // 1_000) if self.told_us else self.begun_ms

    # ---- steps ---------------------------------------------------------------------------------------------

    def scanning_exports(self, exports: Sequence[str], told_us: int) -> "Snapshot":
        """These exports are read one after the other; every change is newer than their rows."""
        return replace(
            self, phase="scanning", generation=0, exports=tuple(exports), told_us=told_us,
            segments=(Segment(),),
        )  # fmt: skip

    def refusing(self, words: str) -> "Snapshot":
        """Nothing is read, for what it would make of the sink is not the table."""
        return replace(self, phase="failed", refused=words)

    def scanning_exactly(self, segments: int) -> "Snapshot":
        """Every page tells its position: that orders its rows, and nothing need be agreed on."""
        return replace(self, phase="scanning", is_exact=True, segments=(Segment(),) * segments)

    def scanning_first(self, segments: int) -> "Snapshot":
        """The sink has no rows, and every change is read: rows of the scan are older than all of them."""
        return replace(self, phase="scanning", generation=0, segments=(Segment(),) * segments)

    def agreeing(self, generation: int, revision: int, segments: int) -> "Snapshot":
        """The reset with these numbers is durable together with this."""
        below = Version(generation, 0)
        return replace(
            self, phase="agreeing", generation=generation, reset=revision, below=below,
            segments=(Segment(),) * segments,
        )  # fmt: skip

    def agreed(self) -> "Snapshot":
        """Every reader numbers by the reset."""
        return replace(self, phase="scanning")

    def version(self, position: int | None, generation: int, as_of_us: int) -> Version:
        """That of a page's rows. Shape: `generation` is the newest one, asked for before the page."""
        if position is not None:
            return Version(generation, position)
        return Version(self.generation, as_of_us)

    def with_page(
        self, number: int, after: Mapping[str, Any] | None, version: Version, read: ScanProgress
    ) -> "Snapshot":
        """A page of a segment is written to the sink. Shape: `read` is what came of this page alone."""
        segments = [*self.segments]
        segments[number] = Segment(after, after is None)
        below = self.below
        if self.is_exact:
            # The smallest of all, so that nothing that a page of any segment has seen is below it.
            below = version if below is None else min(below, version)
        as_of_us = self.as_of_us if self.is_exact else max(self.as_of_us, version.sequence)
        after_it = replace(
            self, segments=tuple(segments), below=below, progress=_sum(self.progress, read), as_of_us=as_of_us
        )
        return after_it._next() if all(segment.is_done for segment in segments) else after_it

    def _next(self) -> "Snapshot":
        if self.progress.failures:
            return replace(self, phase="failed")
        if self.part.filter is not None:  # of an item that is gone nobody knows whether it was of the part
            return replace(self, phase="done")
        return replace(self, phase="done" if self.below is None else "sweeping")

    def with_swept(
        self, count: int, *, is_last: bool, after: bytes = b"", failed: Sequence[tuple[str, str]] = ()
    ) -> "Snapshot":
        """Rows that the scan has not seen are deleted. Shape: `after` is the last key that was looked up;
        `failed` could not be written.
        """
        swept = ScanProgress(swept=count, failures=len(failed), failed=tuple(failed))
        progress = _sum(self.progress, swept)
        over: Phase = "failed" if progress.failures else "done"
        return replace(self, phase=over if is_last else "sweeping", progress=progress, swept_after=after)


def begun(
    wanted: WantedSnapshot, before: Snapshot | None, now_ms: int, stream: str, gaps: Sequence[str]
) -> Snapshot:
    """The snapshot that is wanted, at its beginning.

    Guarantee: one of a part fills nothing that concerns the whole table: no gap, no other stream, no whole
               one that it takes the place of.
    """
    snapshot = Snapshot(
        wanted.app, wanted.mapping_id, wanted.number, why=wanted.why, part=wanted.part, source=wanted.source,
        stream=stream, gaps=tuple(gaps[:MOST_GAPS]), begun_ms=now_ms, moved_ms=now_ms,
        claim=0 if before is None else before.claim, exports=(wanted.export,) if wanted.export else (),
        has_exported=before is not None
        and (before.has_exported or bool(before.source and before.progress.pages)),
    )  # fmt: skip
    if wanted.part.is_whole:
        return snapshot
    if before is None or (before.part.is_whole and before.phase != "done"):
        return replace(snapshot, gaps=(), owes_whole=True)
    owes_whole = before.owes_whole or wanted.owes_whole
    return replace(snapshot, stream=before.stream, gaps=before.gaps, owes_whole=owes_whole)


# ---- claims ------------------------------------------------------------------------------------------------


def claimed(snapshot: Snapshot, by: str, claim_ms: int) -> Snapshot:
    """A worker takes it over, after it has seen that no living one is at it."""
    return replace(snapshot, claimed_by=by, claim=snapshot.claim + 1, beat=0, claim_ms=claim_ms)


def saved(before: Snapshot | None, after: Snapshot) -> tuple[Snapshot, Write]:
    """How far it is, if the row is still as it was read; one that is over is no worker's."""
    same = before is not None and before.claim == after.claim and before.number == after.number
    beat = before.beat + 1 if same and before is not None else 0
    claimed_by = "" if after.is_over else after.claimed_by
    written = replace(after, beat=beat, claimed_by=claimed_by)
    condition: Condition = Absent() if before is None else Equals("stamp", before.stamp)
    return written, Write(written.key, _snapshot_fields(written), condition)


AS_THEY_ARE: Final = (
    "number", "phase", "why", "source", "is_exact", "generation", "reset", "stream", "as_of_us", "begun_ms",
    "ended_ms", "claimed_by", "claim", "beat", "claim_ms",
)  # fmt: skip
"""The members of a snapshot that its row has as they are."""


# ---- rows --------------------------------------------------------------------------------------------------


def wanted_key(app: str, mapping_id: str) -> str:
    """The row of what is wanted.

    >>> wanted_key("shop", "orders.DuckDB")
    'snapshot-wanted/shop/orders.DuckDB'
    """
    return SNAPSHOT_WANTED.key(app, mapping_id)


def snapshot_key(app: str, mapping_id: str) -> str:
    """The row of how far it is.

    >>> snapshot_key("shop", "orders.DuckDB")
    'snapshot/shop/orders.DuckDB'
    """
    return SNAPSHOT.key(app, mapping_id)


def read_wanted(app: str, mapping_id: str, row: StateRow | None) -> WantedSnapshot | None:
    """What its row says. Raises: StoreError for a row of an unknown format."""
    if row is None:
        return None
    fields = readable(row.fields, "wanted snapshot")
    return WantedSnapshot(
        app, mapping_id, fields["number"], fields["why"], _read_part(fields["part"]), fields["source"],
        fields["read_units"], fields["paused_by"], fields["asked_ms"], fields["revision"],
        fields.get("export", ""), fields.get("owes_whole", False),
    )  # fmt: skip


def read_snapshot(app: str, mapping_id: str, row: StateRow | None) -> Snapshot | None:
    """What its row says. Raises: StoreError for a row of an unknown format."""
    if row is None:
        return None
    fields = readable(row.fields, "snapshot")
    below, read = fields["below"], fields["progress"]
    return Snapshot(
        app,
        mapping_id,
        part=_read_part(fields["part"]),
        below=None if below is None else Version.from_text(below),
        gaps=tuple(fields["gaps"]),
        segments=tuple(Segment(segment["after"], segment["is_done"]) for segment in fields["segments"]),
        progress=ScanProgress(**{**read, "failed": tuple((key, error) for key, error in read["failed"])}),
        estimate=(fields["estimate"][0], fields["estimate"][1]),
        swept_after=bytes.fromhex(fields["swept_after"]),
        exports=tuple(fields.get("exports", ())),
        told_us=fields.get("told_us", 0),
        refused=fields.get("refused", ""),
        has_exported=fields.get("has_exported", False),
        owes_whole=fields.get("owes_whole", False),
        moved_ms=fields.get("moved_ms", 0),
        worked_ms=fields.get("worked_ms", 0),
        **{name: fields[name] for name in AS_THEY_ARE},
    )


def _wanted_fields(wanted: WantedSnapshot) -> dict[str, Any]:
    return {
        "v": VERSION,
        "id": wanted.mapping_id,
        "number": wanted.number,
        "why": wanted.why,
        "part": _part_fields(wanted.part),
        "source": wanted.source,
        "read_units": wanted.read_units,
        "paused_by": wanted.paused_by,
        "asked_ms": wanted.asked_ms,
        "revision": wanted.revision,
        "export": wanted.export,
        "owes_whole": wanted.owes_whole,
    }


def _snapshot_fields(snapshot: Snapshot) -> dict[str, Any]:
    read = snapshot.progress
    segments = [
        {"after": None if segment.after is None else dict(segment.after), "is_done": segment.is_done}
        for segment in snapshot.segments
    ]
    return {
        "v": VERSION,
        "id": snapshot.mapping_id,
        **{name: getattr(snapshot, name) for name in AS_THEY_ARE},
        "part": _part_fields(snapshot.part),
        "below": None if snapshot.below is None else snapshot.below.text,
        "gaps": list(snapshot.gaps),
        "segments": segments,
        "progress": {**asdict(read), "failed": [list(failure) for failure in read.failed]},
        "estimate": list(snapshot.estimate),
        "swept_after": snapshot.swept_after.hex(),
        "exports": list(snapshot.exports),
        "told_us": snapshot.told_us,
        "refused": snapshot.refused,
        "has_exported": snapshot.has_exported,
        "owes_whole": snapshot.owes_whole,
        "moved_ms": snapshot.moved_ms,
        "worked_ms": snapshot.worked_ms,
        "stamp": snapshot.stamp,
    }


def _part_fields(part: Part) -> dict[str, Any]:
    segment = None if part.segment is None else list(part.segment)
    filters = None if part.filter is None else asdict(part.filter)
    return {"partitions": list(part.partitions), "segment": segment, "filter": filters}


def _read_part(fields: Mapping[str, Any]) -> Part:
    segment, filters = fields["segment"], fields.get("filter")
    return Part(
        tuple(fields["partitions"]),
        None if segment is None else (segment[0], segment[1]),
        None if filters is None else PartFilter(**filters),
    )


def _sum(before: ScanProgress, page: ScanProgress) -> ScanProgress:
    return ScanProgress(
        before.pages + page.pages,
        before.items + page.items,
        before.size_bytes + page.size_bytes,
        before.read_units + page.read_units,
        before.swept + page.swept,
        before.failures + page.failures,
        (*before.failed, *page.failed)[:MOST_FAILED],
    )
