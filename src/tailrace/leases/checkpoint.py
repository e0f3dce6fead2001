"""Rows that delivery leaves behind: checkpoints, the ledger of settlement, marks.

Rules of this file: layouts only, format 1 (2 for a checkpoint inside a tumbling window, 3 for one of a mapping that has paused by itself: an
older version must pass over neither), documented in docs/formats/state.md. The checkpoint, the ledger and the dead letters of one
SaveCheckpoint are one transaction, fenced by the lease. Called by runtime/settle.py and by `why`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tailrace.leases.lineage import Named
from tailrace.rows.kinds import CHECKPOINT, LEDGER, MARK
from tailrace.rows.writes import VERSION, AbsentOrLess, Write, readable
from tailrace.streams.shards import HASHES, Shard

WITH_WINDOW: Final = 2
"""The format of a checkpoint with a tumbling window."""
SUSPENDED: Final = 3
"""The format of a checkpoint of a mapping that has paused by itself."""
MAX_LEDGER_RANGES: Final = 100
"""How many ranges a ledger row names: it is written with every checkpoint, so it must stay a few kilobytes."""

Range = tuple[int, int]
Window = tuple[int, int, str | None]
Reason = tuple[str, str, int, str]
"""Why a mapping has paused by itself: fingerprint and words of the failure, since when (ms since the epoch), the code's version."""
EVERY_HASH: Final[Range] = (0, HASHES - 1)
NO_TIMES: Final[Mapping[str, Sequence[int]]] = {}
EARLIER: Final = "earlier"
"""In place of a shard's id (and of a label): the ledger of all shards that are forgotten."""


def checkpoint_key(app: str, mapping_id: str, stream_label: str, shard_id: str) -> str:
    """The row of one mapping's checkpoint in one shard."""
    return CHECKPOINT.key(app, mapping_id, stream_label, shard_id)


def checkpoint_write(
    key: str,
    epoch: int,
    watermark: int,
    ranges: Sequence[Range],
    *,
    finished: bool,
    hashes: Range = EVERY_HASH,
    window: Window | None = None,
    created_ms: int = 0,
    suspended: Reason | None = None,
    named: Named | None = None,
) -> Write:
    """A checkpoint. `epoch` says under which lease it was saved; the fence itself is a check of the lease's row.

    Shape:   `hashes` are the shard's, so that its descendants are known when the shard is not listed any more. `window` is
             the tumbling window that the shard is in: start and end in milliseconds since the epoch, the state as JSON text, or
             None for one that was closed. `suspended` is why the mapping has paused by itself. `named` are the shards that it continues.
    Units:   created_ms since the epoch, when the last record at or below the watermark was written; 0: not known.
    """
    fields: dict[str, Any] = {
        "v": VERSION, "epoch": epoch, "watermark": watermark, "ranges": [list(each) for each in ranges], "finished": finished,
        "hashes": f"{hashes[0]:016x}-{hashes[1]:016x}",
    }  # fmt: skip
    if named is not None:
        fields |= {"parents": list(named.parents), "ancestors": list(named.ancestors)}
    if created_ms:
        fields["created_ms"] = created_ms
    if window is not None:
        fields |= {"v": WITH_WINDOW, "window": list(window)}
    if suspended is not None:
        fields |= {"v": SUSPENDED, "suspended": list(suspended)}
    return Write(key, fields)


def behind(key: str, shard: Shard, last_sequence: int) -> Write:
    """The checkpoint of a mapping that reads nothing of what a shard holds now. Source: semantics §2.3 (LATEST)."""
    end = last_sequence if shard.last is None else shard.last
    return checkpoint_write(key, 0, end, (), finished=shard.is_closed, hashes=shard.hash_range or EVERY_HASH)


def read_checkpoint(fields: Mapping[str, Any] | None) -> tuple[int, tuple[Range, ...], bool]:
    """(watermark, ranges, finished); a mapping that never saved one begins at 0. Raises: StoreError."""
    if fields is None:
        return 0, (), False
    row = readable(fields, "checkpoint", SUSPENDED)
    return row["watermark"], tuple((first, last) for first, last in row["ranges"]), row["finished"]


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


