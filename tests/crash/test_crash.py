"""A node that is killed at every named point keeps every promise."""

from tailrace.telemetry import POINTS as NAMED_POINTS
from tests.crash.campaign import POINTS, run


def test_the_campaign_knows_every_named_point():
    assert set(POINTS) == set(NAMED_POINTS)


def test_nothing_acknowledged_is_lost_or_doubled_by_kills_at_every_point(capsys):
    report = run(seed=7, kills=len(POINTS) + 1, tell=lambda text: None)
    assert report.violations == []
    assert report.never_killed_at() == []
    assert report.writes_acknowledged > 100
