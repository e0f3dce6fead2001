"""What each lease of a KCL application becomes: the checkpoint with which a handler goes on where KCL was.

Theory of operation. KCL has processed everything up to a lease's checkpoint, that record included, and reads
on behind it; so does our watermark, as long as the checkpoint names a whole record. A checkpoint inside a
record (a subsequence number) is put before that record. What KCL prepared and did not make is read again.
SHARD_END is a finished shard. TRIM_HORIZON is the oldest record there is. LATEST and AT_TIMESTAMP are no
places: KCL takes them anew at every start, and what was written between is nowhere, so it has to be said
where such a lease begins. A shard without a lease is finished if something that continues it has one, because
KCL removes a finished lease only then; else it is read from its beginning. A lease whose shard is gone before
its end has lost something, which is a named gap; so has one whose next records are trimmed. What contradicts
the stream (a checkpoint outside its shard, the end of a shard that goes on) is refused, not guessed at.
Rules of this file: pure. Decision 55. Source: semantics §4.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, Protocol, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from tailrace.deadletters.core.gap import Gap
from tailrace.errors import SettingsError
from tailrace.kcl.core.lease_table import KINESIS_SHARD, KclCheckpoint, KclLease, LeaseTable
from tailrace.leases.checkpoint import EVERY_HASH, CheckpointRow, Ledger
from tailrace.streams.shards import Shard

Becomes: TypeAlias = Literal["goes on", "finished", "beginning", "time", "gap", "nothing", "refused"]
"""What a lease becomes. "time": the checkpoint before the first record of a time, which is still to be
looked for. "nothing": no row.
"""
KEPT: Final[frozenset[Becomes]] = frozenset({"goes on", "finished", "beginning"})
UNKNOWN: Final = 1
"""Where a gap begins whose first number nobody knows."""
SHOWN: Final = 3


class WireNumbers(Protocol):
    """How the numbers of a stream stand on the wire."""

    def number(self, text: str, place: int = 0) -> int:
        """The first number of ours that a text may be. Raises: SourceError."""

    def last(self, text: str) -> int:
        """The last one. Raises: SourceError."""

    def text(self, number: int) -> str:
        """A number as it stands on the wire."""

    def created_ms(self, shard_id: str) -> int:
        """When a shard began, as its id tells; 0: it does not."""


class ReadableStream(Struct, frozen=True):
    """A stream of the handler's table that can be read. Shape: `name` as the adapter has it in keys; `gone`
    the last record of a shard that is trimmed, by shard, where something was asked.
    """

    label: str
    name: str
    shards: Sequence[Shard]
    numbers: WireNumbers
    gone: Mapping[str, int] = {}

    @property
    def table_name(self) -> str:
        """The adapter's name without the stream's label: of every stream that the table ever had."""
        return self.name.rpartition("$")[0]


class ImportedLease(Struct, frozen=True):
    """What one lease, or one shard without a lease, becomes. Shape: `says` KCL's checkpoint; `row` what is
    written, None: nothing, or nothing yet; `words` for people.
    """

    stream: str
    shard_id: str
    says: str
    becomes: Becomes
    words: str
    row: CheckpointRow | None = None
    gap: Gap | None = None
    shard: Shard | None = None
    owner: str = ""


class ImportPlan(Struct, frozen=True):
    """What an import would do. Shape: `elsewhere` counts leases of other streams; `untouched` are the labels
    of streams of which no shard has a lease.
    """

    lines: tuple[ImportedLease, ...]
    elsewhere: int = 0
    untouched: tuple[str, ...] = ()

    def of(self, *becomes: Becomes) -> list[ImportedLease]:
        """The lines that become this."""
        return [line for line in self.lines if line.becomes in becomes]


def plan_import(table: LeaseTable, streams: Sequence[ReadableStream]) -> ImportPlan:
    """What every lease and every shard becomes. Raises: SettingsError when no lease is of a shard that can be
    read: it is the table of something else.
    """
    lines: list[ImportedLease] = []
    untouched: list[str] = []
    ours, elsewhere = _ours(table.leases, streams)
    placed: set[str] = set()
    for stream in streams:
        listed = {shard.shard_id for shard in stream.shards}
        leased = {
            lease.shard_id: lease
            for lease in ours
            if lease.stream in ("", stream.name) and lease.shard_id in listed
        }
        if not leased:
            untouched.append(stream.label)
            continue
        placed |= {lease.key for lease in leased.values()}
        lines += _of_stream(stream, leased)
    if not placed:
        raise _of_something_else(table, streams)
    newest = streams[-1]
    lines += [_vanished(lease, newest) for lease in ours if lease.key not in placed]
    return ImportPlan(tuple(lines), elsewhere, tuple(untouched))


def asks_horizon(lease: KclLease | None) -> bool:
    """Whether it matters what of a shard is trimmed."""
    return lease is None or not lease.has_ended


def _ours(leases: Iterable[KclLease], streams: Sequence[ReadableStream]) -> tuple[list[KclLease], int]:
    """The leases that may be of these streams, or of earlier ones of their table; and how many are not."""
    tables = {stream.table_name for stream in streams}
    all_leases = list(leases)
    ours = [lease for lease in all_leases if not lease.stream or lease.stream.rpartition("$")[0] in tables]
    return ours, len(all_leases) - len(ours)


def _of_something_else(table: LeaseTable, streams: Sequence[ReadableStream]) -> SettingsError:
    shards = [shard.shard_id for stream in streams for shard in stream.shards]
    keys = [lease.key for lease in table.leases]
    there = f"it has {', '.join(keys[:SHOWN])}{' …' if len(keys) > SHOWN else ''}" if keys else "it is empty"
    wanted = f"{', '.join(shards[-SHOWN:])}" or "none"
    of_kinesis = keys and all(KINESIS_SHARD.fullmatch(lease.shard_id) for lease in table.leases)
    why = "; those are shards of Kinesis" if of_kinesis else ""
    return SettingsError(
        f"no lease of {table.name} is of a shard of this table's streams: {there}{why}; the newest shards "
        f"that can be read are {wanted}",
        hint="name the lease table of the KCL application that reads this table's stream",
    )


# ---- the leases of a stream --------------------------------------------------------------------------------


def _of_stream(stream: ReadableStream, leased: Mapping[str, KclLease]) -> list[ImportedLease]:
    lineage = _Lineage(stream.shards, leased)
    lines: list[ImportedLease] = []
    for shard in stream.shards:
        lease = leased.get(shard.shard_id)
        if lease is None:
            lines.append(_without_lease(stream, shard, lineage))
        else:
            line = _with_lease(stream, shard, lease, lineage)
            lines.append(replace(line, owner=", ".join(lease.owners)))
    return lines


class _Lineage:
    """Which shards of a stream continue which."""

    def __init__(self, shards: Sequence[Shard], leased: Mapping[str, KclLease]) -> None:
        self._shards = {shard.shard_id: shard for shard in shards}
        self._leased = leased
        self.children: dict[str, list[Shard]] = {}
        for shard in shards:
            for parent in shard.parents:
                self.children.setdefault(parent, []).append(shard)

    def is_continued_by_a_lease(self, shard_id: str) -> bool:
        """Whether a shard that continues it has a lease, at any distance."""
        return any(
            child.shard_id in self._leased or self.is_continued_by_a_lease(child.shard_id)
            for child in self.children.get(shard_id, ())
        )

    def continues_a_lease(self, shard: Shard) -> bool:
        """Whether it continues a shard that has a lease, at any distance."""
        return any(
            parent in self._leased
            or (parent in self._shards and self.continues_a_lease(self._shards[parent]))
            for parent in shard.parents
        )

    def waits_for(self, shard: Shard) -> str:
        """The nearest shard with a lease that has not ended, among those that it continues; "": none."""
        for parent in shard.parents:
            lease = self._leased.get(parent)
            if lease is not None:
                if not lease.has_ended:
                    return parent
            elif parent in self._shards and (waiting := self.waits_for(self._shards[parent])):
                return waiting
        return ""


def _with_lease(stream: ReadableStream, shard: Shard, lease: KclLease, lineage: _Lineage) -> ImportedLease:
    says = lease.checkpoint
    match says.text:
        case "SHARD_END":
            return _ended(stream, shard, lineage)
        case "TRIM_HORIZON":
            # Nobody knows whether KCL read what it continues: the lease of that may be gone with its shard.
            return _from_beginning(stream, shard, says, "", is_follower=bool(shard.parents))
        case "LATEST" | "AT_TIMESTAMP":
            words = (
                "is no place: KCL takes it anew at every start"
                if says.text == "LATEST"
                else "is no place: its time is in KCL's configuration alone"
            )
            return ImportedLease(
                stream.label, shard.shard_id, str(says), "time", f"{words}; --begin says where it begins",
                shard=shard,
            )  # fmt: skip
        case _:
            return _behind(stream, shard, lease)


def _behind(stream: ReadableStream, shard: Shard, lease: KclLease) -> ImportedLease:
    says, numbers = lease.checkpoint, stream.numbers
    watermark = numbers.number(says.text) - 1 if says.part else numbers.last(says.text)
    number = numbers.number(says.text)
    if number < shard.first or (shard.last is not None and number > shard.last):
        last = "it goes on" if shard.last is None else f"ends at {numbers.text(shard.last)}"
        return _refused(
            stream,
            shard,
            str(says),
            f"is not in its shard, which begins at {numbers.text(shard.first)}, {last}",
        )
    words = [f"goes on behind {says.text}"]
    if says.part:
        words = [f"{says.text} itself is delivered again: {says.part} says how far KCL was inside it"]
    if lease.pending is not None:
        words.append(f"{lease.pending} was prepared and not made: delivered again")
    return _behind_watermark(stream, shard, str(says), "goes on", watermark, words)


def _from_beginning(
    stream: ReadableStream, shard: Shard, says: KclCheckpoint | str, why: str, *, is_follower: bool
) -> ImportedLease:
    """The oldest record there is; of a shard that continues one that KCL read, its first one."""
    watermark, words = shard.first - 1, [why] if why else []
    if not is_follower:
        watermark = max(watermark, stream.gone.get(shard.shard_id, 0))
    words.append("from its beginning" if is_follower else "from the oldest record there is")
    return _behind_watermark(stream, shard, str(says), "beginning", watermark, words)


def _behind_watermark(
    stream: ReadableStream, shard: Shard, says: str, becomes: Becomes, watermark: int, words: list[str]
) -> ImportedLease:
    gone = stream.gone.get(shard.shard_id, 0)
    if gone > watermark:
        words.append(f"what follows is trimmed up to {stream.numbers.text(gone)}: a gap")
    row = _row(shard, watermark, shard.created_ms if becomes == "beginning" else 0)
    return ImportedLease(stream.label, shard.shard_id, says, becomes, "; ".join(words), row, shard=shard)


def _ended(stream: ReadableStream, shard: Shard, lineage: _Lineage) -> ImportedLease:
    children = lineage.children.get(shard.shard_id, [])
    if shard.last is None and not children:
        return _refused(stream, shard, "SHARD_END", "is the end of a shard that is open and goes on")
    end = shard.last if shard.last is not None else min(child.first for child in children) - 1
    return _finished(stream, shard, "SHARD_END", "finished", end)


def _without_lease(stream: ReadableStream, shard: Shard, lineage: _Lineage) -> ImportedLease:
    before = lineage.waits_for(shard)
    if before:
        return _from_beginning(stream, shard, "no lease", f"after {before}", is_follower=True)
    if lineage.is_continued_by_a_lease(shard.shard_id):
        children = lineage.children[shard.shard_id]
        end = shard.last if shard.last is not None else min(child.first for child in children) - 1
        words = "finished: KCL has removed its lease, for what continues it has one"
        return _finished(stream, shard, "no lease", words, end)
    is_follower = lineage.continues_a_lease(shard)
    why = "KCL has not begun it" if is_follower else "KCL does not know it"
    return _from_beginning(stream, shard, "no lease", why, is_follower=is_follower)


def _finished(stream: ReadableStream, shard: Shard, says: str, words: str, end: int) -> ImportedLease:
    row = replace(_row(shard, max(end, shard.first - 1), 0), finished=True)
    return ImportedLease(stream.label, shard.shard_id, says, "finished", words, row, shard=shard)


def _refused(stream: ReadableStream, shard: Shard, says: str, words: str) -> ImportedLease:
    return ImportedLease(stream.label, shard.shard_id, says, "refused", words, shard=shard)


def _row(shard: Shard, watermark: int, created_ms: int) -> CheckpointRow:
    """What was settled elsewhere is in no ledger of ours: details begin behind it."""
    hashes = shard.hash_range or EVERY_HASH
    return CheckpointRow(
        watermark=watermark, hashes=hashes, created_ms=created_ms, ledger=Ledger(detail_from=watermark + 1)
    )


def _vanished(lease: KclLease, newest: ReadableStream) -> ImportedLease:
    """A lease whose shard no stream of the table has any more."""
    says = str(lease.checkpoint)
    if lease.has_ended:
        words = "finished, and out of the stream"
        return ImportedLease(newest.label, lease.shard_id, says, "nothing", words)
    first = newest.numbers.last(lease.checkpoint.text) + 1 if lease.checkpoint.is_number else UNKNOWN
    gap = Gap(lease.shard_id, first, first, newest.numbers.created_ms(lease.shard_id))
    words = "its shard is out of the stream before its end: what came then is lost, a gap"
    return ImportedLease(newest.label, lease.shard_id, says, "gap", words, gap=gap)


# ---- what is there already ---------------------------------------------------------------------------------


def joined(here: CheckpointRow, imported: CheckpointRow) -> CheckpointRow:
    """What either has settled, under the next epoch: a worker that holds the shard's lease loses it, and
    reads on from here. The same row when nothing is new.

    >>> row = joined(CheckpointRow(3, 9, 10, ((12, 15), (30, 31))), CheckpointRow(watermark=11))
    >>> row.epoch, row.watermark, row.ranges
    (4, 15, ((30, 31),))
    """
    watermark = max(here.watermark, imported.watermark)
    ranges: list[tuple[int, int]] = []
    for first, last in here.ranges:
        if first <= watermark + 1:
            watermark = max(watermark, last)
        else:
            ranges.append((first, last))
    is_finished = here.finished or imported.finished
    if (watermark, tuple(ranges), is_finished) == (here.watermark, here.ranges, here.finished):
        return here
    return replace(
        here,
        epoch=here.epoch + 1,
        writes=0,
        watermark=watermark,
        ranges=() if is_finished else tuple(ranges),
        finished=is_finished,
        created_ms=0 if watermark > here.watermark else here.created_ms,
    )
