"""A checker that nobody has seen fail is no checker: each has a planted bug in one of the files of canaries."""

from tests.simulation import test_canaries, test_canaries_of_orders
from tests.simulation.checkers import CHECKERS


def test_every_checker_has_a_canary() -> None:
    assert set(test_canaries.CANARIES) | set(test_canaries_of_orders.CANARIES.values()) == set(CHECKERS)
