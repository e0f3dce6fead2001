"""Simulated fleets hold, and each rule of their leases, taken out, makes the judge complain.

Rules of this file: as in test_canaries.py, the production code is patched.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

import pytest
from msgspec import structs

from tailrace.leases.adopting import Adoptions
from tailrace.leases.fleet import Fleet
from tailrace.leases.hand_over import HandOver
from tailrace.leases.lease import LEASE_DURATION_MS, Lease, Sighting
from tailrace.leases.lease import finish as finished
from tailrace.leases.lease import release as released
from tailrace.leases.member import Heartbeat
from tailrace.mapping.commands import Completion, LeaseTaken, Stop
from tailrace.mapping.shard import ShardMachine
from tailrace.rows.writes import Equals, Write
from tailrace.runtime import fleet as runtime_fleet
from tests.simulation.fleets import FLEET_CHECKERS, run_fleet
from tests.simulation.lease_rows import NO_LEASE_GOES_BACK
from tests.simulation.seeds import seeds_for
from tests.simulation.test_canaries import Plant

SEEDS = range(8)
MORE = range(150)
"""Some bugs show in one fleet of fifty; the search ends with the first."""


def test_fleets_hold_whatever_befalls_their_members() -> None:
    violations = [(seed, *violation) for seed in SEEDS for violation in run_fleet(seed)[1]]
    assert violations == []


def test_fleets_hand_over_and_take_over() -> None:
    """What the judge judges does happen."""
    runs = [run_fleet(seed)[0] for seed in range(5)]
    for name in ("handed-over", "expired", "finished-elsewhere", "heart-failed"):
        assert sum(run.counts[f"fault {name}"] for run in runs), name


def a_shard_is_left_before_it_is_drained(patch: pytest.MonkeyPatch) -> None:
    """What was handled and is not saved is handled again."""
    right = ShardMachine.step

    def wrong(self: ShardMachine, completion: Completion, now: Any) -> Any:
        return right(self, LeaseTaken() if isinstance(completion, Stop) else completion, now)

    patch.setattr(ShardMachine, "step", wrong)


def every_worker_takes_all_that_it_can(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Fleet, "wants", lambda *_: True)
    patch.setattr(Fleet, "successor", lambda *_: "")


def nothing_is_handed_over(patch: pytest.MonkeyPatch) -> None:
    """Who comes second has what is free, and nothing else."""
    patch.setattr(Fleet, "successor", lambda *_: "")


def what_names_a_worker_that_does_not_know_it_stays_so(patch: pytest.MonkeyPatch) -> None:
    """It is read again when nothing else tells of it, and released."""
    patch.setattr(Fleet, "strays", lambda *_: [])


def a_heartbeat_that_is_a_little_late_is_dead(patch: pytest.MonkeyPatch) -> None:
    right = Sighting.has_expired
    patch.setattr(Sighting, "has_expired", lambda self, now_ms, after_ms: right(self, now_ms, after_ms // 3))


def a_worker_that_is_back_is_dead_until_it_is_looked_at_again(patch: pytest.MonkeyPatch) -> None:
    """It has taken its leases anew a moment ago, and another takes them from it."""
    patch.setattr(Fleet, "has_moved", lambda *_: False)


def a_second_worker_of_a_name_is_not_noticed(patch: pytest.MonkeyPatch) -> None:
    right = Heartbeat.differs

    def wrong(self: Heartbeat, fields: Any) -> None:
        self.has_begun = False
        right(self, fields)

    patch.setattr(Heartbeat, "differs", wrong)


def nobody_reads_leases_again(patch: pytest.MonkeyPatch) -> None:
    """What others have left and finished is not heard of."""
    patch.setattr(Fleet, "must_read", lambda self, *_: self._read_ms is None)


def a_worker_takes_itself_for_dead_between_two_rounds(patch: pytest.MonkeyPatch) -> None:
    """It takes its own leases again and again."""
    patch.setattr(
        Heartbeat, "has_failed", lambda self, now_ms: now_ms - self.beat_ms >= LEASE_DURATION_MS // 4
    )


def any_worker_takes_what_was_handed_to_another(patch: pytest.MonkeyPatch) -> None:
    """It believes in other members meanwhile, and takes for its own what the one before gave away."""
    right = Fleet.may_take

    def wrong(self: Fleet, key: str, fields: Mapping[str, Any], monotonic_ms: int) -> bool:
        return right(self, key, {**fields, "successor": ""}, monotonic_ms)

    patch.setattr(Fleet, "may_take", wrong)


def no_lease_tells_that_its_shard_is_finished(patch: pytest.MonkeyPatch) -> None:
    """What continues it is assigned to a worker that waits for the parents."""
    patch.setattr(runtime_fleet, "finish", lambda lease, _ids: finished(lease, ()))
    patch.setattr(runtime_fleet, "release", lambda lease, successor="", _ids=(): released(lease, successor))
    patch.setattr(Fleet, "note_finished", lambda *_: None)


def a_shard_that_each_takes_for_the_others_is_not_adopted(patch: pytest.MonkeyPatch) -> None:
    """Two versions of an app spread other leases, and some are for each the other's."""
    patch.setattr(Adoptions, "note", lambda *_: None)


