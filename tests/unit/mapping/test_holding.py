"""The holding stage: what waits, how long, and what is told; each fact at its bound and one past."""

from tailrace.mapping.chain import ABSENT
from tailrace.mapping.chained_item import ChainRow
from tailrace.mapping.holding import MOST_REMEMBERED, HoldingStage, Judged
from tailrace.streams.record import MILLISECOND, ChangeRecord, EventName

SECOND_MS = 1_000
START_US = 1_700_000_000_000_000


def change(
    number: int,
    at_ms: float,
    old: int | None,
    new: int | None,
    *,
    key: bytes = b"k",
    identity: str | None = None,
    unit: int = MILLISECOND,
) -> ChangeRecord:
    """A change from one image to another; its event id is of its content unless given."""
    name: EventName = "INSERT" if old is None else "REMOVE" if new is None else "MODIFY"
    images = [None if image is None else b'{"n":{"N":"%d"}}' % image for image in (old, new)]
    created = START_US + round(at_ms * MILLISECOND)
    return ChangeRecord(
        number, 1, name, created - created % unit, 10, 0, key, b"{}", *images,
        precision_us=unit, source_id=f"{key!r}{at_ms}{old}{new}" if identity is None else identity,
    )  # fmt: skip


def stage(*, waits_always: bool = False, most: int = 100) -> HoldingStage:
    return HoldingStage(SECOND_MS, most=most, waits_always=waits_always)


def numbers(records: list[ChangeRecord]) -> list[int]:
    return [record.sequence for record in records]


def restarted(before: HoldingStage, **settings: bool) -> tuple[HoldingStage, Judged]:
    """Another worker, with what the one before has kept."""
    after = stage(**settings)
    return after, after.load([(key, row) for key, row in before.save().items() if row is not None])


# ---- the chain ---------------------------------------------------------------------------------------------


def test_what_comes_in_order_waits_for_nothing() -> None:
    held = stage().hold([change(1, 0, None, 1), change(2, 5, 1, 2), change(3, 5, 2, 3)])
    assert numbers(held.ready) == [1, 2, 3]
    ranks = [record.rank for record in held.ready]
    assert ranks == sorted(set(ranks))


def test_a_change_waits_for_the_one_before_it() -> None:
    holding = stage()
    assert numbers(holding.hold([change(1, 0, None, 1), change(2, 2, 2, 3)]).ready) == [1]
    assert holding.waiting == 1
    assert numbers(holding.hold([change(3, 1, 1, 2)]).ready) == [3, 2]
    assert holding.waiting == 0


def test_an_item_waits_for_no_other() -> None:
    held = stage().hold([change(1, 0, None, 1), change(2, 2, 2, 3), change(3, 2, None, 9, key=b"o")])
    assert numbers(held.ready) == [1, 3]


def test_a_later_change_that_fits_does_not_overtake_an_earlier_one_that_waits() -> None:
    holding = stage()
    holding.hold([change(1, 0, None, 1), change(2, 2, 2, 3)])
    assert numbers(holding.hold([change(3, 9, 1, 5)]).ready) == [], "something is missing before it"


def test_images_that_come_again_within_a_second_are_each_a_change() -> None:
    changes = [change(1, 0, None, 0), change(2, 1, 0, 1), change(3, 400, 1, 0), change(4, 900, 0, 1)]
    assert numbers(stage().hold(changes).ready) == [1, 2, 3, 4]


def test_images_that_come_again_out_of_order_come_out_in_order_when_all_wait() -> None:
    holding = stage(waits_always=True)
    late = [change(1, 0, None, 0), change(2, 900, 0, 1), change(3, 400, 1, 0), change(4, 1, 0, 1)]
    assert numbers(holding.hold(late).ready) == []
    assert numbers(holding.listened(SECOND_MS + 1_000).ready) == [1, 4, 3, 2]


