"""Why a setting has its lag, where more concurrency stops helping, and what it costs: for traffic whose bound
is known.
"""

from collections.abc import Sequence
from random import Random

import pytest

from tailrace.errors import SettingsError
from tailrace.mapping.settings import MappingSettings
from tailrace.planning.core.bottlenecks import PlannedCase, judge, knees, recommended
from tailrace.planning.core.costs import cost_of, read_prices
from tailrace.planning.core.durations import read_service
from tailrace.planning.core.interpreter import EvenPace, PlannedHandler, PlannedReads, PlanRun
from tailrace.planning.core.measures import PlanFigures
from tailrace.planning.core.sweep import planned_settings, read_sweep
from tailrace.planning.core.traffic import DrawnItems, KeyShares, drawn_arrivals, traffic_of

LANES = MappingSettings.for_lambda("tally", BatchSize=10)
KEYS = MappingSettings("receipt", batch_size=10)
PRICES = {"invocation": 1.0, "gb-second": 1.0, "stream-read": 1.0, "write": 1.0, "worker-hour": 1.0}
SECONDS = 20


def plan(
    base: MappingSettings,
    rate: float,
    duration: str,
    *sweep: str,
    keys: str = "uniform:1000",
    shards: int = 1,
    paced: bool = False,
    most_calls: int | None = None,
) -> tuple[list[PlanFigures], PlannedCase]:
    times = read_service(duration, "call" if base.order == "lane" else "change")
    shares = KeyShares.read(keys)
    arrivals = drawn_arrivals([(rate, SECONDS * 1_000_000)], shares, Random(7).random)
    reads = PlannedReads(lambda: EvenPace(250), 10_000) if paced else PlannedReads()
    figures: list[PlanFigures] = []
    case = None
    for setting in planned_settings(base, shards, read_sweep(sweep)):
        traffic = traffic_of(
            "test", arrivals, DrawnItems(shares.count), setting.shards, 0, SECONDS * 1_000_000, item_bytes=300
        )
        case = case or PlannedCase(traffic, times, most_calls, paced)
        run = PlanRun(setting, traffic, PlannedHandler(times, most_calls), reads)
        for _ in run.run():
            pass
        figures.append(run.figures())
    assert case is not None
    return figures, case


def causes(figures: Sequence[PlanFigures], case: PlannedCase) -> list[str]:
    return [judge(one, case).cause for one in figures]


def test_a_handler_that_is_seldom_called_is_its_own_bound() -> None:
    figures, case = plan(KEYS, 5, "20ms")
    assert causes(figures, case) == ["handler"]
    assert not figures[0].grows
    assert figures[0].lag_p50 == 20_000


def test_a_batch_that_a_change_is_settled_with_is_named() -> None:
    figures, case = plan(MappingSettings("receipt"), 40, "20ms", paced=True)
    assert causes(figures, case) == ["batch"]
    assert figures[0].parts[2] > 40_000


def test_concurrency_helps_until_everything_is_handled_at_once() -> None:
    figures, case = plan(KEYS, 100, "35ms", "concurrency=1..8")
    assert [one.grows for one in figures[:3]] == [True] * 3  # 3.5 are needed
    assert not any(one.grows for one in figures[4:])
    verdict = judge(figures[0], case)
    assert (verdict.cause, verdict.advice) == ("concurrency", "concurrency=5")
    best = recommended(figures)
    assert best is not None
    assert best.setting.values["concurrency"] in (6, 7, 8)


def test_a_hot_item_is_named_and_no_concurrency_helps() -> None:
    figures, case = plan(KEYS, 200, "20ms", "concurrency=2..8..2", keys="hot:50%:1000")
    assert all(one.grows for one in figures)
    (knee,) = knees(figures, case)
    assert (knee.verdict.cause, knee.is_last) == ("hot key", False)
    assert "key-0" in knee.verdict.reason
    assert "at most 50/s" in knee.verdict.reason
    last = figures[-1]
    assert last.hot_p99 > 10 * last.others_p99


