"""The checkers of a fleet under faults can fail: a planted violation for each."""

from dataclasses import replace

import pytest

from tests.fleets.checks import (
    BATCH,
    CHECKS,
    MAPPINGS,
    FleetSeen,
    Repeats,
    a_hand_over_repeats_what_was_in_flight,
    acknowledged_writes_are_there,
    every_write_has_one_effect,
    every_write_is_delivered_in_order,
    no_epoch_has_two_owners,
    no_row_goes_back,
    nothing_is_given_up,
    nothing_is_stranded,
    projections_equal_a_recount,
    tallies_equal_a_recount,
    violations,
    workers_end_when_they_are_asked,
)
from tests.fleets.observed import (
    CheckpointVersion,
    Delivery,
    LeaseVersion,
    checkpoints_of,
    handled_of,
    leases_of,
    read_ledger,
)
from tests.fleets.places import RowVersion
from tests.fleets.plan import FIRST, KINDS, LEASE_S, LEAST, MOST, plan

COUNTER = "counter-001"
OLD, YOUNG = 101, 102
"""Processes: of the first owner, and of the next one."""


def delivery(value: int, epoch: int, process: int = OLD, counter: str = COUNTER) -> Delivery:
    """A change given to the ledger, as its line says."""
    return Delivery(epoch, 0.0, process, "a", epoch, counter, value, 10 * value)


def checkpoint(mapping: str, epoch: int, watermark: int, *ranges: tuple[int, int], finished: bool = False):
    """A version of the checkpoint of a mapping in the only shard."""
    return CheckpointVersion(mapping, "a", epoch, watermark, ranges, finished)


LEASES = [LeaseVersion("a", "old", 1), LeaseVersion("a", "young", 2)]
CHECKPOINTS = [
    checkpoint("note", 1, 0), checkpoint("ledger", 1, 0), checkpoint("ledger", 1, 10),
    checkpoint("sums@v1", 1, 0), checkpoint("sums@v1", 2, 30),
    checkpoint("note", 2, 0), checkpoint("ledger", 2, 10),
    checkpoint("note", 2, 30), checkpoint("ledger", 2, 30),
]  # fmt: skip
SOUND = FleetSeen(
    sent={COUNTER: 3},
    acknowledged={COUNTER: 3},
    items={COUNTER: 3},
    records={COUNTER: [1, 2, 3]},
    effects={COUNTER: [1, 2, 3]},
    tallies={"group-1": (3, 3)},
    projected={"group-1": (1, 3)},
    deliveries=[delivery(1, 1), delivery(2, 1), delivery(2, 2, YOUNG), delivery(3, 2, YOUNG)],
    names={OLD: "old", YOUNG: "young"},
    leases=LEASES,
    checkpoints=CHECKPOINTS,
    handled={"note": 3, "ledger": 3, "sums@v1": 3},
    kept_aside=[],
    shards={"a": False},
    live=frozenset(("young",)),
)


def delivered(*deliveries: Delivery) -> FleetSeen:
    """The same, but for what came to the ledger."""
    return replace(SOUND, deliveries=deliveries)


def after_the_next_owner(number: int) -> FleetSeen:
    """An owner that was stopped goes on with so many changes when the next one has begun."""
    counters = [f"counter-{10 * place}" for place in range(number)]
    return delivered(*SOUND.deliveries, *(delivery(1, 1, counter=counter) for counter in counters))


def test_a_sound_history_has_no_violation():
    assert violations(SOUND) == []
    assert Repeats(SOUND).most == 1


