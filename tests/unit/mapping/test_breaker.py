"""The breaker opens for outages only: for what the sink or a typed error says, and for no
code error, however many.
"""

from tailrace.mapping.outcomes import Failure, FailureKind
from tailrace.mapping.pace import Breaker
from tailrace.mapping.settings import Backoff, BreakerSettings
from tests.unit.mapping.records import now

SETTINGS = BreakerSettings(Backoff(100, 2.0, 1_000))
OUT = Failure(FailureKind.UNAVAILABLE, "nobody answers")


def test_code_errors_are_no_outage_however_many() -> None:
    breaker = Breaker(SETTINGS)
    for _ in range(1_000):
        breaker.failed(Failure(), now(), is_probe=False)
        breaker.failed(Failure(FailureKind.TIMEOUT), now(), is_probe=False)
    assert not breaker.is_open


def test_one_unavailable_answer_opens_it_and_a_probe_closes_it() -> None:
    breaker = Breaker(SETTINGS)
    assert breaker.allows(now()) == "all"
    breaker.failed(OUT, now(), is_probe=False)
    assert (breaker.allows(now(99)), breaker.allows(now(100))) == ("nothing", "probe")
    breaker.probing = True
    assert breaker.allows(now(100)) == "nothing"  # one probe at a time
    breaker.succeeded(is_probe=True)
    assert (breaker.is_open, breaker.allows(now(100))) == (False, "all")


def test_a_failed_probe_waits_longer_and_the_sinks_wish_is_respected() -> None:
    breaker = Breaker(SETTINGS)
    breaker.failed(OUT, now(), is_probe=False)
    breaker.failed(OUT, now(100), is_probe=True)
    assert breaker.ready_ms == 300
    breaker.failed(Failure(FailureKind.THROTTLED, retry_after_ms=9_000), now(300), is_probe=True)
    assert breaker.ready_ms == 9_300


def test_it_says_what_the_last_outage_said() -> None:
    breaker = Breaker(SETTINGS)
    breaker.failed(OUT, now(), is_probe=False)
    assert breaker.error == "nobody answers"


def test_a_probe_that_fails_for_its_record_ends_an_outage() -> None:
    breaker = Breaker(SETTINGS)
    breaker.failed(OUT, now(), is_probe=False)
    breaker.probing = True
    breaker.failed(Failure(), now(100), is_probe=True)
    assert (breaker.is_open, breaker.allows(now(100))) == (False, "all")


def test_a_success_that_began_before_the_outage_does_not_close_it() -> None:
    breaker = Breaker(SETTINGS)
    breaker.failed(OUT, now(), is_probe=False)
    breaker.succeeded(is_probe=False)
    assert breaker.is_open


def test_without_settings_it_never_opens() -> None:
    breaker = Breaker(None)
    breaker.failed(OUT, now(), is_probe=False)
    assert breaker.allows(now()) == "all"
