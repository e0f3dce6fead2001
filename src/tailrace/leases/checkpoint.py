"""Rows that delivery leaves behind: checkpoints, and marks.

Rules of this file: layouts only, documented in docs/formats/state.md. A checkpoint's row is the fence of everything that is saved for one mapping in one
shard: its `epoch` is that of the lease under which it was written, and whoever takes the lease raises it before reading anything (runtime/starting.py). Its
`revision` changes with every write, so that who puts it back as it was read notices each save meanwhile. Formats before 4 are read and never written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tailrace.leases.ledger import IN_CHECKPOINT, NOTHING, Ledger, ledger_of
from tailrace.leases.lineage import Named
from tailrace.rows.kinds import CHECKPOINT, MARK
from tailrace.rows.writes import Absent, AbsentOrOlder, Condition, Equals, StateRow, Write, readable
from tailrace.streams.shards import HASHES, Shard
from tailrace.streams.version import Version

Range = tuple[int, int]
Window = tuple[int, int, str | None]
Reason = tuple[str, str, int, str]
"""Why a mapping has paused by itself: fingerprint and words of the failure, since when (ms since the epoch), the code's version."""
EVERY_HASH: Final[Range] = (0, HASHES - 1)


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """What a checkpoint's row says.

    Shape:   `epoch` is that of the lease under which it was written, `writes` counts the writes under it. `hashes` are the shard's, so that its
             descendants are known when the shard is not listed any more. `window` is the tumbling window that the shard is in: start and end in
             milliseconds since the epoch, the state as JSON text, or None for one that was closed. `suspended` is why the mapping has paused by itself.
             `named` are the shards that it continues; None: a version that did not say wrote it.
    Units:   created_ms since the epoch, when the last record at or below the watermark was written; 0: not known.
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
    named: Named | None = None

    def fields(self) -> dict[str, Any]:
        """The row. Numbers of records are text, for those of other streams are wider than JSON's."""
        fields: dict[str, Any] = {
            "v": CHECKPOINT.format, "epoch": self.epoch, "revision": f"{self.epoch}/{self.writes}", "watermark": str(self.watermark),
            "ranges": [[str(first), str(last)] for first, last in self.ranges], "finished": self.finished,
            "hashes": f"{self.hashes[0]:016x}-{self.hashes[1]:016x}", IN_CHECKPOINT: self.ledger.fields(),
        }  # fmt: skip
        if self.named is not None:
            fields |= {"parents": list(self.named.parents), "ancestors": list(self.named.ancestors)}
        if self.created_ms:
            fields["created_ms"] = self.created_ms
        if self.window is not None:
            fields["window"] = list(self.window)
        if self.suspended is not None:
            fields["suspended"] = list(self.suspended)
        return fields


def checkpoint_key(app: str, mapping_id: str, stream_label: str, shard_id: str) -> str:
    """The row of one mapping's checkpoint in one shard."""
    return CHECKPOINT.key(app, mapping_id, stream_label, shard_id)


def read_row(fields: Mapping[str, Any], older_ledger: Mapping[str, Any] | None = None) -> CheckpointRow:
    """What a row of any format says; `older_ledger` is the row that its ledger had of its own. Raises: StoreError."""
    watermark, ranges, finished = read_checkpoint(fields)
    return CheckpointRow(
        fields["epoch"], _writes(fields), watermark, ranges, finished, hashes_of(fields), created_of(fields),
        window_of(fields), suspended_of(fields), ledger_of(fields, older_ledger), named_of(fields),
    )  # fmt: skip


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


def unchanged(fields: Mapping[str, Any]) -> Condition:
    """That a row is still what was read. A row of an older version was written by a process that has ended: its epoch tells as much."""
    if "revision" in fields:
        return Equals("revision", fields["revision"])
    return Equals("epoch", fields["epoch"])


def raised(row: StateRow, epoch: int, older_ledger: Mapping[str, Any] | None) -> tuple[CheckpointRow, Write]:
    """The row as it was read, under a new epoch, and the write that puts it there if nobody has written it since."""
    before = read_row(row.fields, older_ledger)
    stamped = replace(before, epoch=epoch, writes=before.writes + 1 if before.epoch == epoch else 0)
    return stamped, Write(row.key, stamped.fields(), unchanged(row.fields))


def behind(key: str, shard: Shard, last_sequence: int) -> Write:
    """The checkpoint of a mapping that reads nothing of what a shard holds now, where it has none. Source: semantics §2.3 (LATEST)."""
    end = last_sequence if shard.last is None else shard.last
    row = CheckpointRow(watermark=end, finished=shard.is_closed, hashes=shard.hash_range or EVERY_HASH)
    return Write(key, row.fields(), Absent())


def created_of(fields: Mapping[str, Any]) -> int:
    """When the last record at or below the watermark was written; 0: not known. Units: ms since the epoch."""
    return int(fields.get("created_ms", 0))


def named_of(fields: Mapping[str, Any]) -> Named | None:
    """The shards that a checkpoint's shard continues; None for a row of a version that did not say."""
    return Named(tuple(fields["parents"]), tuple(fields["ancestors"])) if "parents" in fields else None


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


def overlaps(one: Range, other: Range) -> bool:
    """Whether two ranges have something in common: a shard and its descendants do."""
    return one[0] <= other[1] and other[0] <= one[1]


def mark_key(mapping_id: str, run_id: str, table: str, key: bytes) -> str:
    """The row of one item's mark: what `change.transaction` of this mapping and run last applied for it."""
    return MARK.key(mapping_id, run_id, table, key.hex())


MARK_AGE_MS: Final = 172_800_000
"""Marks are kept for two days: twice as long as a stream keeps the change that could be delivered again."""


def mark_write(key: str, version: Version, at_ms: int = 0) -> Write:
    """The mark of a change. Its guard fails when this change or a later one of the item was applied already."""
    fields = {"v": MARK.format, "version": version.text, "at_ms": at_ms}
    return Write(key, fields, AbsentOrOlder(version))


def mark_has_expired(fields: Mapping[str, Any], now_ms: int) -> bool:
    """Whether nothing can deliver the change again. A mark of an older version, without a time, never expires."""
    at_ms: int = fields.get("at_ms", 0)
    return 0 < at_ms < now_ms - MARK_AGE_MS
