"""The breaker counts distinct keys and opens for outages only."""

from tailrace.mapping.breaker import Breaker
from tailrace.mapping.outcomes import Failure, FailureKind
from tailrace.mapping.settings import Backoff, BreakerSettings
from tests.unit.mapping.records import now, records

SETTINGS = BreakerSettings(window=4, minimum=3, ratio=0.5, probe=Backoff(100, 2.0, 1_000))
OUT = Failure(FailureKind.UNAVAILABLE)


def failing(breaker: Breaker, *keys: str) -> Breaker:
    for key in keys:
        breaker.failed(key.encode(), Failure(), now(), is_probe=False)
    return breaker


def test_one_key_failing_often_is_no_outage() -> None:
    assert not failing(Breaker(SETTINGS), *"aaaaaaaa").is_open


def test_most_of_the_last_distinct_keys_failing_is_an_outage() -> None:
    assert not failing(Breaker(SETTINGS), "a", "b").is_open
    assert failing(Breaker(SETTINGS), "a", "b", "c").is_open


def test_keys_that_succeed_meanwhile_count() -> None:
    breaker = Breaker(SETTINGS)
    failing(breaker, "a")
    breaker.succeeded(records(1, 2, 3), is_probe=False)
    assert not failing(breaker, "b").is_open


def test_a_quiet_stretch_counts_when_failures_begin() -> None:
    breaker = Breaker(SETTINGS)
    breaker.succeeded(records(1, 2, 3, 4, 5), is_probe=False)
    assert not failing(breaker, "a").is_open
    assert failing(breaker, "b").is_open  # two of the last four


def test_a_key_that_recovers_no_longer_counts_as_failing() -> None:
    breaker = failing(Breaker(SETTINGS), "1", "2")
    breaker.succeeded(records(1, 2), is_probe=False)
    assert not failing(breaker, "3").is_open


def test_one_unavailable_answer_opens_it_and_a_probe_closes_it() -> None:
    breaker = Breaker(SETTINGS)
    assert breaker.allows(now()) == "all"
    breaker.failed(None, OUT, now(), is_probe=False)
    assert (breaker.allows(now(99)), breaker.allows(now(100))) == ("nothing", "probe")
    breaker.probing = True
    assert breaker.allows(now(100)) == "nothing"  # one probe at a time
    breaker.succeeded(records(1), is_probe=True)
    assert (breaker.is_open, breaker.allows(now(100))) == (False, "all")


def test_each_failed_probe_waits_longer_and_the_sinks_wish_is_respected() -> None:
    breaker = Breaker(SETTINGS)
    breaker.failed(None, OUT, now(), is_probe=False)
    breaker.failed(None, OUT, now(100), is_probe=True)
    assert breaker.ready_ms == 300
    breaker.failed(b"a", Failure(FailureKind.THROTTLED, retry_after_ms=9_000), now(300), is_probe=True)
    assert breaker.ready_ms == 9_300


def test_a_probe_that_fails_for_its_record_ends_an_outage_and_counts() -> None:
    breaker = Breaker(SETTINGS)
    breaker.failed(None, OUT, now(), is_probe=False)
    breaker.probing = True
    breaker.failed(b"a", Failure(), now(100), is_probe=True)
    assert (breaker.is_open, breaker.allows(now(100))) == (False, "all")
    assert failing(breaker, "b", "c").is_open, "the probe's key is one of the three that failed"


def test_where_most_keys_failed_a_failing_probe_keeps_it_open() -> None:
    breaker = failing(Breaker(SETTINGS), "a", "b", "c")
    breaker.probing = True
    breaker.failed(b"a", Failure(), now(100), is_probe=True)
    assert breaker.is_open


def test_a_success_that_began_before_the_outage_does_not_close_it() -> None:
    breaker = Breaker(SETTINGS)
    breaker.failed(None, OUT, now(), is_probe=False)
    breaker.succeeded(records(1), is_probe=False)
    assert breaker.is_open


def test_without_settings_it_never_opens() -> None:
    breaker = failing(Breaker(None), *"abcdefghijklmnop")
    breaker.failed(None, OUT, now(), is_probe=False)
    assert breaker.allows(now()) == "all"
