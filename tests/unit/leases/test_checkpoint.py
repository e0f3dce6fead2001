"""Rows of delivery: checkpoints, ledger, marks."""

import pytest

from tailrace.errors import StoreError
from tailrace.leases.checkpoint import (
    MAX_LEDGER_RANGES,
    checkpoint_write,
    ledger_after,
    mark_key,
    mark_write,
    outcome_of,
    read_checkpoint,
)  # fmt: skip
from tailrace.leases.rows import Guard


def test_a_checkpoint_is_read_back() -> None:
    write = checkpoint_write("k", 3, 40, ((50, 60), (70, 70)), finished=False)
    assert write.fields is not None
    assert write.fields["v"] == 1
    assert read_checkpoint(write.fields) == (40, ((50, 60), (70, 70)), False)
    assert read_checkpoint(None) == (0, (), False)


def test_a_checkpoint_of_another_format_is_refused() -> None:
    with pytest.raises(StoreError, match="format 9"):
        read_checkpoint({"v": 9})


def test_the_ledger_adds_up_and_names_what_was_not_handled() -> None:
    first = ledger_after(None, [(1, 4, 4, "handled"), (5, 6, 2, "filtered")])
    both = ledger_after(first, [(7, 7, 1, "discarded"), (8, 9, 2, "handled")])
    assert both["totals"] == {"handled": 6, "filtered": 2, "discarded": 1}
    assert both["ranges"] == [[5, 6, 2, "filtered"], [7, 7, 1, "discarded"]]
    assert first["totals"] == {"handled": 4, "filtered": 2}  # the input is not changed


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [(3, "handled"), (5, "filtered"), (7, "discarded"), (8, "waiting"), (20, "handled"), (30, "waiting")],
)
def test_the_outcome_of_one_record_is_known(sequence: int, expected: str) -> None:
    ledger = ledger_after(None, [(1, 4, 4, "handled"), (5, 6, 2, "filtered"), (7, 7, 1, "discarded")])
    assert outcome_of(sequence, 7, ((20, 22),), ledger) == expected


def test_the_ledger_row_stays_small_and_says_since_when_it_knows() -> None:
    settled = [(number, number, 1, "filtered") for number in range(1, 1_001)]
    ledger = ledger_after(None, settled)
    assert len(ledger["ranges"]) == MAX_LEDGER_RANGES
    assert ledger["totals"] == {"filtered": 1_000}
    assert outcome_of(5, 1_000, (), ledger) == "settled"
    assert outcome_of(950, 1_000, (), ledger) == "filtered"


def test_a_mark_is_written_once_and_in_order() -> None:
    write = mark_write(mark_key("mapping", "live", "orders", b"\x00\xff"), 42)
    assert write.key == "mark/mapping/live/orders/00ff"
    assert write.guard == Guard("absent_or_less", "sequence", 42)
