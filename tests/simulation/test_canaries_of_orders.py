"""Planted bugs in the order of the whole shard, and the checker that notices each.

Rules of this file: as in test_canaries.py, the production code is patched, and only seeds of this
order could show it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from tailrace.mapping import batch
from tailrace.mapping.commands import Checkpoint, Command, GivenUp, Invoke, Stopped
from tailrace.mapping.contiguous import ContiguousFlow
from tailrace.mapping.outcomes import Outcome
from tailrace.mapping.retry import Decision, GiveUp, after_failure
from tailrace.mapping.settlement import Settlement
from tailrace.mapping.shard import ShardMachine
from tailrace.streams.moment import Now
from tailrace.streams.record import ChangeRecord
from tests.simulation.test_canaries import Plant, notices


def what_is_filtered_is_settled_when_it_is_read(patch: pytest.MonkeyPatch) -> None:
    """A hole below which nothing is settled: a range."""

    def wrong(self: ContiguousFlow, records: Sequence[ChangeRecord]) -> None:
        accepts = self._settings.accepts or (lambda _: True)
        self._pending.extend([record for record in records if accepts(record)])
        self._settlement.settle([record for record in records if not accepts(record)], "filtered")

    patch.setattr(ContiguousFlow, "add", wrong)


def a_second_batch_goes_beside_the_first(patch: pytest.MonkeyPatch) -> None:
    right_start, right_finish = ContiguousFlow.start, ContiguousFlow.finish

    def start(self: Any, now: Now, allowance: Any, *, is_last: bool) -> list[Invoke]:
        flights = self.__dict__.setdefault("flights", {})
        started: list[Invoke] = []
        while len(flights) < 2 and (more := right_start(self, now, allowance, is_last=is_last)):
            flights[more[0].id], self._at_sink = self._at_sink, None
            started += more
        return started

    def finish(self: Any, id: int, outcome: Outcome, now: Now) -> None:
        self._at_sink = self.flights.pop(id)
        right_finish(self, id, outcome, now)

    patch.setattr(ContiguousFlow, "start", start)
    patch.setattr(ContiguousFlow, "finish", finish)
    patch.setattr(ContiguousFlow, "in_flight", property(lambda self: len(self.__dict__.get("flights", ()))))


def what_failed_is_sent_after_what_follows(patch: pytest.MonkeyPatch) -> None:
    right = ContiguousFlow._next_again

    def wrong(self: ContiguousFlow, now: Now) -> Any:
        self._again.reverse()
        return right(self, now)

    patch.setattr(ContiguousFlow, "_next_again", wrong)


def a_shard_is_finished_before_its_last_batch(patch: pytest.MonkeyPatch) -> None:
    """Its machine says so as soon as the shard is closed: its children begin."""
    right = ShardMachine._ask_for_end

    def wrong(self: ShardMachine, commands: list[Command], *, finished: bool, has_news: bool) -> None:
        if self._settings.order == "shard" and self._closed and self._phase == "running":
            commands.append(Stopped(finished=True))
            self._phase = "stopped"
        else:
            right(self, commands, finished=finished, has_news=has_news)

    patch.setattr(ShardMachine, "_ask_for_end", wrong)


def a_refused_record_is_passed_without_its_letter(patch: pytest.MonkeyPatch) -> None:
    right = ContiguousFlow._refuse

    def wrong(self: ContiguousFlow, work: Any, *rest: Any) -> None:
        if self._settings.on_failure == "discard":
            self._settlement.settle(work.records, "handled")
        else:
            right(self, work, *rest)

    patch.setattr(ContiguousFlow, "_refuse", wrong)


def the_letter_of_a_refused_record_comes_a_commit_later(patch: pytest.MonkeyPatch) -> None:
    late: dict[int, list[GivenUp]] = {}
    right = Settlement.save

    def wrong(self: Settlement, *, finished: bool) -> Any:
        save = right(self, finished=finished)
        before, late[id(self)] = late.get(id(self), []), list(save.given_up)
        return structs.replace(save, given_up=tuple(before))

    patch.setattr(Settlement, "save", wrong)


def an_archive_gives_up(patch: pytest.MonkeyPatch) -> None:
    right = ContiguousFlow._refuse

    def wrong(self: ContiguousFlow, work: Any, *rest: Any) -> None:
        if self._settings.on_failure == "block":
            self._settlement.give_up(work.exhausted())
        else:
            right(self, work, *rest)

    patch.setattr(ContiguousFlow, "_refuse", wrong)


def a_time_out_is_a_refusal(patch: pytest.MonkeyPatch) -> None:
    def wrong(settings: Any, failure: Any, **named: Any) -> Decision:
        decision = after_failure(settings, failure, **named)
        is_alone = named["size"] == 1 and failure.kind.value == "TIMEOUT"
        return GiveUp() if is_alone and settings.on_failure == "discard" else decision

    patch.setattr(batch, "after_failure", wrong)


def a_restart_begins_behind_its_checkpoint(patch: pytest.MonkeyPatch) -> None:
    def wrong(self: ShardMachine, checkpoint: Checkpoint) -> Checkpoint:
        behind = self._settings.order == "shard" and checkpoint.watermark and not checkpoint.finished
        return replace(checkpoint, watermark=checkpoint.watermark + 7) if behind else checkpoint

    patch.setattr(ShardMachine, "_begins_at", wrong)


CANARIES: dict[Plant, str] = {
    what_is_filtered_is_settled_when_it_is_read: "a whole shard's checkpoint has no ranges",
    a_second_batch_goes_beside_the_first: "one batch at a time for a lane or key",
    what_failed_is_sent_after_what_follows: "a whole shard is delivered in sequence",
    a_shard_is_finished_before_its_last_batch: "a child begins after its parents",
    a_refused_record_is_passed_without_its_letter: "a checkpoint covers only what is settled",
    the_letter_of_a_refused_record_comes_a_commit_later: "what is given up is a dead letter by the policy",
    an_archive_gives_up: "what is given up is a dead letter by the policy",
    a_time_out_is_a_refusal: "what is given up is a dead letter by the policy",
    a_restart_begins_behind_its_checkpoint: "a whole shard is delivered in sequence",
}


@pytest.mark.parametrize("plant", CANARIES, ids=[plant.__name__ for plant in CANARIES])
def test_the_planted_bug_of_an_order_is_noticed(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    notices(CANARIES[plant], plant, "shard")
