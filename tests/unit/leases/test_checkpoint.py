"""Rows of delivery: checkpoints of every format, ledgers wherever a version has kept them, and marks."""

from typing import Any

import orjson
import pytest

from tailrace.errors import StoreError
from tailrace.leases.checkpoint import (
    EARLIER,
    EVERY_HASH,
    MAX_LEDGER_RANGES,
    NOTHING,
    CheckpointRow,
    Ledger,
    behind,
    checkpoint_key,
    hashes_of,
    ledger_key,
    ledger_of,
    ledgers_of,
    mark_key,
    mark_write,
    outcome_of,
    overlaps,
    raised,
    read_checkpoint,
    read_ledger,
    read_row,
    unchanged,
)
from tailrace.rows.writes import Absent, AbsentOrOlder, StateRow, holds
from tailrace.streams.shards import Shard
from tailrace.streams.version import Version

WIDE = 49_590_338_271_490_256_608_559_692_538_361_571_095_921_575_989_136_588_898
"""A number as Kinesis gives them: 56 digits."""
WHOLE = CheckpointRow(
    3,
    7,
    WIDE,
    ((WIDE + 2, WIDE + 4), (WIDE + 9, WIDE + 9)),
    True,
    (0, 255),
    1_700,
    (0, 60_000, '{"count":3}'),
    ("f", "e", 9, "v1"),
    Ledger({"handled": 4, "trimmed": 0}, ((WIDE - 5, WIDE - 4, 0, "trimmed"),), 5, {WIDE - 5: (1, 2)}),
)

OLD: dict[str, Any] = {"v": 1, "epoch": 3, "watermark": 40, "ranges": [[50, 60]], "finished": False}
OLD_LEDGER: dict[str, Any] = {
    "v": 1, "totals": {"handled": 6, "filtered": 1}, "ranges": [[5, 5, 1, "filtered"]], "detail_from": 2,
    "times": {"5": [1, 2]},
}  # fmt: skip


def test_a_row_is_read_back_whole_also_with_numbers_that_are_wider_than_jsons() -> None:
    fields = orjson.loads(orjson.dumps(WHOLE.fields()))
    assert fields["v"] == 4
    assert read_row(fields) == WHOLE
    assert read_checkpoint(fields) == (WIDE, WHOLE.ranges, True)
    assert read_checkpoint(None) == (0, (), False)


@pytest.mark.parametrize(
    "more",
    [{}, {"v": 2, "window": [0, 60_000, None]}, {"v": 3, "suspended": ["f", "e", 9, "v1"]}],
    ids=["plain", "window", "suspended"],
)
def test_a_row_of_an_older_format_is_read_with_the_ledger_that_it_had_beside_it(more: dict[str, Any]) -> None:
    row = read_row({**OLD, **more}, OLD_LEDGER)
    assert (row.epoch, row.writes, row.watermark, row.ranges, row.finished) == (3, 0, 40, ((50, 60),), False)
    assert row.window == ((0, 60_000, None) if "window" in more else None)
    assert row.suspended == (("f", "e", 9, "v1") if "suspended" in more else None)
    assert row.ledger == Ledger({"handled": 6, "filtered": 1}, ((5, 5, 1, "filtered"),), 2, {5: (1, 2)})


def test_a_checkpoint_of_another_format_is_refused() -> None:
    with pytest.raises(StoreError, match="format 9"):
        read_checkpoint({"v": 9})


def test_a_row_that_is_stamped_says_what_it_said_under_another_epoch() -> None:
    stamped, write = raised(StateRow("k", WHOLE.fields()), 8, None)
    assert write.fields == stamped.fields()
    assert (stamped.epoch, stamped.writes) == (8, 0)
    assert read_row({**stamped.fields(), "epoch": 3, "revision": "3/7"}) == WHOLE


def test_a_stamp_holds_only_where_nothing_was_written_since_it_was_read() -> None:
    """The epoch alone would not tell: the owner before saves under the one that was read, and what it saved
    would be undone.
    """
    _, write = raised(StateRow("k", WHOLE.fields()), 8, None)
    assert holds(write.condition, WHOLE.fields())
    saved_since = CheckpointRow(3, 8, WIDE + 4)
    assert not holds(write.condition, saved_since.fields())
    assert not holds(write.condition, None)


def test_a_stamp_of_an_older_versions_row_holds_until_another_is_stamped() -> None:
    stamped, write = raised(StateRow("k", OLD), 4, OLD_LEDGER)
    assert holds(write.condition, OLD)
    assert not holds(write.condition, stamped.fields())
    assert stamped.ledger.totals == {"handled": 6, "filtered": 1}


def test_each_stamp_under_one_epoch_is_another_revision() -> None:
    """A mapping that was withdrawn and declared again begins anew under a lease that is held."""
    first, _ = raised(StateRow("k", WHOLE.fields()), 8, None)
    second, _ = raised(StateRow("k", first.fields()), 8, None)
    assert (second.epoch, second.writes) == (8, 1)
    assert unchanged(first.fields()) != unchanged(second.fields())