def a_change_of_a_lease_requires_its_epoch_alone(patch: pytest.MonkeyPatch) -> None:
    """What its owner has tried to write comes late, and undoes what it wrote since."""
    right = runtime_fleet.release

    def wrong(lease: Lease, *rest: Any) -> Write:
        return structs.replace(right(lease, *rest), condition=Equals("epoch", lease.epoch))

    patch.setattr(runtime_fleet, "release", wrong)


def nobody_hears_what_operators_ask_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Fleet, "note_hand_overs", lambda *_: None)


def what_was_asked_for_is_forgotten_when_it_was_done(patch: pytest.MonkeyPatch) -> None:
    """The assignment gives it back to the worker that it has left."""
    right = Fleet.note_hand_overs

    def wrong(self: Fleet, requests: Iterable[HandOver]) -> None:
        done = {
            key
            for key, lease in self.leases.items()
            for asked in [self._asked.get(key)]
            if asked and lease.owner == asked.to
        }
        right(self, [asked for asked in requests if asked.lease not in done])

    patch.setattr(Fleet, "note_hand_overs", wrong)


CANARIES: dict[Plant, str] = {
    a_change_of_a_lease_requires_its_epoch_alone: NO_LEASE_GOES_BACK,
    no_lease_tells_that_its_shard_is_finished: "the load is spread as everyone computes it",
    a_shard_that_each_takes_for_the_others_is_not_adopted: "nothing is stranded for long",
    a_shard_is_left_before_it_is_drained: "a hand-over repeats nothing that was handled",
    nobody_hears_what_operators_ask_for: "what is to be handed over has its new owner",
    what_was_asked_for_is_forgotten_when_it_was_done: "what is to be handed over has its new owner",
    every_worker_takes_all_that_it_can: "the load is spread as everyone computes it",
    nothing_is_handed_over: "the load is spread as everyone computes it",
    what_names_a_worker_that_does_not_know_it_stays_so: "the load is spread as everyone computes it",
    a_heartbeat_that_is_a_little_late_is_dead: "no worker is robbed that lives",
    a_worker_that_is_back_is_dead_until_it_is_looked_at_again: "no worker is robbed that lives",
    a_second_worker_of_a_name_is_not_noticed: "no name is used twice for long",
    nobody_reads_leases_again: "nothing is stranded for long",
    any_worker_takes_what_was_handed_to_another: "what is handed over waits for its successor",
    a_worker_takes_itself_for_dead_between_two_rounds: "a lease moves once when the members change",
}


@pytest.mark.parametrize("plant", CANARIES, ids=[plant.__name__ for plant in CANARIES])
def test_the_planted_bug_of_leases_is_noticed(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    for seed in seeds_for(plant, MORE):
        violations: list[tuple[str, str]] = []
        with suppress(LookupError):
            _, violations = run_fleet(seed)
        if CANARIES[plant] in (name for name, _ in violations):
            return
    pytest.fail(f"{len(MORE)} seeds, and no checker noticed")


def test_every_checker_of_fleets_has_a_canary() -> None:
    assert set(CANARIES.values()) == set(FLEET_CHECKERS)
