"""The ledger: what came of the records of one shard in one mapping, counted since ever and named where they were not handled.

Rules of this file: values and layouts. It is the member `ledger` of a checkpoint's row (format 4), so that it is saved with it by one write; versions before
that kept it in a row of its own, and what was counted of shards that are forgotten is in such a row still. Whoever wants a ledger reads it by `ledger_of`
or `ledgers_of`, which know both. Called by leases/checkpoint.py, runtime/forgetting.py, and by whatever tells people.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeAlias

from tailrace.rows.kinds import LEDGER, words_of
from tailrace.rows.writes import StateRow, readable

MAX_LEDGER_RANGES: Final = 100
"""How many ranges a ledger names: it is written with every checkpoint, so it must stay a few kilobytes."""
EARLIER: Final = "earlier"
"""In place of a shard's id (and of a label): the ledger of all shards that are forgotten."""
IN_CHECKPOINT: Final = "ledger"
"""The member of a checkpoint's row."""

Run: TypeAlias = tuple[int, int, int, str]
"""Records that came to one end: the first and the last number, how many, the outcome."""
Times: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Ledger:
    """What came of a shard's records.

    Shape:   `totals` by outcome since ever; `ranges` of what was not handled, ascending; below `detail_from` ranges were dropped to
             keep the row small (the totals were not). `times` of what was trimmed, by its first number: when it had been written,
             (from, until) in milliseconds since the epoch, 0 where that is not known.
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
        kept = {first: known[first] for first, *_ in ranges if first in known}
        return Ledger(totals, tuple(ranges), detail_from, kept)

    def merged(self, other: "Ledger") -> "Ledger":
        """One ledger for two: totals are added, ranges stand side by side."""
        both = self.after(other.ranges, other.times)
        totals = dict(self.totals)
        for outcome, count in other.totals.items():
            totals[outcome] = totals.get(outcome, 0) + count
        return replace(both, totals=totals, detail_from=max(both.detail_from, other.detail_from))

    def fields(self) -> dict[str, Any]:
        """As a row has it. Numbers of records are text, for those of other streams are wider than JSON's."""
        row = {
            "totals": self.totals,
            "ranges": [
                [str(first), str(last), count, outcome] for first, last, count, outcome in self.ranges
            ],
            "detail_from": str(self.detail_from),
        }
        return (
            {**row, "times": {str(first): list(times) for first, times in self.times.items()}}
            if self.times
            else row
        )


NOTHING: Final = Ledger()


def read_ledger(fields: Mapping[str, Any]) -> Ledger:
    """The ledger behind the fields of a row, of this version or an older one."""
    return Ledger(
        dict(fields.get("totals", {})),
        tuple((int(first), int(last), count, outcome) for first, last, count, outcome in fields.get("ranges", ())),
        int(fields.get("detail_from", 0)),
        {int(first): (times[0], times[1]) for first, times in fields.get("times", {}).items()},
    )  # fmt: skip


def ledger_key(app: str, mapping_id: str, stream_label: str, shard_id: str) -> str:
    """The row in which older versions kept one mapping's ledger in one shard."""
    return LEDGER.key(app, mapping_id, stream_label, shard_id)


def ledger_of(checkpoint: Mapping[str, Any] | None, older: Mapping[str, Any] | None = None) -> Ledger:
    """The ledger of one mapping in one shard, by the fields of its checkpoint and of the ledger's own row, if there is one.

    Guarantee: a checkpoint that has a ledger has all of it: whoever wrote it had read the row of its own.
    Raises:  StoreError for a row of an unknown format.
    """
    if checkpoint is not None and IN_CHECKPOINT in checkpoint:
        return read_ledger(checkpoint[IN_CHECKPOINT])
    return NOTHING if older is None else read_ledger(readable(older, "ledger", LEDGER.format))


def ledgers_of(checkpoints: Iterable[StateRow], olders: Iterable[StateRow]) -> dict[tuple[str, str], Ledger]:
    """Every ledger of one mapping, by stream label and shard id; (EARLIER, EARLIER) is that of forgotten shards.

    Shape:   all rows of the mapping's checkpoints, and all rows of its ledgers. Raises: StoreError for a row of an unknown format.
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


def outcome_of(sequence: int, watermark: int, ranges: Sequence[tuple[int, int]], ledger: Ledger) -> str:
    """What happened to one record: "waiting", or its outcome ("settled" when the ledger no longer has the detail)."""
    if sequence > watermark and not any(first <= sequence <= last for first, last in ranges):
        return "waiting"
    for first, last, _, outcome in ledger.ranges:
        if first <= sequence <= last:
            return outcome
    return "handled" if sequence >= ledger.detail_from else "settled"