def test_four_changes_of_one_millisecond_between_two_images_come_out_as_a_chain() -> None:
    holding = stage(waits_always=True)
    holding.hold([change(1, 0, None, 0)])
    holding.hold([change(2, 5, 0, 1), change(3, 5, 0, 1, identity="x"), change(4, 5, 1, 0)])
    ready = holding.listened(2 * SECOND_MS).ready
    assert [(record.old, record.new) for record in ready[1:]] == [
        (b'{"n":{"N":"0"}}', b'{"n":{"N":"1"}}'),
        (b'{"n":{"N":"1"}}', b'{"n":{"N":"0"}}'),
        (b'{"n":{"N":"0"}}', b'{"n":{"N":"1"}}'),
    ]


def test_a_removal_and_what_is_put_in_again_come_out_in_order() -> None:
    holding = stage()
    held = holding.hold([change(1, 0, None, 1), change(2, 2, None, 2), change(3, 1, 1, None)])
    assert numbers(held.ready) == [1, 3, 2]


def test_equal_images_are_no_change_and_do_not_extend_the_chain() -> None:
    holding = stage()
    held = holding.hold([change(1, 0, None, 1), change(2, 1, 1, 1), change(3, 1, 1, 2)])
    assert (numbers(held.ready), numbers(held.unchanged)) == ([1, 3], [2])


def test_the_first_change_of_an_unknown_item_is_accepted_as_it_is() -> None:
    held = stage().hold([change(1, 0, 7, 8)])
    assert (numbers(held.ready), held.holes) == ([1], [])


# ---- duplicates, and what is late --------------------------------------------------------------------------


def test_what_comes_again_is_a_duplicate_before_and_after_it_is_settled() -> None:
    holding = stage()
    first = change(1, 0, None, 1)
    again = [change(number, 0, None, 1) for number in (2, 3)]
    assert numbers(holding.hold([first, again[0]]).duplicates) == [2]
    holding.settle([first])
    assert numbers(holding.hold([again[1]]).duplicates) == [3]


def test_what_comes_again_while_it_waits_is_a_duplicate() -> None:
    holding = stage()
    held = holding.hold([change(1, 0, None, 1), change(2, 2, 2, 3), change(3, 2, 2, 3)])
    assert numbers(held.duplicates) == [3]


def test_a_pair_in_milliseconds_and_microseconds_is_one_change() -> None:
    """Re-enabling a destination was seen to produce one. Source: semantics §5.5."""
    holding = stage()
    exact = [change(1, 0, None, 1, unit=1), change(2, 5.2, 1, 2, unit=1, identity="a")]
    held = holding.hold([*exact, change(3, 5, 1, 2, identity="b"), change(4, 9, 2, 3)])
    assert (numbers(held.ready), numbers(held.duplicates)) == ([1, 2, 4], [3])


def test_what_equals_a_settled_change_waits_no_longer_than_the_bound_to_be_its_duplicate() -> None:
    holding = stage()
    held = holding.hold([change(1, 0, None, 1), change(2, 5, 1, 2), change(3, 5, 1, 2, identity="x")])
    assert (numbers(held.ready), numbers(held.duplicates)) == ([1, 2], [])
    held = holding.listened(SECOND_MS + 1)
    assert (numbers(held.duplicates), held.holes) == ([3], [])


def test_what_is_older_than_the_chain_and_no_duplicate_is_late() -> None:
    holding = stage()
    holding.hold([change(1, 0, None, 1), change(2, 9, 1, 2)])
    held = holding.hold([change(3, 5, 1, 7)])
    assert (numbers(held.late), held.ready, held.duplicates) == ([3], [], [])
    assert held.late[0].rank


def test_a_duplicate_of_more_than_what_is_remembered_counts_as_late() -> None:
    holding = stage()
    first, *rest = [change(n + 1, n, n or None, n + 1) for n in range(MOST_REMEMBERED + 1)]
    for record in [first, *rest]:
        holding.settle(holding.hold([record]).ready)
    again = [change(9_001, 1, 1, 2), change(9_000, 0, None, 1)]
    held = holding.hold(again)
    assert (numbers(held.duplicates), numbers(held.late)) == ([9_001], [9_000])


