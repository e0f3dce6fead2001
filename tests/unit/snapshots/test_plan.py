"""What a snapshot would read and cost, and when that is asked for."""

import pytest

from tailrace.snapshots.core.plan import BYTES_PER_S, exports_plan, scan_plan
from tailrace.snapshots.core.snapshot import Part, WantedSnapshot
from tailrace.tables.costs import ASK, AskBound, TableSize

WANTED = WantedSnapshot("shop", "copy", 1)
MILLION = TableSize(1_000_000, 4_096 * 1_000_000, 0.125)


def wanted(part: Part, source: str = "") -> WantedSnapshot:
    return WantedSnapshot("shop", "copy", 1, part=part, source=source)


def test_a_read_unit_is_4_kb_and_the_last_one_is_rounded_up() -> None:
    plan = scan_plan(WANTED, "orders", MILLION, None, ASK)
    assert (plan.cost.read_units, plan.cost.usd) == (1_000_000, 0.125)
    one_more = TableSize(1, 4_096 * 1_000_000 + 1, 0.125)
    assert scan_plan(WANTED, "orders", one_more, None, ASK).cost.read_units == 1_000_001
    assert scan_plan(WANTED, "orders", TableSize(0), None, ASK).cost.read_units == 0


def test_a_segment_is_its_share_and_partitions_are_at_most_the_table_and_never_asked_for() -> None:
    quarter = scan_plan(wanted(Part(segment=(1, 4))), "orders", MILLION, None, ASK)
    assert (quarter.cost.read_units, quarter.at_most) == (250_000, False)
    some = scan_plan(wanted(Part(('{"S":"a"}',))), "orders", MILLION, None, AskBound(0.0, 0.0))
    assert (some.cost.read_units, some.at_most, some.asks) == (1_000_000, True, False)
    assert "at most 1,000,000 items" in some.words


@pytest.mark.parametrize(("usd", "asks"), [(0.125, False), (0.1249, True)])
def test_it_is_asked_for_beyond_the_bound_of_money(usd: float, asks: bool) -> None:
    assert scan_plan(WANTED, "orders", MILLION, None, AskBound(usd, 1e9)).asks is asks


@pytest.mark.parametrize(("seconds", "asks"), [(1_000.0, False), (999.9, True)])
def test_it_is_asked_for_beyond_the_bound_of_time_at_the_budget(seconds: float, asks: bool) -> None:
    slow = TableSize(1_000_000, BYTES_PER_S * 1_000, 0.0)
    assert scan_plan(WANTED, "orders", slow, None, AskBound(1.0, seconds)).asks is asks
    plan = scan_plan(WANTED, "orders", MILLION, 1_000.0, AskBound(1.0, 1_024.0))
    assert plan.cost.seconds == 1_024, "a table gives its items slower than the budget"
    assert scan_plan(WANTED, "orders", MILLION, 500.0, ASK).cost.seconds == 2_000


def test_the_words_say_price_pace_and_time() -> None:
    assert scan_plan(WANTED, "orders", MILLION, 200.0, ASK).words == (
        "reads about 1,000,000 items, 4,096.0 MB of table orders: 1,000,000 read units, 0.12 USD on demand "
        "at 0.125 USD a million, about 83 minutes at 200 a second"
    )
    free = scan_plan(WANTED, "orders", TableSize(3, 300), None, ASK)
    assert free.words == ("reads about 3 items, 0.0 MB of table orders: nothing is charged, about 1 second")


def test_exports_use_no_read_units_and_are_asked_for_by_their_time() -> None:
    size = TableSize(1_000, BYTES_PER_S * 700)
    plan = exports_plan(wanted(Part(), "s3://b/p"), "orders", ("01-a", "02-b"), 14, size, ASK)
    assert (plan.cost.read_units, plan.cost.usd, plan.asks) == (0, 0, True)
    assert plan.words == (
        "reads 2 exports from s3://b/p: 14 files, 1,000 items, 2,800.0 MB; no read units, about 12 minutes"
    )
    one = exports_plan(wanted(Part(), "old"), "orders", ("01-a",), 1, TableSize(1, 9), ASK)
    assert one.words.startswith("reads 1 export from old: 1 file, ")
    assert {"files": 1, "exports": ["01-a"], "asks": False}.items() <= one.value.items()
