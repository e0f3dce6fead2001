"""A planted bug for every kind of fault: one that only this fault brings to light, and the
checker that notices it.

Rules of this file: as in test_canaries.py, the production code is patched. That each fault occurs is the
report's matter (campaign.EXPECTED).
"""

from typing import Any

import pytest
from msgspec.structs import replace

from tailrace.mapping import batch, keys, lane
from tailrace.mapping.commands import Command, Completion, ReadFailed
from tailrace.mapping.outcomes import Failed, Failure, FailureKind, Outcome
from tailrace.mapping.retry import Decision, after_failure
from tailrace.mapping.settings import INFINITE, MappingSettings
from tailrace.mapping.shard import ShardMachine
from tailrace.mapping.suspension import Suspension
from tailrace.runtime.kept import SavedChanges
from tailrace.runtime.steps import Steps
from tailrace.streams.moment import Now
from tailrace.streams.record import ReadDone
from tests.simulation.test_canaries import Plant, notices


def a_killed_batch_counts_as_done(patch: pytest.MonkeyPatch) -> None:
    right = batch.well_formed

    def wrong(outcome: Outcome, size: int) -> Any:
        is_killed = isinstance(outcome, Failed) and outcome.whole is not None
        if is_killed and outcome.whole.kind is FailureKind.TIMEOUT:  # type: ignore[union-attr]
            return None
        return right(outcome, size)

    patch.setattr(lane, "well_formed", wrong)
    patch.setattr(keys, "well_formed", wrong)


def an_outage_uses_attempts_up(patch: pytest.MonkeyPatch) -> None:
    def wrong(settings: MappingSettings, failure: Failure, **named: Any) -> Decision:
        if failure.kind in (FailureKind.UNAVAILABLE, FailureKind.THROTTLED):
            failure = replace(failure, kind=FailureKind.RECORD)
        return after_failure(settings, failure, **named)

    patch.setattr(batch, "after_failure", wrong)
    patch.setattr(keys, "after_failure", wrong)


def an_iterator_that_expired_is_the_end(patch: pytest.MonkeyPatch) -> None:
    right = ShardMachine.step

    def wrong(self: ShardMachine, completion: Completion, now: Now) -> list[Command]:
        return [] if isinstance(completion, ReadFailed) else right(self, completion, now)

    patch.setattr(ShardMachine, "step", wrong)


def a_page_that_begins_with_known_records_is_known(patch: pytest.MonkeyPatch) -> None:
    right = ShardMachine._read_done

    def wrong(self: ShardMachine, done: ReadDone, now: Now) -> None:
        is_known = done.records and done.records[0].sequence <= self._settlement.watermark.position
        right(self, replace(done, records=()) if is_known else done, now)

    patch.setattr(ShardMachine, "_read_done", wrong)


def the_clock_of_the_age_limit_is_ahead(patch: pytest.MonkeyPatch) -> None:
    def wrong(settings: MappingSettings, now: Now) -> int | None:
        age = settings.maximum_record_age_ms
        return None if age == INFINITE else now.wall_ms + 90_000 - age

    for module in (batch, keys, lane):
        patch.setattr(module, "oldest_allowed_ms", wrong)


def a_closed_shard_is_finished_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ShardMachine, "is_finished", property(lambda self: self._closed))


def a_finished_shard_owes_no_final_invoke(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ShardMachine, "_owes_final", False)


def what_was_saved_is_never_read(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SavedChanges, "has_after", lambda _self, _position: False)


def a_page_of_what_was_saved_ends_too_far(patch: pytest.MonkeyPatch) -> None:
    right = SavedChanges.read

    def wrong(self: SavedChanges, after: int, limit: int) -> Steps[ReadDone]:
        done = yield from right(self, after, limit)
        assert self.evacuation is not None
        return replace(done, next_after=max(done.next_after, self.evacuation.through))

    patch.setattr(SavedChanges, "read", wrong)


def a_mapping_that_paused_stays_so(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Suspension, "lift", lambda _self: None)


CANARIES: dict[str, tuple[Plant, str]] = {
    "hanging": (a_killed_batch_counts_as_done, "a checkpoint covers only what is settled"),
    "outage": (an_outage_uses_attempts_up, "what is given up is a dead letter by the policy"),
    "iterator-expiry": (an_iterator_that_expired_is_the_end, "progress once the faults stop"),
    "repeated-records": (a_page_that_begins_with_known_records_is_known, "nothing is lost"),
    "close-in-flight": (a_closed_shard_is_finished_at_once, "nothing is lost"),
    "rollover": (a_finished_shard_owes_no_final_invoke, "a window has what its checkpoint covers"),
    "retention": (what_was_saved_is_never_read, "nothing is lost"),
    "evacuated-read": (a_page_of_what_was_saved_ends_too_far, "nothing is lost"),
    "broken": (a_mapping_that_paused_stays_so, "progress once the faults stop"),
    "clock-step": (the_clock_of_the_age_limit_is_ahead, "what is given up is a dead letter by the policy"),
}


@pytest.mark.parametrize("fault", CANARIES)
def test_the_planted_bug_of_a_fault_is_noticed(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, checker = CANARIES[fault]
    plant(monkeypatch)
    notices(checker, plant)
