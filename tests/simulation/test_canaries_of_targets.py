"""Planted bugs in what a target that owns the checkpoint is told and believed, and the checker that notices
each.

Rules of this file: as in test_canaries.py, the production code is patched, and only seeds with such a target
could show it.
"""

from contextlib import suppress
from typing import Any

import pytest
from msgspec import structs

from tailrace.leases.checkpoint import CheckpointRow
from tailrace.mapping.contiguous import ContiguousFlow
from tailrace.mapping.settlement import Settlement
from tailrace.ports import Outcome, RecordBatch, Shard, TargetPosition, Written
from tailrace.runtime import target_positions
from tailrace.runtime.delivering import Delivery, MappingShard, Settling
from tailrace.runtime.steps import Steps
from tailrace.testing.simulation_drawing import plan
from tailrace.testing.sinks import TransactionalMemory
from tests.simulation.campaign import run_seed
from tests.simulation.seeds import seeds_for
from tests.simulation.test_canaries import SEEDS, Plant


def a_commit_asks_for_no_epoch(patch: pytest.MonkeyPatch) -> None:
    """A paused owner that comes back writes beside the next one."""

    async def wrong(self: TransactionalMemory, batch: RecordBatch, position: TargetPosition) -> Outcome:
        place = (batch.mapping_id, position.stream, position.shard_id)
        there = self.target.positions.get(place)
        if there is not None and position.epoch == there.epoch and position.watermark <= there.watermark:
            return Written()
        outcome = await self.write(batch)
        if isinstance(outcome, Written):
            self.target.positions[place] = position
        return outcome

    patch.setattr(TransactionalMemory, "commit", wrong)


def a_mapping_begins_where_the_state_says(patch: pytest.MonkeyPatch) -> None:
    def wrong(place: MappingShard, begun: CheckpointRow, there: TargetPosition) -> Steps[int]:
        yield from ()
        return begun.watermark

    patch.setattr(target_positions, "_truth", wrong)


def letters_and_gaps_come_with_the_row(patch: pytest.MonkeyPatch) -> None:
    """After the commit that passes them, as without such a target."""
    right = Settling._parted

    def wrong(self: Settling, command: Any) -> Any:
        early, beside = right(self, command)
        return [], [*early, *beside]

    patch.setattr(Settling, "_parted", wrong)


def the_next_batch_does_not_wait_for_a_letter(patch: pytest.MonkeyPatch) -> None:
    right = Settlement.__init__

    def wrong(self: Settlement, *arguments: Any, is_strict: bool = False) -> None:
        right(self, *arguments, is_strict=False)

    patch.setattr(Settlement, "__init__", wrong)


def the_position_comes_before_the_rows(patch: pytest.MonkeyPatch) -> None:
    right = Delivery._invoke

    def wrong(self: Delivery, command: Any) -> Any:
        position = self.settling.position_at(command.through)
        if position is not None:
            with suppress(Exception):
                yield from self._move(position)
        return (yield from right(self, command))

    patch.setattr(Delivery, "_invoke", wrong)


def a_named_record_settles_those_before_it(patch: pytest.MonkeyPatch) -> None:
    """As for a sink that accepts a batch in part."""

    def wrong(self: ContiguousFlow, work: Any, index: int, failure: Any, now: Any) -> None:
        self._handled(work.records[:index])
        self._failed(self._part(work, index, len(work.records)), failure, now)

    patch.setattr(ContiguousFlow, "_again_in_parts", wrong)


def an_emptied_target_is_told_of_no_gap(patch: pytest.MonkeyPatch) -> None:
    right = target_positions._lost

    def wrong(place: MappingShard, shard: Shard, *rest: Any) -> Any:
        begins, lost, _ = yield from right(place, shard, *rest)
        return begins, lost, []

    patch.setattr(target_positions, "_lost", wrong)


def a_shard_is_finished_without_a_look_at_its_target(patch: pytest.MonkeyPatch) -> None:
    right = Settling.save

    def wrong(self: Settling, command: Any, move: Any) -> Any:
        def moved(position: TargetPosition) -> Steps[None]:
            if self._position is not None and position.watermark > self._position.watermark:
                yield from move(position)

        return (yield from right(self, command, moved))

    patch.setattr(Settling, "save", wrong)


def a_renamed_mapping_leaves_its_position(patch: pytest.MonkeyPatch) -> None:
    """It begins at what the target has under its new name: at the beginning."""
    right = target_positions._truth

    def wrong(place: MappingShard, begun: CheckpointRow, there: TargetPosition) -> Any:
        if begun.target:
            begun = structs.replace(begun, target=place.mapping_id)
        return (yield from right(place, begun, there))

    patch.setattr(target_positions, "_truth", wrong)


ONCE, AHEAD = "a target applies a change once", "a position is never ahead of its rows"
CANARIES: dict[Plant, str] = {
    a_commit_asks_for_no_epoch: ONCE,
    a_mapping_begins_where_the_state_says: ONCE,
    letters_and_gaps_come_with_the_row: AHEAD,
    the_next_batch_does_not_wait_for_a_letter: AHEAD,
    the_position_comes_before_the_rows: AHEAD,
    a_named_record_settles_those_before_it: AHEAD,
    an_emptied_target_is_told_of_no_gap: ONCE,
    a_shard_is_finished_without_a_look_at_its_target: ONCE,
    a_renamed_mapping_leaves_its_position: ONCE,
}


@pytest.mark.parametrize("plant", CANARIES, ids=[plant.__name__ for plant in CANARIES])
def test_the_planted_bug_of_a_target_is_noticed(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    for seed in seeds_for(plant, SEEDS):
        if not any(mapping.settings.is_transactional for mapping in plan(seed).mappings):
            continue
        violations: list[tuple[str, str]] = []
        with suppress(LookupError):  # a planted bug may break the machine in another run before
            _, violations = run_seed(seed)
        if CANARIES[plant] in (name for name, _ in violations):
            return
    pytest.fail(f"{len(SEEDS)} seeds, and no checker noticed")
