"""The transfers of the example under kills at every point, and the checker with a planted fault."""

import random

import pytest

from tests.crash.transfers import POINTS, Bank, differences, run


def sound() -> tuple[Bank, list[dict[str, dict[str, str]]]]:
    bank = Bank(random.Random(1))
    bank.next()
    bank.acknowledged()
    items = [
        {"id": {"S": account}, "balance": {"N": str(bank.balances[account])}, "applied": {"N": "1"}}
        for account in bank.applied
    ]
    return bank, items


def test_sound_accounts_have_no_difference() -> None:
    assert differences(*sound()) == []


@pytest.mark.parametrize("fault", [{"balance": {"N": "1000"}}, {"applied": {"N": "2"}}])
def test_a_planted_difference_is_found(fault: dict[str, dict[str, str]]) -> None:
    bank, items = sound()
    items[0].update(fault)
    assert differences(bank, items)
    assert differences(bank, items[1:])


def test_balances_agree_to_the_cent_after_kills_at_every_point() -> None:
    outcome = run(seed=11, kills=len(POINTS), tell=lambda text: None)
    assert outcome.violations == []
    assert set(outcome.kills) == set(POINTS)
    assert outcome.transfers > 50
