"""Faults of the way into data streams by a seed: how often, how late, and the same again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.compose import EngineOptions, open_engine
from tailrace.engine.destinations.trials import TrialWeather
from tailrace.engine.settings import EngineSettings, KinesisFaults
from tailrace.errors import SettingsError

ASKED = 2_000


def drawn(faults: KinesisFaults, asked: int = ASKED) -> list[int | None]:
    """What the weather says to so many records in turn."""
    weather = TrialWeather(faults)
    return [weather.again_ms() for _ in range(asked)]


def weather_of(settings: EngineSettings) -> object:
    """What lies on the way of an engine with these settings."""
    engine = open_engine(EngineOptions(settings=settings))
    try:
        return engine.destinations.deliveries.replication.weather
    finally:
        engine.close()


def test_an_engine_that_was_not_asked_has_no_faults() -> None:
    assert weather_of(EngineSettings()) is None
    assert isinstance(weather_of(EngineSettings(kinesis_faults=KinesisFaults(0.1))), TrialWeather)


def test_a_seed_does_the_same_again_and_another_one_does_not() -> None:
    assert drawn(KinesisFaults(0.5, seed=1)) == drawn(KinesisFaults(0.5, seed=1))
    assert drawn(KinesisFaults(0.5, seed=1)) != drawn(KinesisFaults(0.5, seed=2))


def test_a_rate_of_nothing_strikes_never_and_of_one_always() -> None:
    assert drawn(KinesisFaults(0)) == [None] * ASKED
    assert None not in drawn(KinesisFaults(1))


def test_a_tenth_is_about_a_tenth() -> None:
    struck = [ms for ms in drawn(KinesisFaults(0.1)) if ms is not None]
    assert ASKED * 0.08 < len(struck) < ASKED * 0.12


@given(late_ms=st.integers(1, 3_600_000), seed=st.integers())
def test_nothing_is_later_than_the_bound_nor_on_time(late_ms: int, seed: int) -> None:
    weather = TrialWeather(KinesisFaults(1, late_ms, seed))
    assert all(1 <= weather.late_ms() <= late_ms for _ in range(20))
    assert TrialWeather(KinesisFaults(0, late_ms, seed)).late_ms() == 0


@pytest.mark.parametrize("rate", [-0.01, 1.01, float("nan")])
def test_a_rate_beyond_its_bounds_is_refused_by_name(rate: float) -> None:
    with pytest.raises(SettingsError, match=r"rate: .* is not allowed; it is 0 to 1"):
        KinesisFaults(rate)


@pytest.mark.parametrize("late_ms", [0, 3_600_001])
def test_a_lateness_beyond_its_bounds_is_refused_by_name(late_ms: int) -> None:
    assert KinesisFaults(1, 3_600_000).late_ms == 3_600_000
    with pytest.raises(SettingsError, match="late_ms"):
        KinesisFaults(1, late_ms)
