"""What a shard's books must say when a run is over: its ledger, and the gaps that have rows of their own.

Rules of this file: read from rows, and compared with what was written; nothing judges
here. Called by checkers.py.
"""

from collections.abc import Iterator, Mapping, Sequence

from tailrace.deadletters.core.gap import Gap, read_gap
from tailrace.leases.checkpoint import Ledger
from tailrace.rows.kinds import GAP
from tailrace.testing.simulation import Run
from tailrace.testing.simulation_rows import APP


def all_gaps(run: Run, mapping_id: str) -> list[Gap]:
    """What was trimmed unread. Its rows stay; a ledger names it as well, as long as there is room."""
    prefix = GAP.prefix(APP, mapping_id)
    return [read_gap(row) for key, row in run.rows.items() if key.startswith(prefix)]


def wrong_in_gaps(gaps: Sequence[Gap]) -> Iterator[str]:
    """What is wrong with the times of gaps."""
    for gap in gaps:
        if gap.from_ms > gap.until_ms:
            yield f"{gap} ends before it begins"


def wrong_in_ledger(
    ledger: Ledger, records: Mapping[int, bool], gaps: Sequence[Gap], dead: int, put_back: int
) -> Iterator[str]:
    """What is wrong with the totals: every record is counted once, by its outcome; of one in a gap no reader
    knows, unless it was settled before the gap was found.

    Shape:   `records` tells of each number whether it was wanted; so many are `dead` letters now, and so many
             letters were `put_back`.
    """
    totals = ledger.totals
    told = [number for number in records if not any(gap.first <= number <= gap.last for gap in gaps)]
    refused = sum(not is_wanted for is_wanted in records.values())
    least_refused = sum(not records[number] for number in told)
    is_whole = len(told) <= sum(totals.values()) <= len(records)
    is_filtered = least_refused <= totals.get("filtered", 0) <= refused
    if not (is_whole and is_filtered and totals.get("discarded", 0) - put_back == dead):
        yield (
            f"{totals}, but {least_refused} to {refused} filtered, {dead} dead of {len(told)} to "
            f"{len(records)}"
        )
