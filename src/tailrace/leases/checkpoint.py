"""Rows that delivery leaves behind: checkpoints with their ledgers, and marks.

Theory of operation: a checkpoint says how far one mapping has come in one shard, its ledger what came of the
records on the way: counted since ever, and named where they were not handled. They are one row (format 4),
saved by one write. Versions before that kept the ledger in a row of its own, and what was counted of shards
that are forgotten is in such a row still: every reader of a ledger goes by `ledger_of` or `ledgers_of`,
which know both.
Rules of this file: layouts only, documented in docs/formats/state.md. A checkpoint's row is the fence of
everything that is saved for one mapping in one shard: its `epoch` is that of the lease under which it was
written, and the taker of the lease raises it before reading anything (runtime/starting.py). Its `revision`
changes with every write, so that who puts it back as it was read notices each save meanwhile. Formats before
4 are read and never written.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from msgspec import Struct, field
from msgspec.structs import replace

from tailrace.leases.lineage import NamedAncestors
from tailrace.rows.kinds import CHECKPOINT, LEDGER, MARK, words_of
from tailrace.rows.writes import Absent, AbsentOrOlder, Condition, Equals, StateRow, Write, readable
from tailrace.streams.kinesis.names import is_data_shard
from tailrace.streams.kinesis.sequence_numbers import behind_own
from tailrace.streams.shards import HASHES, Shard
from tailrace.streams.version import Version

Range: TypeAlias = tuple[int, int]
Window: TypeAlias = tuple[int, int, str | None]
Reason: TypeAlias = tuple[str, str, int, str]
"""Why a mapping has paused by itself: fingerprint and words of the failure, since when (ms since the epoch),
the code's version.
"""
Run: TypeAlias = tuple[int, int, int, str]
"""Records that came to one end: the first and the last number, how many, the outcome."""
Times: TypeAlias = tuple[int, int]
EVERY_HASH: Final[Range] = (0, HASHES - 1)
MAX_LEDGER_RANGES: Final = 100
"""How many ranges a ledger names: it is written with every checkpoint, so it must stay a few kilobytes."""
EARLIER: Final = "earlier"
"""In place of a shard's id (and of a label): the ledger of all shards that are forgotten."""
IN_CHECKPOINT: Final = "ledger"
"""The member of a checkpoint's row that is its ledger."""


class Ledger(Struct, frozen=True):
    """What came of a shard's records.

    Shape:   `totals` by outcome since ever; `ranges` of what was not handled, ascending; below `detail_from`
             ranges were dropped to keep the row small (the totals were not). `times` of what was trimmed, by
             its first number: when it had been written, (from, until) in milliseconds since the epoch, 0
             where that is not known.
    """

    totals: Mapping[str, int] = field(default_factory=dict)
    ranges: tuple[Run, ...] = ()
    detail_from: int = 0
    times: Mapping[int, Times] = field(default_factory=dict)

    def after(self, settled: Iterable[Run], times: Mapping[int, Times] | None = None) -> "Ledger":
        """The ledger after these runs of records, as a checkpoint reports them."""
        totals, more = dict(self.totals), list[Run]()
        for run in settled:
            _, _, count, outcome = run
            totals[outcome] = totals.get(outcome, 0) + count
            if outcome != "handled":
                more.append(run)
        if not more:
            return Ledger(totals, self.ranges, self.detail_from, self.times)
        ranges = sorted([*self.ranges, *more], key=lambda run: (run[0], run[1]))
        detail_from = self.detail_from
        if len(ranges) > MAX_LEDGER_RANGES:
            detail_from, ranges = ranges[-MAX_LEDGER_RANGES][0], ranges[-MAX_LEDGER_RANGES:]
        known = {**self.times, **(times or {})}
        known_times = {first: known[first] for first, *_ in ranges if first in known}
        return Ledger(totals, tuple(ranges), detail_from, known_times)

    def merged(self, other: "Ledger") -> "Ledger":
        """One ledger for two: totals are added, ranges stand side by side."""
        both = self.after(other.ranges, other.times)
        totals = dict(self.totals)
        for outcome, count in other.totals.items():
            totals[outcome] = totals.get(outcome, 0) + count
        return replace(both, totals=totals, detail_from=max(both.detail_from, other.detail_from))

    def fields(self) -> dict[str, Any]:
        """As a row has it. Numbers of records are text, for those of other streams are wider than JSON's."""
        fields: dict[str, Any] = {
            "totals": self.totals,
            "ranges": [
                [str(first), str(last), count, outcome] for first, last, count, outcome in self.ranges
            ],
            "detail_from": str(self.detail_from),
        }
        if self.times:
            fields["times"] = {str(first): list(times) for first, times in self.times.items()}
        return fields