def ledger_key(app: str, mapping_id: str, stream_label: str, shard_id: str) -> str:
    """The row of one mapping's ledger in one shard."""
    return LEDGER.key(app, mapping_id, stream_label, shard_id)


def ledger_after(
    fields: Mapping[str, Any] | None,
    settled: Iterable[tuple[int, int, int, str]],
    times: Mapping[str, Sequence[int]] = NO_TIMES,
) -> dict[str, Any]:
    """The ledger after these runs of records: (first, last, count, outcome), as a checkpoint reports them.

    Shape:   `totals` by outcome since ever; `ranges` [first, last, count, outcome] of what was not handled, ascending; below
             `detail_from` ranges were dropped to keep the row small (the totals were not). `times` of what was trimmed, by its first
             number: when it had been written, [from, until] in milliseconds since the epoch.
    """
    before = readable(fields, "ledger") if fields is not None else {}
    totals = dict(before.get("totals", {}))
    ranges = [list(each) for each in before.get("ranges", ())]
    for first, last, count, outcome in settled:
        totals[outcome] = totals.get(outcome, 0) + count
        if outcome != "handled":
            ranges.append([first, last, count, outcome])
    ranges.sort(key=lambda each: (each[0], each[1]))
    detail_from = before.get("detail_from", 0)
    if len(ranges) > MAX_LEDGER_RANGES:
        detail_from = ranges[-MAX_LEDGER_RANGES][0]
        ranges = ranges[-MAX_LEDGER_RANGES:]
    row = {"v": VERSION, "totals": totals, "ranges": ranges, "detail_from": detail_from}
    known = {**before.get("times", {}), **times}
    kept = {str(first): known[str(first)] for first, *_ in ranges if str(first) in known}
    return {**row, "times": kept} if kept else row


def ledger_merged(fields: Mapping[str, Any] | None, other: Mapping[str, Any]) -> dict[str, Any]:
    """One ledger for what stood in two: totals are added, ranges stand side by side."""
    more = readable(other, "ledger")
    merged = ledger_after(fields, [tuple(each) for each in more["ranges"]], more.get("times", NO_TIMES))
    totals = dict(readable(fields, "ledger")["totals"]) if fields is not None else {}
    for outcome, count in more["totals"].items():
        totals[outcome] = totals.get(outcome, 0) + count
    return {**merged, "totals": totals, "detail_from": max(merged["detail_from"], more["detail_from"])}


def outcome_of(
    sequence: int, watermark: int, ranges: Sequence[Range], ledger: Mapping[str, Any] | None
) -> str:
    """What happened to one record: "waiting", or its outcome ("settled" when the ledger no longer has the detail)."""
    if sequence > watermark and not any(first <= sequence <= last for first, last in ranges):
        return "waiting"
    row = readable(ledger, "ledger") if ledger is not None else {}
    for first, last, _, outcome in row.get("ranges", ()):
        if first <= sequence <= last:
            return str(outcome)
    return "handled" if sequence >= row.get("detail_from", 0) else "settled"


def mark_key(mapping_id: str, run_id: str, table: str, key: bytes) -> str:
    """The row of one item's mark: what `change.transaction` of this mapping and run last applied for it."""
    return MARK.key(mapping_id, run_id, table, key.hex())


MARK_AGE_MS: Final = 172_800_000
"""Marks are kept for two days: twice as long as a stream keeps the change that could be delivered again."""


def mark_write(key: str, sequence: int, at_ms: int = 0) -> Write:
    """The mark of a change. Its guard fails when this change or a later one of the item was applied already."""
    fields = {"v": VERSION, "sequence": sequence, "at_ms": at_ms}
    return Write(key, fields, AbsentOrLess("sequence", sequence))


def mark_has_expired(fields: Mapping[str, Any], now_ms: int) -> bool:
    """Whether nothing can deliver the change again. A mark of an older version, without a time, never expires."""
    at_ms: int = fields.get("at_ms", 0)
    return 0 < at_ms < now_ms - MARK_AGE_MS
