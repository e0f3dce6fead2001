"""The transfers of the example under kills at every point, and the checker with a planted fault."""

import random
from collections import Counter
from pathlib import Path

import pytest

from tests.crash import transfers
from tests.crash.progress import Progress, place_of
from tests.crash.transfers import KILLS_A_ROUND, POINTS, Bank, Outcome, differences, run


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


def test_an_interrupted_campaign_goes_on_with_the_round_that_was_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(Exception):
        pass

    rounds: list[str] = []

    def play(directory: Path, kills: int, chance: random.Random, outcome: Outcome, tell: object) -> None:
        if len(rounds) == 2:
            rounds.append("interrupted")
            raise Interrupted
        rounds.append(str(chance.random()))
        outcome.kills.update({"commit.done": kills})
        outcome.transfers += 5

    monkeypatch.setattr(transfers, "_round", play)
    kept = tmp_path / "progress.json"
    with pytest.raises(Interrupted):
        run(1, 3 * KILLS_A_ROUND, print, kept)
    outcome = run(1, 3 * KILLS_A_ROUND, print, kept)
    assert (outcome.kills, outcome.transfers) == (Counter({"commit.done": 3 * KILLS_A_ROUND}), 15)
    assert len(rounds) == 4  # three of them, and the one that was broken off
    assert not kept.exists()


def test_progress_is_of_one_code_seed_and_length(tmp_path: Path) -> None:
    assert len({place_of("transfers", seed, kills) for seed in (1, 2) for kills in (10, 20)}) == 4
    fresh = Outcome()
    Progress(tmp_path / "none.json").into(fresh)
    assert fresh == Outcome()
