"""A checker that was never seen to fail is no checker: each has a planted bug in one of
the files of canaries.
"""

from tests.simulation import (
    test_canaries,
    test_canaries_of_fleets,
    test_canaries_of_orders,
    test_canaries_of_targets,
)
from tests.simulation.checkers import CHECKERS


def test_every_checker_has_a_canary() -> None:
    noticed = {
        *test_canaries.CANARIES,
        *test_canaries_of_orders.CANARIES.values(),
        *test_canaries_of_fleets.CANARIES.values(),
        *test_canaries_of_targets.CANARIES.values(),
    }
    assert noticed == set(CHECKERS)
