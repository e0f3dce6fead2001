"""A worker's own row: it moves with every write, and a second worker of its name is noticed."""

import pytest

from tailrace.errors import NameInUse, StoreError
from tailrace.leases.member import Heartbeat, Identity, member_key, read_member
from tailrace.rows.writes import Absent, Equals, StateRow, Write

ONE = Identity("one", 2, 10_000, "host", 7, "0.1.0")


def test_a_row_says_who_a_worker_is() -> None:
    write = Heartbeat("shop", ONE).attempt()
    assert write.fields is not None
    assert write.key == member_key("shop", "one") == "member/shop/one"
    row = read_member(StateRow(write.key, write.fields))
    assert (row.identity, row.counter, row.changes) == (ONE, 1, 0)
    assert (row.member.name, row.member.weight) == ("one", 2)


def test_a_row_of_another_format_is_refused() -> None:
    with pytest.raises(StoreError, match="format 2"):
        read_member(StateRow("member/shop/one", {"v": 2}))


def test_each_write_requires_what_the_last_one_left() -> None:
    heart = Heartbeat("shop", ONE)
    assert heart.attempt().condition == Absent()
    heart.made(5)
    assert heart.attempt().condition == Equals("counter", 1)
    heart.made(6)
    assert heart.attempt().condition == Equals("counter", 2)


def test_a_worker_that_begins_goes_on_from_what_an_earlier_one_of_its_name_left() -> None:
    heart = Heartbeat("shop", ONE)
    heart.attempt()
    heart.differs({"v": 1, "counter": 57})
    write = heart.attempt()
    assert write.fields is not None
    assert (write.fields["counter"], write.condition) == (58, Equals("counter", 57))


def test_a_write_that_was_made_although_it_seemed_to_fail_is_no_other_worker() -> None:
    heart = Heartbeat("shop", ONE)
    heart.attempt()
    heart.made(0)
    heart.attempt()
    heart.attempt()
    heart.differs({"v": 1, "counter": 2})
    write = heart.attempt()
    assert write.fields is not None
    assert (write.fields["counter"], write.condition) == (4, Equals("counter", 2))


def test_a_second_worker_of_the_name_is_noticed_by_the_next_write_of_either() -> None:
    first = Heartbeat("shop", ONE)
    first.attempt()
    first.made(0)
    second = Heartbeat("shop", ONE)
    second.attempt()
    second.differs({"v": 1, "counter": 1})
    row = second.attempt().fields
    second.made(0)
    assert row is not None
    first.attempt()
    with pytest.raises(NameInUse, match="another worker runs under the name 'one'"):
        first.differs(row)


def test_an_unsure_write_is_forgotten_once_a_later_one_was_made() -> None:
    heart = Heartbeat("shop", ONE)
    heart.attempt()
    heart.made(0)
    heart.attempt()
    heart.attempt()
    heart.made(1)
    heart.attempt()
    with pytest.raises(NameInUse):
        heart.differs({"v": 1, "counter": 2})


def test_a_row_that_others_have_removed_is_written_anew() -> None:
    heart = Heartbeat("shop", ONE)
    heart.attempt()
    heart.made(0)
    heart.attempt()
    heart.differs(None)
    assert heart.attempt().condition == Absent()


def test_who_leaves_removes_its_row_only_if_it_is_its_own() -> None:
    heart = Heartbeat("shop", ONE)
    assert heart.leave() == []
    heart.attempt()
    heart.made(0)
    assert heart.leave() == [Write("member/shop/one", None, Equals("counter", 1))]


def test_a_heartbeat_has_failed_when_none_was_begun_that_held_for_the_whole_time() -> None:
    heart = Heartbeat("shop", ONE)
    heart.attempt()
    heart.made(100)
    assert (heart.has_failed(10_099), heart.has_failed(10_100)) == (False, True)


def test_a_later_worker_of_a_name_writes_no_revision_that_an_earlier_one_has_written() -> None:
    """An observer would take the later one for dead: it has heard of that revision long ago."""
    first = Heartbeat("shop", ONE, counter=1_000)
    write = first.attempt()
    assert write.fields is not None
    assert write.fields["counter"] == 1_001
    assert Heartbeat("shop", ONE, counter=1_000).leave() == [], "it has written nothing yet"