def test_lanes_that_share_a_busy_one_are_told_from_too_few() -> None:
    one_each = MappingSettings.for_lambda("tally", BatchSize=1)
    figures, case = plan(one_each, 200, "35ms", "ParallelizationFactor=1,10", keys="uniform:12")
    assert causes(figures, case) == ["concurrency", "lanes"]
    busiest, mean = figures[1].lanes
    assert busiest > 1.4 * mean


def test_a_factor_of_ten_is_all_there_is() -> None:
    figures, case = plan(LANES, 1_000, "200ms", "ParallelizationFactor=10", keys="uniform:10000")
    verdict = judge(figures[0], case)
    assert (verdict.cause, figures[0].grows) == ("order", True)
    assert "shards" in verdict.advice


def test_the_order_of_a_whole_shard_has_one_batch() -> None:
    mirror = MappingSettings("mirror", order="shard", on_failure="discard", batch_size=10)
    figures, case = plan(mirror, 200, "30ms/call+5ms/change")
    verdict = judge(figures[0], case)
    assert (verdict.cause, figures[0].peak) == ("order", 1)


def test_a_window_that_changes_wait_for_is_named() -> None:
    windowed = MappingSettings.for_lambda("tally", MaximumBatchingWindowInSeconds=2, BatchSize=1_000)
    figures, case = plan(windowed, 20, "5ms")
    assert causes(figures, case) == ["window"]
    assert figures[0].lag_p99 >= 1_900_000


def test_reading_is_named_where_it_takes_longest() -> None:
    figures, case = plan(KEYS, 20, "1ms", paced=True)
    assert causes(figures, case) == ["reading"]
    assert 250_000 <= figures[0].lag_p99 <= 300_000
    # Four looks a second of one shard, whatever they find.
    assert figures[0].reads == pytest.approx(SECONDS * 4, abs=SECONDS // 4 + 5)


def test_a_bound_of_calls_over_all_shards_is_named() -> None:
    figures, case = plan(KEYS, 100, "50ms", "concurrency=4", shards=4, most_calls=3)
    assert (judge(figures[0], case).cause, figures[0].peak) == ("calls", 3)


def test_a_larger_width_that_helps_is_said_to_help() -> None:
    figures, case = plan(KEYS, 300, "20ms", "concurrency=1..3")
    (knee,) = knees(figures, case)
    assert (knee.value, knee.is_last, knee.verdict.cause) == (3, True, "concurrency")


def test_every_change_is_handled_or_left() -> None:
    for keys in ("uniform:5", "zipf:1.5:50"):
        figures, _ = plan(LANES, 150, "exp:60ms", "ParallelizationFactor=1,3,10", keys=keys, shards=2)
        assert all(one.handled + one.left == one.changes for one in figures)
        assert all(one.busy_us / one.length_us <= one.setting.allowed + 1 for one in figures)


def test_what_is_left_counts_with_its_age() -> None:
    (figures,), _ = plan(KEYS, 100, "100ms")
    assert figures.left > 1_000
    # A tenth of what is written is handled, so the lag grows by nine tenths of a second a second.
    assert figures.growth == pytest.approx(0.9, abs=0.03)
    assert figures.lag_end == pytest.approx(18_000_000, rel=0.05)
    assert figures.lag_p99 <= SECONDS * 1_000_000


def test_costs_are_the_counts_at_their_prices() -> None:
    (figures,), _ = plan(LANES, 50, "40ms", paced=True)
    cost = cost_of(figures, PRICES, memory_mb=512, workers=2)
    times = 730 * 3_600 / SECONDS / 1_000_000
    gigabytes = figures.busy_us / 1_000_000 * 0.5
    assert cost.function == pytest.approx((figures.invocations + gigabytes) * times)
    assert cost.polling == pytest.approx(figures.reads * times)
    assert cost.state == pytest.approx((figures.checkpoints + SECONDS * 0.3 * 2) * times)
    assert cost.machines == 2 * 730
    assert cost.worker == cost.polling + cost.state + cost.machines


def test_a_price_has_a_name_and_a_bound() -> None:
    assert read_prices(PRICES, {"write": "2.5"})["write"] == 2.5
    for said in ({"shard-hour": "1"}, {"write": "-1"}, {"write": "nan"}, {"write": "cheap"}):
        with pytest.raises(SettingsError, match="price"):
            read_prices(PRICES, said)
