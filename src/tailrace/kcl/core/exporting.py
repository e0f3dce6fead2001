"""What a handler's checkpoints become in a KCL lease table: the place from which KCL reads on, so that it
skips nothing.

Theory of operation. A lease knows one number: everything up to it is processed. So what a handler has settled
beyond its watermark is repeated by KCL, and what it has set aside below is lowered for: parked changes are
settled for us and handled by nobody, so the checkpoint goes before the first of them, and KCL is told them
and everything after them again. What is parked and no longer in the stream, or was saved from the trim, KCL
can never read: such an export is refused unless it is wanted all the same. A finished shard is SHARD_END; one
that comes next is TRIM_HORIZON; one that waits for a parent gets no lease, for KCL makes it when the parent
ends. Where the table has a lease already, the later checkpoint of both stays, for KCL has processed up to
there itself; LATEST and AT_TIMESTAMP are replaced. Leases have no owner and are free at once.
Rules of this file: pure. Decision 55. Source: semantics §4.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from tailrace.kcl.core.importing import ReadableStream
from tailrace.kcl.core.lease_table import KclCheckpoint, KclLease
from tailrace.leases.checkpoint import CheckpointRow
from tailrace.streams.shards import Shard

LeaseForm: TypeAlias = Literal["1", "2", "3", "3.5"]
"""The version whose attributes leases get. Each version reads what an earlier one wrote."""
OF_CURRENT_LEASE: Final = (
    "leaseOwner", "checkpointOwner", "pendingCheckpoint", "pendingCheckpointSubSequenceNumber",
    "pendingCheckpointState",
)  # fmt: skip
"""Attributes that tell of who holds a lease, and of what is under way under it."""
FIRST_HASH: Final = "0"
LAST_HASH: Final = "1"
"""The range of hashes that the adapter gives every lease. Source: semantics §4.8."""


class SetAside(Struct, frozen=True):
    """A change that a handler has passed and not handled. Shape: `item` names its item for people;
    `is_evacuated`: it was saved from the trim.
    """

    shard_id: str
    sequence: int
    item: str
    is_evacuated: bool = False


class ExportedLease(Struct, frozen=True):
    """What one shard becomes. Shape: `checkpoint` of its lease; None: it gets none. `item` is written, under
    the condition that the lease is `seen`, None: that there is none. `is_left`: KCL can never read it.
    """

    stream: str
    shard_id: str
    stands: str
    checkpoint: KclCheckpoint | None
    words: str
    item: Mapping[str, Any] | None = None
    seen: KclLease | None = None
    is_left: bool = False


class ExportPlan(Struct, frozen=True):
    """What an export would do. Shape: `repeated` are changes that are set aside and that KCL is told;
    `only_here` those that it can never read.
    """

    lines: tuple[ExportedLease, ...]
    repeated: tuple[SetAside, ...] = ()
    only_here: tuple[SetAside, ...] = ()

    @property
    def left(self) -> list[ExportedLease]:
        """The shards that KCL can never read."""
        return [line for line in self.lines if line.is_left]


class KeyForm(Struct, frozen=True):
    """How leases are called. Shape: `account` is in the keys of a table for several streams; "": the table
    is of one.
    """

    form: LeaseForm = "2"
    account: str = ""

    def key(self, stream: ReadableStream, shard_id: str) -> str:
        """The key of a lease."""
        return f"{self._identifier(stream)}:{shard_id}" if self.account else shard_id

    def _identifier(self, stream: ReadableStream) -> str:
        return f"{self.account}:{stream.name}:1"

    def item(
        self, stream: ReadableStream, shard: Shard, checkpoint: KclCheckpoint, children: Iterable[str],
        seen: KclLease | None,
    ) -> dict[str, Any]:  # fmt: skip
        """A lease without an owner; of one that was `seen`, with everything else that it has."""
        kept = {} if seen is None else {k: v for k, v in seen.item.items() if k not in OF_CURRENT_LEASE}
        item: dict[str, Any] = {
            **kept,
            "leaseKey": {"S": self.key(stream, shard.shard_id)},
            "leaseCounter": {"N": str(0 if seen is None else seen.counter + 1)},
            "ownerSwitchesSinceCheckpoint": {"N": "0"},
            "checkpoint": {"S": checkpoint.text},
            "checkpointSubSequenceNumber": {"N": str(checkpoint.part)},
        }
        if shard.parents:
            item["parentShardId"] = {"SS": sorted(shard.parents)}
        if self.account:
            item |= {"streamName": {"S": self._identifier(stream)}, "shardId": {"S": shard.shard_id}}
        if self.form == "1":
            return item
        item |= {"startingHashKey": {"S": FIRST_HASH}, "endingHashKey": {"S": LAST_HASH}}
        if checkpoint.text == "SHARD_END" and (following := sorted(children)):
            item["childShardIds"] = {"SS": following}
        if self.form == "3.5":
            item["entityType"] = {"S": "LEASE"}
        return item


def plan_export(
    streams: Sequence[ReadableStream],
    rows: Mapping[tuple[str, str], CheckpointRow],
    set_aside: Sequence[SetAside],
    leases: Mapping[str, KclLease],
    keys: KeyForm,
    *,
    leaves_parked: bool = False,
) -> ExportPlan:
    """What every shard that can be read becomes.

    Shape:   `rows` by stream label and shard; `leases` that the table has, by key. `leaves_parked`: what is
             parked stays here, and KCL goes on behind it.
    """
    lines: list[ExportedLease] = []
    can_be_read: set[int] = set()
    for stream in streams:
        if stream is not streams[-1] and not keys.account:
            lines += _earlier(stream, rows)
            continue
        for shard in stream.shards:
            aside = {
                place: change for place, change in enumerate(set_aside) if change.shard_id == shard.shard_id
            }
            there = {
                place
                for place, change in aside.items()
                if change.sequence > stream.gone.get(shard.shard_id, 0)
            }
            can_be_read |= there
            lowered = [aside[place].sequence for place in there if not aside[place].is_evacuated]
            before = min(lowered, default=None) if not leaves_parked else None
            lines.append(_line(stream, shard, rows, before, leases, keys))
    return ExportPlan(
        tuple(lines),
        () if leaves_parked else tuple(set_aside[place] for place in sorted(can_be_read)),
        tuple(
            change
            for place, change in enumerate(set_aside)
            if leaves_parked or place not in can_be_read
        ),
    )  # fmt: skip


def _earlier(stream: ReadableStream, rows: Mapping[tuple[str, str], CheckpointRow]) -> list[ExportedLease]:
    """The shards of a stream that is off, which a KCL application of one stream does not read; none of one
    of before the handler's time.
    """
    there = {shard.shard_id: rows.get((stream.label, shard.shard_id)) for shard in stream.shards}
    if not any(there.values()):
        return []
    words = "of a stream that is off, which KCL does not read: a worker has to finish it"
    return [
        ExportedLease(stream.label, shard_id, _stands(stream, row), None, words, is_left=True)
        for shard_id, row in there.items()
        if row is None or not row.finished
    ]


def _stands(stream: ReadableStream, row: CheckpointRow | None) -> str:
    if row is None:
        return "not begun"
    return "finished" if row.finished else stream.numbers.text(row.watermark)


def _line(
    stream: ReadableStream,
    shard: Shard,
    rows: Mapping[tuple[str, str], CheckpointRow],
    parked: int | None,
    leases: Mapping[str, KclLease],
    keys: KeyForm,
) -> ExportedLease:
    row = rows.get((stream.label, shard.shard_id))
    stands = _stands(stream, row)
    if row is None and not _is_next(stream, shard, rows):
        return ExportedLease(
            stream.label, shard.shard_id, stands, None, "comes after its parents: KCL makes its lease then"
        )
    seen = leases.get(keys.key(stream, shard.shard_id))
    checkpoint, words = _place(stream, shard, row, parked)
    if seen is not None and _is_later(seen.checkpoint, checkpoint):
        words = f"KCL has {seen.checkpoint} already, and that stays"
        return ExportedLease(stream.label, shard.shard_id, stands, seen.checkpoint, words, seen=seen)
    children = [child.shard_id for child in stream.shards if shard.shard_id in child.parents]
    item = keys.item(stream, shard, checkpoint, children, seen)
    return ExportedLease(stream.label, shard.shard_id, stands, checkpoint, words, item, seen)


def _is_later(seen: KclCheckpoint, checkpoint: KclCheckpoint) -> bool:
    """Whether KCL has come further itself."""
    return seen.text not in ("LATEST", "AT_TIMESTAMP") and seen.order > checkpoint.order


def _is_next(stream: ReadableStream, shard: Shard, rows: Mapping[tuple[str, str], CheckpointRow]) -> bool:
    """Whether nothing has to come before a shard that was not begun."""
    listed = {other.shard_id for other in stream.shards}
    parents = [rows.get((stream.label, parent)) for parent in shard.parents if parent in listed]
    return all(parent is not None and parent.finished for parent in parents)


def _place(
    stream: ReadableStream, shard: Shard, row: CheckpointRow | None, parked: int | None
) -> tuple[KclCheckpoint, str]:
    """The checkpoint of a lease, and what there is to say of it."""
    if row is None:
        return KclCheckpoint("TRIM_HORIZON"), "begins with its oldest record"
    words = _left(row)
    if row.finished and parked is None:
        return KclCheckpoint("SHARD_END"), "; ".join(words or ["finished"])
    watermark = row.watermark
    if parked is not None and (row.finished or parked <= watermark):
        watermark = min(watermark, parked - 1)
        words.insert(
            0, f"lowered before {stream.numbers.text(parked)}, which is parked: KCL is told it again"
        )
    elif row.ranges:
        first, last = row.ranges[0][0], row.ranges[-1][1]
        words.insert(
            0,
            f"{len(row.ranges)} settled range{'s' if len(row.ranges) > 1 else ''} between "
            f"{stream.numbers.text(first)} and {stream.numbers.text(last)}: delivered again",
        )
    gone = stream.gone.get(shard.shard_id, 0)
    if gone > watermark:
        words.append(f"what follows is trimmed up to {stream.numbers.text(gone)}, and KCL will not say so")
    text = _at_or_below(stream, watermark)
    if text is None or watermark < shard.first:
        return KclCheckpoint("TRIM_HORIZON"), "; ".join(words or ["nothing of it is settled"])
    return KclCheckpoint(text), "; ".join(words or ["everything up to it is settled"])


def _left(row: CheckpointRow) -> list[str]:
    """What a lease has no place for."""
    words = []
    if row.window is not None and row.window[2] is not None:
        words.append("the state of its open tumbling window stays here")
    if row.suspended is not None:
        words.append(f"it had paused by itself: {row.suspended[1]}")
    return words


def _at_or_below(stream: ReadableStream, watermark: int) -> str | None:
    """The last number of the wire of which every record is settled; None: there is none. Where several
    records have one number, all of them have to be.
    """
    text = stream.numbers.text(watermark)
    if stream.numbers.last(text) == watermark:
        return text
    below = stream.numbers.number(text) - 1
    return stream.numbers.text(below) if below > 0 else None