NOTHING: Final = Ledger()


class CheckpointRow(Struct, frozen=True):
    """What a checkpoint's row says.

    Shape:   `epoch` is that of the lease under which it was written, `writes` counts the writes under it.
             `hashes` are the shard's, so that its descendants are known when the shard is not listed any
             more. `window` is the tumbling window that the shard is in: start and end in milliseconds since
             the epoch, the state as JSON text, or None for one that was closed. `suspended` is why the
             mapping has paused by itself. `named` are the shards that it continues; None: a version that did
             not say wrote it. `target`: the target has the position, under this mapping's id, and this row
             repeats what it had; "": this row has it. `is_set_back`: an operator has set it, and the target
             is still to have it, although it may have more.
    Units:   created_ms since the epoch, when the last record at or below the watermark was written; 0: not
             known.
    """

    epoch: int = 0
    writes: int = 0
    watermark: int = 0
    ranges: tuple[Range, ...] = ()
    finished: bool = False
    hashes: Range = EVERY_HASH
    created_ms: int = 0
    window: Window | None = None
    suspended: Reason | None = None
    ledger: Ledger = NOTHING
    named: NamedAncestors | None = None
    target: str = ""
    is_set_back: bool = False

    def fields(self) -> dict[str, Any]:
        """The row. Numbers of records are text, for those of other streams are wider than JSON's."""
        fields: dict[str, Any] = {
            "v": CHECKPOINT.format,
            "epoch": self.epoch,
            "revision": f"{self.epoch}/{self.writes}",
            "watermark": str(self.watermark),
            "ranges": [[str(first), str(last)] for first, last in self.ranges],
            "finished": self.finished,
            "hashes": f"{self.hashes[0]:016x}-{self.hashes[1]:016x}",
            IN_CHECKPOINT: self.ledger.fields(),
        }
        if self.named is not None:
            fields |= {"parents": list(self.named.parents), "ancestors": list(self.named.ancestors)}
        if self.created_ms:
            fields["created_ms"] = self.created_ms
        if self.window is not None:
            fields["window"] = list(self.window)
        if self.suspended is not None:
            fields["suspended"] = list(self.suspended)
        if self.target:
            fields["target"] = self.target
        if self.is_set_back:
            fields["is_set_back"] = True
        return fields


def checkpoint_key(app: str, mapping_id: str, stream_label: str, shard_id: str) -> str:
    """The row of one mapping's checkpoint in one shard."""
    return CHECKPOINT.key(app, mapping_id, stream_label, shard_id)


def ledger_key(app: str, mapping_id: str, stream_label: str, shard_id: str) -> str:
    """The row in which older versions kept one mapping's ledger in one shard."""
    return LEDGER.key(app, mapping_id, stream_label, shard_id)


# ---- reading -----------------------------------------------------------------------------------------------


