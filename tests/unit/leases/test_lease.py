"""Leases: the counter says alive, the epoch fences."""

import pytest

from tailrace.errors import StoreError
from tailrace.leases.lease import Sighting, is_free, lease_key, release, renew, sight, take
from tailrace.rows.writes import Absent, Equals

KEY = lease_key("shop", "label", "shard-1")


def test_the_first_taker_writes_only_where_nothing_is() -> None:
    lease, write = take(KEY, None, "me")
    assert (lease.counter, lease.epoch) == (1, 1)
    assert (write.key, write.condition) == ("lease/shop/label/shard-1", Absent())


def test_a_lease_that_was_forgotten_does_not_begin_below_what_its_checkpoints_have() -> None:
    """Or every stamp would find a later epoch, and no worker could read the shard any more."""
    assert take(KEY, None, "me", above=7)[0].epoch == 8


def test_taking_raises_the_epoch_and_loses_against_a_renewal() -> None:
    _, first = take(KEY, None, "you")
    lease, write = take(KEY, first.fields, "me")
    assert (lease.owner, lease.counter, lease.epoch) == ("me", 2, 2)
    assert write.condition == Equals("counter", 1)


def test_renewing_moves_the_counter_and_keeps_the_epoch() -> None:
    lease, _ = take(KEY, None, "me")
    renewed, write = renew(lease)
    assert (renewed.counter, renewed.epoch) == (2, 1)
    assert write.condition == Equals("epoch", 1)


def test_a_released_lease_is_free_and_its_next_owner_raises_the_epoch() -> None:
    lease, _ = take(KEY, None, "me")
    write = release(lease)
    assert is_free(write.fields)
    assert is_free(None)
    assert take(KEY, write.fields, "you")[0].epoch == 2


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
