"""The ledger: it adds up, stays small, and is found wherever a version has kept it."""

import pytest

from tailrace.leases.checkpoint import CheckpointRow, checkpoint_key
from tailrace.leases.ledger import (
    EARLIER,
    MAX_LEDGER_RANGES,
    NOTHING,
    Ledger,
    ledger_key,
    ledger_of,
    ledgers_of,
    outcome_of,
    read_ledger,
)
from tailrace.rows.writes import StateRow

OLD = {"v": 1, "totals": {"handled": 2}, "ranges": [[5, 6, 2, "filtered"]], "detail_from": 0}


def test_it_adds_up_and_names_what_was_not_handled() -> None:
    first = NOTHING.after([(1, 4, 4, "handled"), (5, 6, 2, "filtered")])
    both = first.after([(7, 7, 1, "discarded"), (8, 9, 2, "handled")])
    assert both.totals == {"handled": 6, "filtered": 2, "discarded": 1}
    assert both.ranges == ((5, 6, 2, "filtered"), (7, 7, 1, "discarded"))
    assert first.totals == {"handled": 4, "filtered": 2}, "it was changed where it stood"


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [(3, "handled"), (5, "filtered"), (7, "discarded"), (8, "waiting"), (20, "handled"), (30, "waiting")],
)
def test_the_outcome_of_one_record_is_known(sequence: int, expected: str) -> None:
    ledger = NOTHING.after([(1, 4, 4, "handled"), (5, 6, 2, "filtered"), (7, 7, 1, "discarded")])
    assert outcome_of(sequence, 7, ((20, 22),), ledger) == expected


def test_it_stays_small_and_says_since_when_it_knows() -> None:
    ledger = NOTHING.after([(number, number, 1, "filtered") for number in range(1, 1_001)])
    assert len(ledger.ranges) == MAX_LEDGER_RANGES
    assert ledger.totals == {"filtered": 1_000}
    assert outcome_of(5, 1_000, (), ledger) == "settled"
    assert outcome_of(950, 1_000, (), ledger) == "filtered"


def test_times_are_kept_as_long_as_their_range() -> None:
    ledger = NOTHING.after([(3, 4, 0, "trimmed")], {3: (10, 20)})
    assert ledger.after([(5, 5, 1, "handled")]).times == {3: (10, 20)}
    assert ledger.after([(number, number, 1, "filtered") for number in range(5, 200)]).times == {}


def test_two_become_one() -> None:
    first = NOTHING.after([(1, 5, 5, "handled"), (6, 6, 0, "trimmed")])
    second = NOTHING.after([(7, 8, 2, "discarded"), (9, 9, 1, "handled")])
    merged = NOTHING.merged(first).merged(second)
    assert merged.totals == {"handled": 6, "trimmed": 0, "discarded": 2}
    assert merged.ranges == ((6, 6, 0, "trimmed"), (7, 8, 2, "discarded"))


def test_a_merged_one_stays_small_and_says_from_where_on_it_is_detailed() -> None:
    whole = NOTHING
    for number in range(MAX_LEDGER_RANGES + 5):
        whole = whole.merged(NOTHING.after([(number, number, 1, "filtered")]))
    assert (len(whole.ranges), whole.totals) == (MAX_LEDGER_RANGES, {"filtered": MAX_LEDGER_RANGES + 5})
    assert whole.detail_from == 5


def test_it_is_read_back() -> None:
    ledger = Ledger({"trimmed": 0}, ((3, 4, 0, "trimmed"),), 2, {3: (10, 20)})
    assert read_ledger(ledger.fields()) == ledger


def test_that_of_the_checkpoint_counts_and_its_own_row_only_beside_an_older_checkpoint() -> None:
    """A row that was not removed yet would be counted twice."""
    kept = CheckpointRow(ledger=Ledger({"handled": 9})).fields()
    old_checkpoint = {"v": 1, "epoch": 1, "watermark": 4, "ranges": [], "finished": False}
    assert ledger_of(kept, OLD).totals == {"handled": 9}
    assert ledger_of(old_checkpoint, OLD).totals == {"handled": 2}
    assert ledger_of(None, None) == NOTHING


def test_all_of_a_mapping_are_found_by_stream_and_shard() -> None:
    row = CheckpointRow(ledger=Ledger({"handled": 9})).fields()
    checkpoints = [StateRow(checkpoint_key("shop", "mail", "label", shard), row) for shard in ("s1", "s2")]
    olders = [
        StateRow(ledger_key("shop", "mail", "label", "s1"), OLD),
        StateRow(ledger_key("shop", "mail", EARLIER, EARLIER), OLD),
    ]
    found = ledgers_of(checkpoints, olders)
    assert {place: ledger.totals["handled"] for place, ledger in found.items()} == {
        ("label", "s1"): 9, ("label", "s2"): 9, (EARLIER, EARLIER): 2,
    }  # fmt: skip