def read_row(fields: Mapping[str, Any], older_ledger: Mapping[str, Any] | None = None) -> CheckpointRow:
    """What a row of any format says; `older_ledger` is the row that its ledger had of its own. Raises:
    StoreError.
    """
    watermark, ranges, finished = read_checkpoint(fields)
    return CheckpointRow(
        fields["epoch"],
        _writes(fields),
        watermark,
        ranges,
        finished,
        hashes_of(fields),
        created_of(fields),
        window_of(fields),
        suspended_of(fields),
        ledger_of(fields, older_ledger),
        named_of(fields),
        fields.get("target", ""),
        fields.get("is_set_back", False),
    )


def read_checkpoint(fields: Mapping[str, Any] | None) -> tuple[int, tuple[Range, ...], bool]:
    """(watermark, ranges, finished); a mapping that never saved one begins at 0. Raises: StoreError."""
    if fields is None:
        return 0, (), False
    row = readable(fields, "checkpoint", CHECKPOINT.format)
    return (
        int(row["watermark"]),
        tuple((int(first), int(last)) for first, last in row["ranges"]),
        row["finished"],
    )


def _writes(fields: Mapping[str, Any]) -> int:
    return int(str(fields.get("revision", "0/0")).partition("/")[2])


def has_ledger(fields: Mapping[str, Any]) -> bool:
    """Whether a row has its ledger with it; if not, it may be in a row of its own."""
    return IN_CHECKPOINT in fields


def created_of(fields: Mapping[str, Any]) -> int:
    """When the last record at or below the watermark was written; 0: not known. Units: ms since the epoch."""
    return int(fields.get("created_ms", 0))


def named_of(fields: Mapping[str, Any]) -> NamedAncestors | None:
    """The shards that a checkpoint's shard continues; None for a row of a version that did not say."""
    return (
        NamedAncestors(tuple(fields["parents"]), tuple(fields["ancestors"])) if "parents" in fields else None
    )


def window_of(fields: Mapping[str, Any]) -> Window | None:
    """The tumbling window of a checkpoint; None: there never was one."""
    window = fields.get("window")
    return None if window is None else (window[0], window[1], window[2])


def suspended_of(fields: Mapping[str, Any] | None) -> Reason | None:
    """Why the mapping of a checkpoint has paused by itself; None: it has not."""
    reason = None if fields is None else fields.get("suspended")
    return None if reason is None else (reason[0], reason[1], reason[2], reason[3])


def hashes_of(fields: Mapping[str, Any]) -> Range:
    """The partition hashes of a checkpoint's shard; all of them for a row that does not say."""
    text = fields.get("hashes")
    if text is None:
        return EVERY_HASH
    first, last = str(text).split("-")
    return int(first, 16), int(last, 16)


def read_ledger(fields: Mapping[str, Any]) -> Ledger:
    """The ledger behind the fields of a row, of this version or an older one."""
    return Ledger(
        dict(fields.get("totals", {})),
        tuple(
            (int(first), int(last), count, outcome)
            for first, last, count, outcome in fields.get("ranges", ())
        ),
        int(fields.get("detail_from", 0)),
        {int(first): (times[0], times[1]) for first, times in fields.get("times", {}).items()},
    )


def ledger_of(checkpoint: Mapping[str, Any] | None, older: Mapping[str, Any] | None = None) -> Ledger:
    """The ledger of one mapping in one shard, by the fields of its checkpoint and of the ledger's own row, if
    there is one.

    Guarantee: a checkpoint that has a ledger has all of it: its writer had read the row of its own.
    Raises:  StoreError for a row of an unknown format.
    """
    if checkpoint is not None and IN_CHECKPOINT in checkpoint:
        return read_ledger(checkpoint[IN_CHECKPOINT])
    return NOTHING if older is None else read_ledger(readable(older, "ledger", LEDGER.format))