@pytest.mark.parametrize(
    ("check", "fault"),
    [
        (acknowledged_writes_are_there, replace(SOUND, items={COUNTER: 2})),
        (acknowledged_writes_are_there, replace(SOUND, records={COUNTER: [1, 3]})),
        (every_write_has_one_effect, replace(SOUND, effects={COUNTER: [1, 2, 2, 3]})),
        (every_write_has_one_effect, replace(SOUND, effects={COUNTER: [1, 3, 2]})),
        (every_write_has_one_effect, replace(SOUND, effects={})),
        (projections_equal_a_recount, replace(SOUND, projected={"group-1": (1, 2)})),
        (projections_equal_a_recount, replace(SOUND, projected={"group-1": (2, 3)})),
        (projections_equal_a_recount, replace(SOUND, projected={})),
        (projections_equal_a_recount, replace(SOUND, projected={**SOUND.projected, "group-2": (1, 1)})),
        (tallies_equal_a_recount, replace(SOUND, tallies={"group-1": (4, 3)})),
        (tallies_equal_a_recount, replace(SOUND, tallies={"group-1": (3, 4)})),
        (tallies_equal_a_recount, replace(SOUND, tallies={})),
        (every_write_is_delivered_in_order, delivered(delivery(1, 1), delivery(3, 1), delivery(2, 1))),
        (every_write_is_delivered_in_order, delivered(delivery(1, 1), delivery(2, 1))),
        (no_epoch_has_two_owners, replace(SOUND, leases=[*LEASES, LeaseVersion("a", "old", 2)])),
        (no_epoch_has_two_owners, delivered(*SOUND.deliveries, delivery(3, 2, OLD))),
        (no_epoch_has_two_owners, delivered(*SOUND.deliveries, delivery(3, 3, OLD))),
        (no_epoch_has_two_owners, replace(SOUND, names={OLD: "young", YOUNG: "old"})),
        (no_row_goes_back, replace(SOUND, leases=[*LEASES, LeaseVersion("a", "old", 1)])),
        (no_row_goes_back, replace(SOUND, leases=[*LEASES, LeaseVersion("a", "third", 2)])),
        (no_row_goes_back, replace(SOUND, checkpoints=[*CHECKPOINTS, checkpoint("note", 1, 40)])),
        (no_row_goes_back, replace(SOUND, checkpoints=[*CHECKPOINTS, checkpoint("note", 2, 20)])),
        (
            no_row_goes_back,
            replace(SOUND, checkpoints=[checkpoint("note", 1, 0, (20, 30)), checkpoint("note", 1, 10)]),
        ),
        (
            no_row_goes_back,
            replace(SOUND, checkpoints=[checkpoint("note", 1, 9, finished=True), checkpoint("note", 2, 9)]),
        ),
        (
            a_hand_over_repeats_what_was_in_flight,
            delivered(*SOUND.deliveries[:2], delivery(1, 2, YOUNG), *SOUND.deliveries[2:]),
        ),
        (
            a_hand_over_repeats_what_was_in_flight,
            replace(SOUND, checkpoints=[row for row in CHECKPOINTS if row.epoch == 1]),
        ),
        (
            a_hand_over_repeats_what_was_in_flight,
            delivered(*SOUND.deliveries, delivery(3, 2, YOUNG)),
        ),
        (a_hand_over_repeats_what_was_in_flight, after_the_next_owner(BATCH + 1)),
        (nothing_is_given_up, replace(SOUND, kept_aside=["parked/fleet/note/00/1"])),
        (nothing_is_given_up, replace(SOUND, handled={"note": 3, "ledger": 2})),
        (nothing_is_given_up, replace(SOUND, handled={"note": 4, "ledger": 3})),
        (nothing_is_stranded, replace(SOUND, stranded=["counter-001 3: seen up to 2"])),
        (nothing_is_stranded, replace(SOUND, live=frozenset())),
        (nothing_is_stranded, replace(SOUND, leases=[*LEASES, LeaseVersion("a", "", 2)])),
        (nothing_is_stranded, replace(SOUND, shards={"a": False, "b": False})),
        (nothing_is_stranded, replace(SOUND, shards={"a": True})),
        (workers_end_when_they_are_asked, replace(SOUND, ends=["a worker ended with 1"])),
    ],
)
def test_a_planted_violation_is_caught(check, fault):
    assert check in CHECKS
    assert check(fault)


def test_what_one_that_was_stopped_had_begun_is_no_violation():
    assert violations(after_the_next_owner(BATCH)) == []


def test_a_shard_that_is_closed_is_to_be_finished_by_everybody_and_left():
    ended = [checkpoint(mapping, 2, 30, finished=True) for mapping in MAPPINGS]
    closed = replace(
        SOUND,
        shards={"a": True},
        checkpoints=[*CHECKPOINTS, *ended],
        leases=[*LEASES, LeaseVersion("a", "", 2)],
    )
    assert nothing_is_stranded(closed) == []
    assert nothing_is_stranded(replace(closed, leases=LEASES))
    assert nothing_is_stranded(replace(closed, checkpoints=[*CHECKPOINTS, ended[0]]))


# ---- how it is read ----------------------------------------------------------------------------------------


def test_a_line_of_the_ledger_that_is_being_written_is_left_out():
    lines = ["1.5 7 a 2 counter-001:3:30 counter-002:1:31\n", "1.6 8 a 3 counter-001:"]
    assert read_ledger(lines) == [
        Delivery(0, 1.5, 7, "a", 2, "counter-001", 3, 30),
        Delivery(0, 1.5, 7, "a", 2, "counter-002", 1, 31),
    ]


def test_rows_of_leases_and_checkpoints_are_read_out_of_the_history():
    fields = {
        "epoch": 2, "watermark": "30", "ranges": [["32", "40"]], "finished": False,
        "ledger": {"totals": {"handled": 4}},
    }  # fmt: skip
    history = [
        RowVersion("lease/fleet/2026%2F1/a", {"owner": "old", "epoch": 2}),
        RowVersion("lease/fleet/2026%2F1/b", None),
        RowVersion("checkpoint/fleet/note/2026%2F1/a", fields),
        RowVersion("member/fleet/old", {"counter": 1}),
    ]
    assert leases_of(history) == [LeaseVersion("a", "old", 2)]
    (version,) = checkpoints_of(history)
    assert version == checkpoint("note", 2, 30, (32, 40))
    assert [version.covers(sequence) for sequence in (30, 31, 32, 40, 41)] == [True, False, True, True, False]
    assert handled_of({"checkpoint/fleet/note/1/a": fields, "checkpoint/fleet/note/1/b": fields}) == {
        "note": 8
    }


# ---- the plan ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_has_every_kind_alike_within_the_bounds_of_the_fleet(seed):
    faults = list(plan(seed, 96))
    assert {kind: sum(fault.kind == kind for fault in faults) for kind in KINDS} == dict.fromkeys(KINDS, 16)
    size = FIRST
    for fault in faults:
        size += (fault.kind == "add") - (fault.kind == "remove")
        assert LEAST <= size <= MOST
        assert fault.kind != "stop" or fault.lasts_s > LEASE_S
    assert faults == list(plan(seed, 96))
