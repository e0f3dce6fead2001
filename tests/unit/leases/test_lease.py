"""Leases: the epoch fences, the counter is the revision of a row."""

import pytest

from tailrace.errors import StoreError
from tailrace.leases.lease import (
    Sighting,
    finish,
    lease_key,
    read_lease,
    release,
    sight,
    standing,
    take,
)
from tailrace.rows.writes import Absent, Equals, holds

KEY = lease_key("shop", "label", "shard-1")


def test_the_first_taker_writes_only_where_nothing_is() -> None:
    lease, write = take(KEY, None, "me")
    assert (lease.counter, lease.epoch) == (1, 1)
    assert (write.key, write.condition) == ("lease/shop/label/shard-1", Absent())


def test_a_lease_that_was_forgotten_does_not_begin_below_what_its_checkpoints_have() -> None:
    """Or every stamp would find a later epoch, and no worker could read the shard any more."""
    assert take(KEY, None, "me", above=7)[0].epoch == 8


def test_taking_raises_the_epoch_and_loses_against_any_change_meanwhile() -> None:
    _, first = take(KEY, None, "you")
    lease, write = take(KEY, first.fields, "me")
    assert (lease.owner, lease.counter, lease.epoch) == ("me", 2, 2)
    assert write.condition == Equals("counter", 1)


def test_a_row_says_which_mappings_are_done_and_keeps_that_when_it_changes_hands() -> None:
    """What continues the shard begins at other workers by it, one mapping after the other."""
    lease, _ = take(KEY, None, "me")
    first, write = finish(lease, ["mail"])
    assert (first.counter, first.epoch, first.owner, write.condition) == (2, 1, "me", Equals("counter", 1))
    both, write = finish(first, ["index", "mail"])
    assert (both.finished, both.counter) == (("index", "mail"), 3)
    assert write.fields is not None
    assert read_lease(KEY, write.fields) == both
    taken, _ = take(KEY, release(both).fields, "you")
    assert taken.finished == ("index", "mail")


def test_of_two_changes_made_of_one_revision_only_the_first_holds() -> None:
    """One that was given up and comes late would undo what was written since."""
    lease, _ = take(KEY, None, "me")
    left, late = release(lease, "you"), finish(lease, ["mail"])[1]
    assert holds(left.condition, {"counter": 1, "epoch": 1})
    assert not holds(late.condition, left.fields)


def test_a_lease_stands_as_its_row_says_under_its_own_epoch_and_owner() -> None:
    lease, write = take(KEY, None, "me")
    done, finished = finish(lease, ["mail"])
    assert standing(lease, finished.fields) == done, "what had not been answered was written"
    assert standing(lease, write.fields) is None, "it is no other revision"
    assert standing(lease, None) is None
    assert standing(lease, release(done).fields) is None
    assert standing(lease, take(KEY, write.fields, "me")[1].fields) is None, "it was taken again"
    assert standing(lease, take(KEY, write.fields, "you")[1].fields) is None


def test_a_released_lease_is_free_and_its_next_owner_raises_the_epoch() -> None:
    lease, _ = take(KEY, None, "me")
    write = release(lease)
    assert write.fields is not None
    assert (write.fields["owner"], write.condition) == ("", Equals("counter", 1))
    assert "successor" not in write.fields
    assert take(KEY, write.fields, "you")[0].epoch == 2


def test_a_lease_that_is_handed_over_names_its_successor_until_that_one_takes_it() -> None:
    lease, _ = take(KEY, None, "me")
    write = release(lease, "you")
    assert write.fields is not None
    assert read_lease(KEY, write.fields).successor == "you"
    assert take(KEY, write.fields, "you")[0].successor == ""


def test_a_lease_that_names_a_worker_which_does_not_hold_it_is_cleared_only_as_it_was_seen() -> None:
    lease, _ = take(KEY, None, "you")
    write = release(lease, mapping_ids=["mail"])
    assert write.fields is not None
    cleared = read_lease(KEY, write.fields)
    assert (cleared.owner, cleared.finished, cleared.epoch, cleared.counter) == ("", ("mail",), 1, 2)
    assert write.condition == Equals("counter", 1)


def test_a_lease_expires_by_the_observers_own_clock_since_the_counter_moved() -> None:
    _, write = take(KEY, None, "you")
    assert write.fields is not None
    seen = sight(None, write.fields, 100)
    assert seen == Sighting(1, 100)
    seen = sight(seen, write.fields, 5_000)
    assert (seen.has_expired(10_099), seen.has_expired(10_100)) == (False, True)
    seen = sight(seen, {**write.fields, "counter": 2}, 9_000)
    assert not seen.has_expired(10_100)


def test_a_row_of_another_format_is_refused() -> None:
    with pytest.raises(StoreError, match="format 2"):
        take(KEY, {"v": 2}, "me")


def test_names_with_slashes_do_not_collide() -> None:
    assert lease_key("a/b", "c", "d") != lease_key("a", "b/c", "d")
