"""Planted bugs that only several workers on one state store bring to light, and the
checker that notices each.

Rules of this file: as in test_canaries.py, the production code is patched.
"""

from typing import Any
from weakref import WeakSet

import pytest
from msgspec import structs

from tailrace.deadletters.core import head
from tailrace.deadletters.core.head import HeadClaims
from tailrace.deadletters.run.putting_back import Holding
from tailrace.leases.lease import Sighting
from tailrace.leases.lease import take as taken
from tailrace.leases.member import Heartbeat
from tailrace.mapping.commands import Completion, LeaseTaken
from tailrace.mapping.shard import ShardMachine
from tailrace.rows.writes import ALWAYS, Check
from tailrace.runtime import delivering, evacuation, starting
from tailrace.runtime.evacuation import Evacuator
from tailrace.runtime.kept import SavedChanges
from tailrace.runtime.steps import Steps
from tailrace.streams.version import NOTHING
from tailrace.testing import simulation_redrive
from tests.simulation.test_canaries import SEEDS, Plant, notices


def nothing_fences_a_save(patch: pytest.MonkeyPatch) -> None:
    """Who has lost the lease goes on saving."""
    patch.setattr(delivering, "Equals", lambda *_: ALWAYS)


def nothing_fences_a_parking(patch: pytest.MonkeyPatch) -> None:
    """Who has lost the lease goes on parking."""
    right = delivering.park

    def wrong(place: Any, fence: Check, *rest: Any) -> Any:
        return right(place, Check(fence.key, ALWAYS), *rest)

    patch.setattr(delivering, "park", wrong)


def two_take_a_lease_at_once(patch: pytest.MonkeyPatch) -> None:
    """No worker looks whether another one was faster: both have the same epoch."""

    def wrong(*arguments: Any) -> Any:
        lease, write = taken(*arguments)
        return lease, structs.replace(write, condition=ALWAYS)

    patch.setattr(starting, "take", wrong)


def two_deliver_under_one_epoch(patch: pytest.MonkeyPatch) -> None:
    two_take_a_lease_at_once(patch)


def no_lease_ever_expires(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Sighting, "has_expired", lambda *_: False)


def a_loser_never_ends(patch: pytest.MonkeyPatch) -> None:
    """A machine that does not hear that its lease is lost stays for ever, and its worker never
    takes the shard again.
    """
    right = ShardMachine.step

    def wrong(self: ShardMachine, completion: Completion, now: Any) -> Any:
        return [] if isinstance(completion, LeaseTaken) else right(self, completion, now)

    patch.setattr(ShardMachine, "step", wrong)


def nobody_learns_what_others_have_saved(patch: pytest.MonkeyPatch) -> None:
    """Neither before it tells a gap nor at a round: what another worker has saved is told to be lost."""
    right, has_loaded = Evacuator.load, WeakSet[Evacuator]()

    def looks_away(_self: SavedChanges, _place: Any) -> Steps[None]:
        yield from ()

    def loads_once(self: Evacuator) -> Steps[None]:
        if self not in has_loaded:
            has_loaded.add(self)
            yield from right(self)

    patch.setattr(SavedChanges, "look", looks_away)
    patch.setattr(Evacuator, "load", loads_once)


def a_mapping_begins_behind_what_was_saved(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(starting, "horizon", lambda gone, _saved: gone)


def nothing_fences_what_is_saved_from_the_trim(patch: pytest.MonkeyPatch) -> None:
    """Of two workers that save at once, the one that knows less has the last word."""
    right = evacuation.copied

    def wrong(*arguments: Any, **named: Any) -> Any:
        saved, (row, *copies) = right(*arguments, **named)
        return saved, [structs.replace(row, condition=ALWAYS), *copies]

    patch.setattr(evacuation, "copied", wrong)


def two_workers_put_one_key_back_at_once(patch: pytest.MonkeyPatch) -> None:
    """No worker looks whether another one has a key, or notices that it was overtaken."""
    patch.setattr(HeadClaims, "is_taken", lambda *_: False)
    patch.setattr(head, "_unchanged", lambda _head: ALWAYS)


def a_claim_is_never_taken_over(patch: pytest.MonkeyPatch) -> None:
    """What a worker has claimed that died waits for ever."""
    patch.setattr(HeadClaims, "is_taken", lambda _self, head, by, _now: head.claimed_by not in ("", by))


def a_discarded_change_goes_beside_its_item(patch: pytest.MonkeyPatch) -> None:
    """No worker keeps the item from its handler, and the one that has lost its shard puts the
    change back as well.
    """
    patch.setattr(simulation_redrive, "keep", lambda _key, _here: Holding(NOTHING))


def a_worker_goes_on_while_its_heartbeat_fails(patch: pytest.MonkeyPatch) -> None:
    """It finds out when it saves, and has delivered meanwhile what the next owner delivers as well."""
    patch.setattr(Heartbeat, "has_failed", lambda *_: False)


CANARIES_OF_REDRIVES: dict[Plant, str] = {
    two_workers_put_one_key_back_at_once: "what is put back comes in its order",
    a_claim_is_never_taken_over: "progress once the faults stop",
    a_discarded_change_goes_beside_its_item: "one batch at a time for a lane or key",
}


RARELY_MET = {a_discarded_change_goes_beside_its_item}
"""Of a thousand seeds one or two have a batch of an item at the sink when a discarded change of it comes."""
RARE = range(2_600, 2_800)
"""Where there are some."""


CANARIES: dict[Plant, str] = {
    nothing_fences_a_save: "who has lost a shard saves nothing",
    nothing_fences_a_parking: "who has lost a shard saves nothing",
    two_take_a_lease_at_once: "one worker saves under one epoch",
    no_lease_ever_expires: "nothing is stranded once the faults stop",
    a_loser_never_ends: "progress once the faults stop",
    two_deliver_under_one_epoch: "one worker delivers under one epoch",
    a_worker_goes_on_while_its_heartbeat_fails: "no batch begins when the heartbeat has failed",
}


CANARIES_OF_SAVING: dict[Plant, str] = {
    nobody_learns_what_others_have_saved: "nothing is lost",
    a_mapping_begins_behind_what_was_saved: "nothing is lost",
    nothing_fences_what_is_saved_from_the_trim: "nothing is lost",
}


@pytest.mark.parametrize("plant", CANARIES_OF_SAVING, ids=[plant.__name__ for plant in CANARIES_OF_SAVING])
def test_the_planted_bug_of_workers_that_save_is_noticed(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    notices(CANARIES_OF_SAVING[plant], plant)


@pytest.mark.parametrize(
    "plant", CANARIES_OF_REDRIVES, ids=[plant.__name__ for plant in CANARIES_OF_REDRIVES]
)
def test_the_planted_bug_of_workers_that_redrive_is_noticed(
    plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    notices(CANARIES_OF_REDRIVES[plant], plant, seeds=RARE if plant in RARELY_MET else SEEDS)


@pytest.mark.parametrize("plant", CANARIES, ids=[plant.__name__ for plant in CANARIES])
def test_the_planted_bug_of_a_fleet_is_noticed(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    notices(CANARIES[plant], plant)
