"""What tells the next change of an item from one that came again, early or late: each fact at its bound."""

import pytest

from tailrace.mapping.chain import (
    ABSENT,
    ITEM_BITS,
    PLACE_BITS,
    Link,
    are_of_one_time,
    equals,
    image_digest,
    is_before,
    late_rank,
    link_of,
    longest,
    rank,
    slot_of,
    trail,
)
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import Version, check_width

A, B, C = b"a", b"b", b"c"


def link(
    created_us: int, old: bytes = A, new: bytes = B, *, unit: int = 1, identity: bytes = b"", number: int = 0
) -> Link:
    return Link(created_us, unit, old, new, identity, number)


@pytest.mark.parametrize(
    ("one", "other", "are"),
    [
        (link(1_999, unit=1_000), link(1_000, unit=1), True),
        (link(1_999, unit=1), link(1_000, unit=1_000), True),
        (link(2_000, unit=1), link(1_000, unit=1_000), False),
        (link(1_999, unit=1), link(1_000, unit=1), False),
    ],
)
def test_times_are_compared_as_coarsely_as_the_coarser_is_known(one: Link, other: Link, are: bool) -> None:
    assert are_of_one_time(one, other) is are
    assert is_before(other, one) is not are


def test_a_change_equals_another_when_only_its_event_id_differs() -> None:
    assert equals(link(1_000, identity=b"e", unit=1_000), link(1_500, identity=b"f"))
    assert not equals(link(1_000), link(1_001))
    assert not equals(link(1_000, A, B), link(1_000, A, C))


def test_an_image_is_the_same_in_whatever_order_its_attributes_stand() -> None:
    assert image_digest(b'{"a":{"N":"1"},"b":{"N":"2"}}') == image_digest(b'{"b":{"N":"2"},"a":{"N":"1"}}')
    assert image_digest(b'{"a":{"N":"1"}}') != image_digest(b'{"a":{"N":"2"}}')
    assert image_digest(None) == ABSENT


def test_equal_images_change_nothing() -> None:
    item = b'{"id":{"S":"a"}}'
    record = ChangeRecord(1, 1, "MODIFY", 1, 1, 1, b"k", b"{}", item, item, source_id="e")
    assert link_of(record).changes_nothing
    assert link_of(record).identity


def test_a_trail_takes_the_way_back_before_the_way_out() -> None:
    links = [link(1, A, C), link(1, A, B), link(1, B, A)]
    assert trail(A, links) == (1, 2, 0)


def test_a_trail_goes_as_far_as_it_can() -> None:
    assert trail(A, [link(1, B, C)]) == ()
    assert trail(A, [link(1, C, A), link(1, A, B)]) == (1,)


def test_hundreds_of_changes_of_one_time_are_put_in_order() -> None:
    links = [link(1, A, B) for _ in range(150)] + [link(1, B, A) for _ in range(149)]
    assert len(trail(A, links)) == 299


def test_where_nothing_is_known_of_an_item_it_was_not_there_before() -> None:
    links = [link(1, A, ABSENT), link(1, ABSENT, A)]
    assert longest(links, links) == (1, 0)


def test_where_nothing_is_known_the_longest_trail_counts_and_what_follows() -> None:
    links = [link(1, B, C), link(1, A, B)]
    assert longest(links, links) == (1, 0)
    circle = [link(1, A, B), link(1, B, A), link(5, B, C)]
    assert longest(circle, circle) == (1, 0)


def test_only_what_may_begin_does() -> None:
    links = [link(1, A, B), link(1, C, A)]
    assert longest(links, links[:1]) == (0,)
    assert longest(links, []) == ()


def test_a_slot_is_by_time_and_behind_the_last_one() -> None:
    first = slot_of(link(5), None)
    assert first == 5 << PLACE_BITS
    last = Link(5, 1, A, B, slot=first)
    assert slot_of(link(5), last) == first + 1
    assert slot_of(link(6), last) == 6 << PLACE_BITS
    assert slot_of(link(5, unit=1_000), Link(900, 1, A, B, slot=900 << PLACE_BITS)) == (900 << PLACE_BITS) + 1


def test_more_changes_of_one_time_than_there_are_places_stay_in_order() -> None:
    last = Link(5, 1, A, B, slot=(5 << PLACE_BITS) + (1 << PLACE_BITS) - 1)
    assert slot_of(link(5), last) == 6 << PLACE_BITS
    assert slot_of(link(6), Link(5, 1, A, B, slot=6 << PLACE_BITS)) == (6 << PLACE_BITS) + 1


def test_versions_of_two_items_that_were_changed_at_one_time_differ() -> None:
    slot = slot_of(link(5), None)
    assert rank(slot, b"x") != rank(slot, b"y")
    assert rank(slot, b"x") >> ITEM_BITS == slot


def test_a_version_of_the_far_future_fits() -> None:
    year_9999_us = 253_402_300_800_000_000
    check_width(Version(1, rank(slot_of(link(year_9999_us), None) + 65_535, b"x")))


def test_what_is_late_is_older_than_what_was_written_later_and_has_a_version_of_its_own() -> None:
    late = link(5, identity=b"e")
    assert late_rank(late, b"x") < rank(slot_of(link(6), None), b"x")
    assert late_rank(late, b"x") != late_rank(link(5, identity=b"f"), b"x")
