"""How the leases of a fleet are spread over its workers: bounds, agreement, and how little moves."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import SettingsError
from tailrace.leases.balance import MOST_WEIGHT, FleetMember, assign, rooms

NAMES = st.sets(st.text(min_size=1, max_size=4), max_size=40)
MEMBERS = st.dictionaries(st.text(min_size=1, max_size=4), st.integers(1, 5), max_size=8).map(
    lambda weights: [FleetMember(name, weight) for name, weight in weights.items()]
)


@given(NAMES, MEMBERS)
def test_every_lease_has_a_worker_and_no_worker_has_more_than_its_room(
    leases: set[str], members: list[FleetMember]
) -> None:
    assigned = assign(leases, members)
    assert assigned.keys() == (leases if members else set())
    room = rooms(len(leases), members)
    for name in assigned.values():
        room[name] -= 1
    assert all(left >= 0 for left in room.values())


@given(NAMES, MEMBERS, st.randoms())
def test_workers_agree_in_whatever_order_they_hear_of_leases_and_of_each_other(
    leases: set[str], members: list[FleetMember], chance: random.Random
) -> None:
    shuffled, others = sorted(leases), list(members)
    chance.shuffle(shuffled)
    chance.shuffle(others)
    assert assign(shuffled, others) == assign(sorted(leases), members)


def test_a_worker_or_lease_that_is_listed_twice_counts_once() -> None:
    assert assign(["a", "b", "a"], [FleetMember("x"), FleetMember("y"), FleetMember("x")]) == assign(
        ["a", "b"], [FleetMember("x"), FleetMember("y")]
    )


def test_without_workers_nothing_is_assigned() -> None:
    assert assign(["a"], []) == {}


@pytest.mark.parametrize("weight", [0, -1, MOST_WEIGHT + 1])
def test_a_weight_beyond_its_bounds_is_refused(weight: int) -> None:
    with pytest.raises(
        SettingsError, match=f"weight {weight} of worker 'x' is not allowed; it is 1 to 1,000"
    ):
        FleetMember("x", weight)


def test_weights_at_their_bounds_are_allowed() -> None:
    assert rooms(1_001, [FleetMember("small"), FleetMember("large", MOST_WEIGHT)]) == {
        "small": 1,
        "large": 1_000,
    }


def test_the_answer_is_the_same_in_every_process_and_version() -> None:
    """Recorded: a worker of another version beside this one must come to the same."""
    leases = [f"shard-{number}" for number in range(8)]
    owners = assign(leases, [FleetMember("a"), FleetMember("b"), FleetMember("c")])
    assert "".join(owners[lease] for lease in leases) == "bacbbcca"


@pytest.mark.parametrize(("leases", "bound"), [(16, 1.8), (64, 1.45), (300, 1.25), (1_000, 1.15)])
def test_a_worker_that_joins_or_leaves_moves_little_more_than_what_it_has(leases: int, bound: float) -> None:
    names = [f"shard-{number}" for number in range(leases)]
    for count in (2, 3, 5, 8):
        moved = had = 0
        for seed in range(6):
            members = [FleetMember(f"worker-{seed}-{number}") for number in range(count + 1)]
            before, after = assign(names, members[:count]), assign(names, members)
            moved += sum(before[name] != after[name] for name in names)
            had += sum(owner == members[count].name for owner in after.values())
        assert moved <= bound * had, f"{count} workers: {moved} moved for {had}"


def test_a_shard_that_splits_moves_few_of_the_other_leases() -> None:
    members = [FleetMember(f"worker-{number}") for number in range(5)]
    names = [f"shard-{number}" for number in range(100)]
    before = assign(names, members)
    after = assign([*names[:50], *names[51:], "shard-50a", "shard-50b"], members)
    assert sum(before[name] != after.get(name, before[name]) for name in names) <= 10


def test_a_heavier_worker_gets_its_share() -> None:
    names = [f"shard-{number}" for number in range(400)]
    owners = list(assign(names, [FleetMember("a"), FleetMember("b"), FleetMember("c", 2)]).values())
    assert owners.count("c") == 200
    assert owners.count("a") == owners.count("b") == 100
