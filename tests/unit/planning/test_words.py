"""Traffic, durations and sweeps in words: what is read, and how what is wrong is refused."""

from random import Random

import pytest

from tailrace.errors import SettingsError
from tailrace.mapping.settings import MappingSettings
from tailrace.planning.core.durations import of_histogram, read_duration, read_service
from tailrace.planning.core.measures import percentile
from tailrace.planning.core.quantities import item_bytes, length_us, per_second
from tailrace.planning.core.sweep import MOST_SETTINGS, planned_settings, read_sweep
from tailrace.planning.core.traffic import KeyShares, RateProfile

LANES = MappingSettings.for_lambda("tally")
KEYS = MappingSettings("receipt")
SHARD = MappingSettings("mirror", order="shard", on_failure="discard")


@pytest.mark.parametrize(
    ("text", "shares"),
    [
        ("uniform:4", [0.25] * 4),
        ("hot:40%:4", [0.4, 0.2, 0.2, 0.2]),
        ("hot:100%:2", [1.0, 0.0]),
        ("zipf:1:3", [6 / 11, 3 / 11, 2 / 11]),
        ("zipf:0:2", [0.5, 0.5]),
    ],
)
def test_keys_have_the_shares_that_are_said(text: str, shares: list[float]) -> None:
    keys = KeyShares.read(text)
    assert [keys.share(key) for key in range(keys.count)] == pytest.approx(shares)


@pytest.mark.parametrize("text", ["uniform:4", "hot:40%:4", "zipf:1:3", "hot:100%:2"])
def test_keys_are_drawn_by_their_shares(text: str) -> None:
    keys = KeyShares.read(text)
    draw = keys.draw(Random(3).random)
    counts = [0] * keys.count
    for _ in range(9_000):
        counts[draw()] += 1
    assert [count / 9_000 for count in counts] == pytest.approx(
        [keys.share(key) for key in range(keys.count)], abs=0.02
    )


@pytest.mark.parametrize(
    "text",
    ["", "zipf", "zipf:x", "zipf:6", "zipf:nan", "hot:30", "hot:130%", "hot:1%:1", "uniform:0", "even:3"],
)
def test_what_is_no_distribution_of_keys_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="keys"):
        KeyShares.read(text)


def test_a_profile_of_rates_has_lengths_for_all_but_the_last() -> None:
    profile = RateProfile.read("200/s:5m,5000/s")
    assert profile.is_open
    assert profile.lasting(7) == [(200.0, 300_000_000), (5_000.0, 7)]
    assert not RateProfile.read("60/m:1h").is_open
    for text in ("200/s,100/s:5m", "0/s", "fast", "5/d", "99999999/s", "5/s:soon"):
        with pytest.raises(SettingsError, match="rate"):
            RateProfile.read(text)


@pytest.mark.parametrize("text", ["", "20", "20 ms", "-1ms", "20days", "999h", "1e3ms"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="duration"):
        length_us("duration", text)


def test_sizes_and_rates_have_bounds() -> None:
    assert item_bytes("item size", "400KiB") == 409_600
    assert per_second("rate", "10000000/s") == 10_000_000
    for text in ("0", "401KiB", "1XB", "big"):
        with pytest.raises(SettingsError, match="item size"):
            item_bytes("item size", text)


def test_a_duration_through_two_percentiles_goes_through_them() -> None:
    quantiles = read_duration("p50=10ms,p99=200ms").quantiles
    assert percentile(quantiles, 50) == pytest.approx(10_000, rel=0.01)
    assert percentile(quantiles, 99) == pytest.approx(200_000, rel=0.02)
    assert quantiles == tuple(sorted(quantiles))


@pytest.mark.parametrize(
    "text", ["p50=10ms", "p50=10ms,p99=5ms", "p0=1ms,p99=2ms", "q50=1ms,p99=2ms", "p50=0ms,p99=2ms", "x"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="duration"):
        read_duration(text)


def test_service_times_are_for_a_call_or_a_change() -> None:
    assert read_service("20ms", "change").mean_us(5) == 100_000
    assert read_service("20ms", "call").mean_us(5) == 20_000
    both = read_service("50ms/call+1ms/change", "change")
    assert (both.mean_us(10), both.text) == (60_000, "50ms a call + 1ms a change")
    for text in ("20ms/batch", "20ms+30ms", "1ms/call+2ms/call"):
        with pytest.raises(SettingsError, match="duration"):
            read_service(text, "change")


def test_a_histogram_has_the_mean_that_was_measured() -> None:
    duration = of_histogram("measured", {5: 10, 10: 30, 50: 59}, 1, 3_000_000)
    assert duration.mean_us == pytest.approx(30_000, rel=0.001)
    assert duration.quantiles == tuple(sorted(duration.quantiles))


# ---- sweeps ------------------------------------------------------------------------------------------------


def test_a_sweep_is_every_combination_of_its_values() -> None:
    sweep = read_sweep(["ParallelizationFactor=1..3", "BatchSize=10,100", "shards=2..6..2"])
    planned = planned_settings(LANES, 1, sweep)
    assert len(planned) == 18
    first, last = planned[0], planned[-1]
    assert (first.settings.parallelization_factor, first.settings.batch_size, first.shards) == (1, 10, 2)
    assert (last.settings.parallelization_factor, last.settings.batch_size, last.shards) == (3, 100, 6)
    assert (last.allowed, last.text) == (18, "ParallelizationFactor=3 BatchSize=100 shards=6")


def test_without_a_sweep_the_handler_is_tried_as_it_is() -> None:
    (planned,) = planned_settings(KEYS, 3, read_sweep([]))
    assert (planned.settings, planned.shards, planned.allowed, planned.text) == (KEYS, 3, 3, "")


@pytest.mark.parametrize(
    ("base", "word", "says"),
    [
        (LANES, "ParallelizationFactor=11", "ParallelizationFactor"),
        (LANES, "MaximumBatchingWindowInSeconds=301", "MaximumBatchingWindowInSeconds"),
        (LANES, "concurrency=2", "here it is ParallelizationFactor"),
        (KEYS, "ParallelizationFactor=2", "here it is concurrency"),
        (KEYS, "concurency=2", "did you mean concurrency"),
        (KEYS, "concurrency=0", "concurrency"),
        (KEYS, "batch_size=10001", "batch_size"),
        (SHARD, "concurrency=2", "one batch of a shard is in flight"),
        (KEYS, "shards=0", "shards"),
        (KEYS, "shards=10001", "shards"),
    ],
)
def test_what_a_handler_cannot_be_set_to_is_refused_by_name(
    base: MappingSettings, word: str, says: str
) -> None:
    with pytest.raises(SettingsError, match=says):
        planned_settings(base, 1, read_sweep([word]))


@pytest.mark.parametrize(
    "words",
    [["concurrency"], ["concurrency="], ["concurrency=5..2"], ["concurrency=1..9..0"], ["concurrency=a"],
     ["concurrency=1", "concurrency=2"], ["batch_size=1..1000", "concurrency=1..2"], ["batch_size=1..99999"]],
)  # fmt: skip
def test_what_is_no_sweep_is_refused(words: list[str]) -> None:
    with pytest.raises(SettingsError, match="sweep"):
        read_sweep(words)


def test_a_sweep_has_a_bound() -> None:
    assert len(read_sweep([f"batch_size=1..{MOST_SETTINGS}"])["batch_size"]) == MOST_SETTINGS
    with pytest.raises(SettingsError, match=r"201 combinations.*at most 200"):
        read_sweep([f"batch_size=1..{MOST_SETTINGS + 1}"])
