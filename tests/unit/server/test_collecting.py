"""The collector is put off while large requests are done, and never for long."""

import gc
from collections.abc import Iterator

import pytest

from tailrace.server.collecting import MOST_S, Collecting


@pytest.fixture(autouse=True)
def _enabled() -> Iterator[None]:
    gc.enable()  # whatever ran before in this process
    yield
    gc.enable()


def test_the_collector_rests_until_nobody_asks_for_it_any_more() -> None:
    collecting = Collecting()
    collecting.put_off(0.0)
    collecting.put_off(1.0)
    assert not gc.isenabled()
    collecting.go_on()
    assert not gc.isenabled()
    collecting.go_on()
    assert gc.isenabled()


def test_requests_one_after_the_other_do_not_put_it_off_for_ever() -> None:
    collecting = Collecting()
    collecting.put_off(0.0)
    collecting.put_off(MOST_S + 0.1)
    assert gc.isenabled()
    collecting.go_on()
    collecting.go_on()
    assert gc.isenabled()


def test_a_process_without_a_collector_stays_so() -> None:
    gc.disable()
    collecting = Collecting()
    collecting.put_off(0.0)
    collecting.go_on()
    assert not gc.isenabled()
