"""Rows of delivery: checkpoints, ledger, marks."""

import pytest

from tailrace.errors import StoreError
from tailrace.leases.checkpoint import (
    EVERY_HASH,
    MAX_LEDGER_RANGES,
    Window,
    checkpoint_write,
    hashes_of,
    ledger_after,
    ledger_merged,
    mark_key,
    mark_write,
    outcome_of,
    overlaps,
    read_checkpoint,
    window_of,
)  # fmt: skip
from tailrace.rows.writes import AbsentOrLess


def test_a_checkpoint_is_read_back() -> None:
    write = checkpoint_write("k", 3, 40, ((50, 60), (70, 70)), finished=False)
    assert write.fields is not None
    assert write.fields["v"] == 1
    assert read_checkpoint(write.fields) == (40, ((50, 60), (70, 70)), False)
    assert read_checkpoint(None) == (0, (), False)


@pytest.mark.parametrize("window", [(0, 60_000, '{"count":3}'), (0, 60_000, None)])
def test_a_checkpoint_keeps_its_tumbling_window_in_a_format_that_older_versions_refuse(
    window: Window,
) -> None:
    write = checkpoint_write("k", 3, 40, (), finished=False, window=window)
    assert write.fields is not None
    assert write.fields["v"] == 2
    assert read_checkpoint(write.fields) == (40, (), False)
    assert window_of(write.fields) == window


def test_a_checkpoint_without_a_window_has_none() -> None:
    fields = checkpoint_write("k", 3, 40, (), finished=False).fields
    assert fields is not None
    assert window_of(fields) is None


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
    assert write.condition == AbsentOrLess("sequence", 42)


def test_a_checkpoint_says_which_hashes_its_shard_had() -> None:
    write = checkpoint_write("c", 1, 5, [], finished=True, hashes=(0, 255))
    assert write.fields is not None
    assert write.fields["hashes"] == "0000000000000000-00000000000000ff"
    assert hashes_of(write.fields) == (0, 255)
    assert hashes_of({}) == EVERY_HASH


@pytest.mark.parametrize(
    ("one", "other", "is_shared"),
    [((0, 4), (5, 9), False), ((0, 5), (5, 9), True), ((0, 9), (3, 4), True), ((6, 9), (0, 5), False)],
)
def test_a_shard_and_its_descendants_share_hashes(
    one: tuple[int, int], other: tuple[int, int], is_shared: bool
) -> None:
    assert overlaps(one, other) == overlaps(other, one) == is_shared


def test_two_ledgers_become_one() -> None:
    first = ledger_after(None, [(1, 5, 5, "handled"), (6, 6, 0, "trimmed")])
    second = ledger_after(None, [(7, 8, 2, "discarded"), (9, 9, 1, "handled")])
    merged = ledger_merged(ledger_merged(None, first), second)
    assert merged["totals"] == {"handled": 6, "trimmed": 0, "discarded": 2}
    assert merged["ranges"] == [[6, 6, 0, "trimmed"], [7, 8, 2, "discarded"]]


def test_a_merged_ledger_stays_small_and_says_from_where_on_it_is_detailed() -> None:
    whole = None
    for number in range(MAX_LEDGER_RANGES + 5):
        whole = ledger_merged(whole, ledger_after(None, [(number, number, 1, "filtered")]))
    assert whole is not None
    assert (len(whole["ranges"]), whole["totals"]) == (MAX_LEDGER_RANGES, {"filtered": MAX_LEDGER_RANGES + 5})
    assert whole["detail_from"] == 5
