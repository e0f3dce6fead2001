"""Planted bugs that only a second mapping on the same shards brings to light, and the
checker that notices each.

Rules of this file: as in test_canaries.py, the production code is patched; a run with one mapping
is as it was.
"""

from typing import Any

import pytest

from tailrace.rows import kinds
from tailrace.rows.kinds import RowKind
from tailrace.runtime.evacuation import Evacuator
from tailrace.testing.simulation_drawing import plan
from tailrace.testing.simulation_plan import MAPPING
from tests.simulation.campaign import run_seed
from tests.simulation.seeds import seeds_for
from tests.simulation.test_canaries import SEEDS, Plant


def rows_of_whoever(kind: RowKind, patch: pytest.MonkeyPatch) -> None:
    """Rows of a kind have one key whichever mapping they belong to."""
    right_key, right_prefix = RowKind.key, RowKind.prefix

    def for_all(words: tuple[str, ...]) -> tuple[str, ...]:
        return (*words[:1], *(MAPPING for _ in words[1:2]), *words[2:])

    def key(self: RowKind, *words: str) -> str:
        return right_key(self, *(for_all(words) if self is kind else words))

    def prefix(self: RowKind, *words: str) -> str:
        return right_prefix(self, *(for_all(words) if self is kind else words))

    patch.setattr(RowKind, "key", key)
    patch.setattr(RowKind, "prefix", prefix)


def a_parked_key_of_one_mapping_blocks_the_other(patch: pytest.MonkeyPatch) -> None:
    rows_of_whoever(kinds.HEAD, patch)


def one_mapping_goes_on_where_the_other_was(patch: pytest.MonkeyPatch) -> None:
    rows_of_whoever(kinds.CHECKPOINT, patch)


def a_discarded_change_is_one_whoever_discarded_it(patch: pytest.MonkeyPatch) -> None:
    rows_of_whoever(kinds.DEADLETTER, patch)


def what_is_saved_of_one_mapping_is_taken_for_the_others(patch: pytest.MonkeyPatch) -> None:
    right = Evacuator.of

    def wrong(self: Evacuator, _mapping_id: str, *rest: str) -> Any:
        return right(self, MAPPING, *rest)

    patch.setattr(Evacuator, "of", wrong)


CANARIES: dict[Plant, str] = {
    a_parked_key_of_one_mapping_blocks_the_other: "a parked key waits for the redriver",
    one_mapping_goes_on_where_the_other_was: "nothing is lost",
    a_discarded_change_is_one_whoever_discarded_it: "the ledger balances",
    what_is_saved_of_one_mapping_is_taken_for_the_others: "a gap only where nobody could save",
}


@pytest.mark.parametrize("plant", CANARIES, ids=[plant.__name__ for plant in CANARIES])
def test_the_planted_bug_of_two_mappings_is_noticed(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with_two = [seed for seed in seeds_for(plant, SEEDS) if len(plan(seed).mappings) == 2]
    assert any(CANARIES[plant] in (name for name, _ in run_seed(seed)[1]) for seed in with_two)


@pytest.mark.parametrize("plant", CANARIES, ids=[plant.__name__ for plant in CANARIES])
def test_one_mapping_alone_does_not_notice_it(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    alone = [seed for seed in range(60) if len(plan(seed).mappings) == 1]
    assert [violation for seed in alone for violation in run_seed(seed)[1]] == []