def ledgers_of(checkpoints: Iterable[StateRow], olders: Iterable[StateRow]) -> dict[tuple[str, str], Ledger]:
    """Every ledger of one mapping, by stream label and shard id; (EARLIER, EARLIER) is that of forgotten
    shards.

    Shape:   all rows of the mapping's checkpoints, and all rows of its ledgers. Raises: StoreError for a row
             of an unknown format.
    """
    of_checkpoints = {_place(row): row.fields for row in checkpoints}
    of_their_own = {_place(row): row.fields for row in olders}
    return {
        place: ledger_of(of_checkpoints.get(place), of_their_own.get(place))
        for place in sorted(of_checkpoints | of_their_own)
    }


def _place(row: StateRow) -> tuple[str, str]:
    _, _, _, label, shard_id = words_of(row.key)
    return label, shard_id


# ---- what rows say -----------------------------------------------------------------------------------------


def overlaps(one: Range, other: Range) -> bool:
    """Whether two ranges have something in common: a shard and its descendants do."""
    return one[0] <= other[1] and other[0] <= one[1]


def outcome_of(sequence: int, watermark: int, ranges: Sequence[tuple[int, int]], ledger: Ledger) -> str:
    """What happened to one record: "waiting", or its outcome ("settled" when the ledger no longer has the
    detail).
    """
    if sequence > watermark and not any(first <= sequence <= last for first, last in ranges):
        return "waiting"
    for first, last, _, outcome in ledger.ranges:
        if first <= sequence <= last:
            return outcome
    return "handled" if sequence >= ledger.detail_from else "settled"


# ---- writing -----------------------------------------------------------------------------------------------


def unchanged(fields: Mapping[str, Any]) -> Condition:
    """That a row is still what was read. A row of an older version was written by a process that has ended:
    its epoch tells as much.
    """
    if "revision" in fields:
        return Equals("revision", fields["revision"])
    return Equals("epoch", fields["epoch"])


def raised(row: StateRow, epoch: int, older_ledger: Mapping[str, Any] | None) -> tuple[CheckpointRow, Write]:
    """The row as it was read, under a new epoch, and the write that puts it there if no worker has written
    it since.
    """
    before = read_row(row.fields, older_ledger)
    stamped = replace(before, epoch=epoch, writes=before.writes + 1 if before.epoch == epoch else 0)
    return stamped, Write(row.key, stamped.fields(), unchanged(row.fields))


def behind(key: str, shard: Shard, last_sequence: int, after: int | None = None) -> Write:
    """The checkpoint of a mapping that reads nothing of what a shard holds now, where it has none; with
    `after`, nothing up to that number. Source: semantics §2.3 (LATEST).
    """
    if after is not None:
        end, finished = after, False
    elif shard.last is not None:
        end, finished = shard.last, True
    else:
        is_data = is_data_shard(shard.shard_id)
        end, finished = behind_own(shard.first, last_sequence) if is_data else last_sequence, False
    row = CheckpointRow(watermark=end, finished=finished, hashes=shard.hash_range or EVERY_HASH)
    return Write(key, row.fields(), Absent())


# ---- marks -------------------------------------------------------------------------------------------------


def mark_key(mapping_id: str, run_id: str, table: str, key: bytes) -> str:
    """The row of one item's mark: what `change.transaction` of this mapping and run last applied for it."""
    return MARK.key(mapping_id, run_id, table, key.hex())


MARK_AGE_MS: Final = 172_800_000
"""Marks are kept for two days: twice as long as a stream keeps the change that could be delivered again."""


def mark_write(key: str, version: Version, at_ms: int = 0) -> Write:
    """The mark of a change. Its guard fails when this change or a later one of the item was applied
    already.
    """
    fields = {"v": MARK.format, "version": version.text, "at_ms": at_ms}
    return Write(key, fields, AbsentOrOlder(version))


def mark_has_expired(fields: Mapping[str, Any], now_ms: int) -> bool:
    """Whether nothing can deliver the change again. A mark of an older version, without a time, never
    expires.
    """
    at_ms: int = fields.get("at_ms", 0)
    return 0 < at_ms < now_ms - MARK_AGE_MS