# ---- the bound ---------------------------------------------------------------------------------------------


def waiting_stage() -> HoldingStage:
    """One that waits for a change that does not come."""
    holding = stage()
    holding.hold([change(1, 0, None, 1), change(2, 2, 2, 3)])
    return holding


def test_a_hole_is_told_when_the_shard_has_come_past_the_bound_and_not_before() -> None:
    bound_ms = 2 + 1 + SECOND_MS  # a time in milliseconds may be one later
    assert not waiting_stage().hold([change(3, bound_ms - 1, None, 1, key=b"o")]).holes
    held = waiting_stage().hold([change(3, bound_ms, None, 1, key=b"o")])
    (hole,) = held.holes
    assert numbers(held.ready) == [3, 2]
    assert (hole.key, hole.after_us - START_US, hole.before_us - START_US) == (b"k", 0, 2_000)
    assert hole.before == held.ready[1].rank


def test_a_hole_is_told_when_nothing_was_heard_for_the_bound_and_not_before() -> None:
    holding = waiting_stage()
    assert holding.due_in_ms == SECOND_MS + 1
    assert not holding.listened(SECOND_MS).holes
    assert holding.due_in_ms == 1
    assert len(holding.listened(1).holes) == 1
    assert holding.due_in_ms is None


def test_a_backlog_of_another_time_gives_what_is_missing_its_bound_too() -> None:
    holding = stage()
    holding.hold([change(1, 3_600_000, None, 1, key=b"o"), change(2, 0, None, 1), change(3, 2, 2, 3)])
    assert holding.due_in_ms == SECOND_MS
    assert numbers(holding.hold([change(4, 1, 1, 2)]).ready) == [4, 3]


def test_what_comes_after_its_hole_was_told_is_late() -> None:
    holding = waiting_stage()
    holding.listened(SECOND_MS + 1)
    assert numbers(holding.hold([change(3, 1, 1, 2)]).late) == [3]


def test_more_than_may_wait_ends_in_a_hole_and_not_in_silence() -> None:
    holding = stage(most=2)
    firsts = [change(n, 0, None, 1, key=b"%d" % n) for n in (1, 2, 3)]
    behind = [change(10 + n, 2, 2, 3, key=b"%d" % n) for n in (1, 2, 3)]
    holding.hold(firsts)
    assert not holding.hold(behind[:2]).holes
    held = holding.hold(behind[2:])
    assert (numbers(held.ready), [hole.key for hole in held.holes]) == ([11], [b"1"])
    assert holding.waiting == 2


def test_relief_lets_go_of_what_is_due_next() -> None:
    holding = waiting_stage()
    assert len(holding.relieve().holes) == 1
    assert holding.relieve() == Judged()


# ---- what is kept ------------------------------------------------------------------------------------------


def test_a_row_says_nothing_of_what_is_not_settled() -> None:
    holding = stage()
    holding.hold([change(1, 0, None, 1)])
    assert holding.save() == {}


def test_a_row_stays_behind_the_first_change_that_is_not_settled_and_knows_those_ahead() -> None:
    holding = stage()
    ready = holding.hold([change(1, 0, None, 1), change(2, 1, 1, 2), change(3, 2, 2, 3)]).ready
    holding.settle([ready[0], ready[2]])
    row = holding.save()[b"k"]
    assert row is not None
    assert [[link.number for link in links] for links in (row.links, row.ahead)] == [[1], [3]]


def test_between_two_changes_of_one_millisecond_a_restart_loses_no_version() -> None:
    changes = [change(1, 5, None, 1), change(2, 5, 1, 2)]
    before = stage()
    ready = before.hold(changes).ready
    before.settle(ready[:1])
    after, _ = restarted(before)
    assert after.hold(changes[1:]).ready == ready[1:]
    assert numbers(after.hold([change(3, 5, None, 1)]).duplicates) == [3]


