"""The quick part of the simulation: enough seeds for every fault to occur. `make simulate` runs the many."""

from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.__main__ import ENOUGH
from tests.simulation.campaign import EXPECTED, Report, campaign, run_seed


def test_six_hundred_seeds_hold_and_try_everything() -> None:
    report = campaign(0, ENOUGH)
    assert report.violations == []
    assert report.zeros == []


def test_a_seed_gives_the_same_run_every_time() -> None:
    first, second = run_seed(11)[0], run_seed(11)[0]
    assert (first.steps, first.time_ms, first.counts, first.rows) == (
        second.steps, second.time_ms, second.counts, second.rows,
    )  # fmt: skip


def test_a_report_with_a_zero_does_not_hold() -> None:
    counts = Counter(dict.fromkeys(EXPECTED, 1))
    assert Report(0, counts=counts).holds
    del counts["fault crash"]
    assert Report(0, counts=counts).zeros == ["fault crash"]
    assert not Report(0, counts=counts).holds


def test_a_report_with_a_violation_does_not_hold() -> None:
    counts = Counter(dict.fromkeys(EXPECTED, 1))
    assert not Report(0, counts=counts, violations=[(7, "nothing is lost", "record 3")]).holds


def test_an_interrupted_campaign_is_resumed(tmp_path: Path) -> None:
    class Interrupted(Exception):
        pass

    def interrupt(report: Report) -> None:
        if report.done == 200:
            raise Interrupted

    kept, started = tmp_path / "progress.json", []
    with pytest.raises(Interrupted):
        campaign(0, 220, interrupt, kept)
    resumed = campaign(0, 220, lambda report: started.append(report.done), kept)
    assert started == [200, 220]  # the hundred seeds whose progress was kept are not run again
    assert resumed.done == 220
    assert not kept.exists()