def test_a_mapping_that_begins_at_the_end_begins_nowhere_twice() -> None:
    write = behind("k", Shard("shardId-1", 1, before=0), 42)
    assert (write.condition, read_checkpoint(write.fields)) == (Absent(), (42, (), False))


def test_a_mark_is_written_once_and_in_order() -> None:
    write = mark_write(mark_key("mapping", "live", "orders", b"\x00\xff"), Version(1, 42))
    assert write.key == "mark/mapping/live/orders/00ff"
    assert write.condition == AbsentOrOlder(Version(1, 42))


def test_a_checkpoint_says_which_hashes_its_shard_had() -> None:
    fields = CheckpointRow(1, 0, 5, hashes=(0, 255)).fields()
    assert fields["hashes"] == "0000000000000000-00000000000000ff"
    assert hashes_of(fields) == (0, 255)
    assert hashes_of({}) == EVERY_HASH


@pytest.mark.parametrize(
    ("one", "other", "is_shared"),
    [((0, 4), (5, 9), False), ((0, 5), (5, 9), True), ((0, 9), (3, 4), True), ((6, 9), (0, 5), False)],
)
def test_a_shard_and_its_descendants_share_hashes(
    one: tuple[int, int], other: tuple[int, int], is_shared: bool
) -> None:
    assert overlaps(one, other) == overlaps(other, one) == is_shared


# ---- ledgers -----------------------------------------------------------------------------------------------


OLDER = {"v": 1, "totals": {"handled": 2}, "ranges": [[5, 6, 2, "filtered"]], "detail_from": 0}


def test_a_ledger_adds_up_and_names_what_was_not_handled() -> None:
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


def test_a_ledger_stays_small_and_says_since_when_it_knows() -> None:
    ledger = NOTHING.after([(number, number, 1, "filtered") for number in range(1, 1_001)])
    assert len(ledger.ranges) == MAX_LEDGER_RANGES
    assert ledger.totals == {"filtered": 1_000}
    assert outcome_of(5, 1_000, (), ledger) == "settled"
    assert outcome_of(950, 1_000, (), ledger) == "filtered"


def test_times_are_kept_as_long_as_their_range() -> None:
    ledger = NOTHING.after([(3, 4, 0, "trimmed")], {3: (10, 20)})
    assert ledger.after([(5, 5, 1, "handled")]).times == {3: (10, 20)}
    assert ledger.after([(number, number, 1, "filtered") for number in range(5, 200)]).times == {}


def test_two_ledgers_become_one() -> None:
    first = NOTHING.after([(1, 5, 5, "handled"), (6, 6, 0, "trimmed")])
    second = NOTHING.after([(7, 8, 2, "discarded"), (9, 9, 1, "handled")])
    merged = NOTHING.merged(first).merged(second)
    assert merged.totals == {"handled": 6, "trimmed": 0, "discarded": 2}
    assert merged.ranges == ((6, 6, 0, "trimmed"), (7, 8, 2, "discarded"))


def test_a_merged_ledger_stays_small_and_says_from_where_on_it_is_detailed() -> None:
    whole = NOTHING
    for number in range(MAX_LEDGER_RANGES + 5):
        whole = whole.merged(NOTHING.after([(number, number, 1, "filtered")]))
    assert (len(whole.ranges), whole.totals) == (MAX_LEDGER_RANGES, {"filtered": MAX_LEDGER_RANGES + 5})
    assert whole.detail_from == 5


def test_a_ledger_is_read_back() -> None:
    ledger = Ledger({"trimmed": 0}, ((3, 4, 0, "trimmed"),), 2, {3: (10, 20)})
    assert read_ledger(ledger.fields()) == ledger


def test_the_ledger_of_the_checkpoint_counts_and_its_own_row_only_beside_an_older_checkpoint() -> None:
    """A row that was not removed yet would be counted twice."""
    kept = CheckpointRow(ledger=Ledger({"handled": 9})).fields()
    old_checkpoint = {"v": 1, "epoch": 1, "watermark": 4, "ranges": [], "finished": False}
    assert ledger_of(kept, OLDER).totals == {"handled": 9}
    assert ledger_of(old_checkpoint, OLDER).totals == {"handled": 2}
    assert ledger_of(None, None) == NOTHING


def test_all_ledgers_of_a_mapping_are_found_by_stream_and_shard() -> None:
    row = CheckpointRow(ledger=Ledger({"handled": 9})).fields()
    checkpoints = [StateRow(checkpoint_key("shop", "mail", "label", shard), row) for shard in ("s1", "s2")]
    olders = [
        StateRow(ledger_key("shop", "mail", "label", "s1"), OLDER),
        StateRow(ledger_key("shop", "mail", EARLIER, EARLIER), OLDER),
    ]
    ledgers = ledgers_of(checkpoints, olders)
    assert {place: ledger.totals["handled"] for place, ledger in ledgers.items()} == {
        ("label", "s1"): 9,
        ("label", "s2"): 9,
        (EARLIER, EARLIER): 2,
    }