def test_what_was_settled_ahead_is_not_handed_over_again_after_a_restart() -> None:
    before = stage()
    ready = before.hold([change(1, 0, None, 1), change(2, 1, 1, 2), change(3, 2, 2, 3)]).ready
    before.settle([ready[0], ready[2]])
    after, held = restarted(before)
    assert held.ready == []
    assert numbers(after.hold([change(2, 1, 1, 2)]).ready) == [2]
    assert numbers(after.hold([change(4, 3, 3, 4)]).ready) == [4]


def test_a_row_that_was_not_saved_is_saved_again() -> None:
    holding = stage()
    holding.settle(holding.hold([change(1, 0, None, 1)]).ready)
    rows = holding.save()
    assert holding.save() == {}
    holding.not_saved(rows)
    assert holding.save() == rows


def test_a_row_goes_when_nothing_can_come_before_its_end_any_more_and_not_before_that_is_durable() -> None:
    holding = stage()
    holding.settle(holding.hold([change(1, 0, None, 1)]).ready)
    holding.save()
    past = change(2, SECOND_MS + 1, None, 1, key=b"o")
    holding.settle(holding.hold([past]).ready)
    assert b"k" not in holding.save(), "a crash would read it again"
    holding.saved(2)
    holding.settle(holding.hold([change(3, 0, None, 1, key=b"p")]).ready)
    assert holding.save()[b"k"] is None


# ---- children ----------------------------------------------------------------------------------------------


def closed_parent() -> tuple[HoldingStage, Judged]:
    """A shard that is over, with a change that waits for one before it."""
    parent = stage()
    held = parent.hold([change(1, 0, None, 1), change(2, 2, 2, 3)])
    parent.settle(held.ready)
    return parent, parent.close()


def test_what_waits_at_the_end_of_a_shard_is_carried_over_and_goes_out_in_a_child() -> None:
    parent, closed = closed_parent()
    assert numbers(closed.carried) == [2]
    child, held = restarted(parent)
    assert held.ready == []
    ready = child.hold([change(7, 1, 1, 2)]).ready
    assert numbers(ready) == [7, 2]
    assert [child.is_carried(record) for record in ready] == [False, True]
    child.settle(ready)
    row = child.save()[b"k"]
    assert row is not None
    assert (row.carried, [link.number for link in row.links]) == ((), [1, 7, 2])


def test_what_is_carried_over_stays_until_it_is_settled() -> None:
    parent, _ = closed_parent()
    child, _ = restarted(parent)
    ready = child.hold([change(7, 1, 1, 2)]).ready
    child.settle(ready[:1])
    row = child.save()[b"k"]
    assert row is not None
    assert numbers(list(row.carried)) == [2]
    again = stage()
    assert numbers(again.load([(b"k", row)]).ready) == [2]


def test_a_duplicate_in_a_child_is_one() -> None:
    parent, _ = closed_parent()
    child, _ = restarted(parent)
    held = child.hold([change(7, 0, None, 1), change(8, 2, 2, 3)])
    assert numbers(held.duplicates) == [7, 8]


def test_what_is_carried_over_waits_its_bound_in_a_child_without_news() -> None:
    parent, _ = closed_parent()
    child, _ = restarted(parent)
    assert not child.listened(SECOND_MS).holes
    held = child.listened(1)
    assert (numbers(held.ready), len(held.holes)) == ([2], 1)


def test_a_shard_that_closes_again_after_a_crash_carries_over_once() -> None:
    parent, _ = closed_parent()
    again, _ = restarted(parent)
    held = again.hold([change(2, 2, 2, 3)])
    assert numbers(held.duplicates) == [2], "its copy is carried already"
    assert again.close().carried == []
    assert again.save() == {}


def test_what_was_carried_over_is_not_the_first_of_an_item_that_nothing_is_known_of() -> None:
    """A crash before its predecessors were settled leaves a row without a chain."""
    row = ChainRow(0, (), (), (change(3, 2, 1, 2),))
    after = stage()
    assert after.load([(b"k", row)]).ready == []
    assert numbers(after.hold([change(1, 0, None, 1)]).ready) == [1, 3]
    assert ABSENT == b""
