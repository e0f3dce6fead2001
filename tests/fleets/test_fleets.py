"""A fleet that is killed, stopped, cut off, made larger and smaller keeps every promise; `make fleet` has a
thousand faults.
"""

from tests.fleets.campaign import run
from tests.fleets.plan import KINDS


def test_a_fleet_under_every_kind_of_fault_keeps_every_promise():
    report = run(seed=7, faults=2 * len(KINDS), kind="dynamodb", tell=lambda text: None, shards=4)
    assert report.violations == []
    assert dict(report.faults) == dict.fromkeys(KINDS, 2)
    assert report.splits > 0
    assert report.acknowledged_writes > 100
    assert report.deliveries >= report.acknowledged_writes
