"""The order of time over shards: beside an independent oracle, at its bounds, and each rule with a canary."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from tailrace.mapping.time_order import OfferedBatch, Place, ReleasedChange, TimeOrder
from tailrace.streams.moment import Now
from tailrace.streams.record import ChangeRecord

A, B, C = ("s", "a"), ("s", "b"), ("s", "c")
NEVER = 1 << 40


def record(sequence: int, at_us: int) -> ChangeRecord:
    return ChangeRecord(sequence, 0, "MODIFY", at_us, 1, 0, b"k", b"{}")


def records(*times: int, first: int = 1) -> list[ChangeRecord]:
    return [record(first + place, at_us) for place, at_us in enumerate(times)]


def at(ms: int) -> Now:
    return Now(1_000_000 + ms, ms)


def released(order: TimeOrder, ms: int = 0) -> list[tuple[int, bool]]:
    """Everything whose turn it is, handled: times, and whether they are late."""
    told = []
    while (change := order.next(at(ms))) is not None:
        told.append((change.record.created_us, change.is_late))
        order.gone(change, at(ms))
    return told


def test_the_oldest_goes_first_once_every_shard_has_come_past_it() -> None:
    order = TimeOrder(NEVER)
    order.know([A, B])
    order.offer(A, records(1, 5, 9), at(0))
    assert released(order) == []
    order.offer(B, records(4, 6), at(0))
    assert released(order) == [(1, False), (4, False), (5, False), (6, False)]
    order.offer(B, records(9, 11, first=3), at(0))
    # Both have one of time 9: that of the first shard goes first, and it may have another one.
    assert released(order) == [(9, False)]
    order.offer(A, records(10, first=4), at(0))
    assert released(order) == [(9, False), (10, False)]


def test_ties_go_by_the_names_of_shards_and_wait_for_those_that_come_before() -> None:
    order = TimeOrder(NEVER)
    order.know([A, B])
    order.offer(A, records(5), at(0))
    order.offer(B, records(5), at(0))
    assert order.next(at(0)) is not None
    assert released(order) == [(5, False)]  # b waits: a may bring another one of that time
    order.offer(A, records(6, first=2), at(0))
    assert released(order) == [(5, False)]


@pytest.mark.parametrize(("ms", "times"), [(999, []), (1_000, [(5, False)])])
def test_an_idle_shard_is_waited_for_as_long_as_the_bound_and_no_longer(
    ms: int, times: list[tuple[int, bool]]
) -> None:
    order = TimeOrder(1_000)
    order.know([A, B])
    order.offer(A, records(5), at(0))
    assert order.wake_ms() == 1_000
    assert released(order, ms) == times


def test_a_shard_that_has_just_brought_something_is_waited_for_anew() -> None:
    order = TimeOrder(1_000)
    order.know([A, B, C])
    order.offer(A, records(1), at(0))
    order.offer(B, records(5), at(0))
    assert released(order, 1_000) == [(1, False)]  # c is not waited for any more, and a may bring more
    assert order.wake_ms() == 2_000
    order.offer(A, records(3, first=2), at(1_500))
    assert released(order, 2_499) == []
    assert released(order, 2_500) == [(3, False)]
    assert released(order, 3_499) == []
    assert released(order, 3_500) == [(5, False)]


def test_what_comes_after_a_younger_one_has_gone_is_late_and_goes_at_once() -> None:
    order = TimeOrder(1_000)
    order.know([A, B])
    order.offer(A, records(5), at(0))
    assert released(order, 1_000) == [(5, False)]
    order.offer(B, records(3, 4, 6), at(1_100))
    order.know([A, B, C])  # nothing older is waited for
    assert released(order, 1_100) == [(3, True), (4, True)]


def test_a_finished_shard_holds_nothing_and_its_child_does() -> None:
    order = TimeOrder(NEVER)
    order.know([A, B])
    order.offer(A, records(5), at(0))
    order.know([A])
    assert released(order) == [(5, False)]
    order.know([A, C])
    order.offer(A, records(7, first=2), at(0))
    assert released(order) == []
    order.offer(C, records(6, 8), at(0))
    assert released(order) == [(6, False), (7, False)]


def test_while_shards_are_not_known_only_the_bound_releases() -> None:
    order = TimeOrder(1_000)
    order.offer(A, records(5), at(0))
    assert released(order, 999) == []
    assert released(order, 1_000) == [(5, False)]
    order.know([A])
    order.offer(A, records(7, first=2), at(1_000))
    order.know(None)
    assert released(order, 1_000) == []


def test_a_change_that_fails_holds_everything_until_it_is_offered_again() -> None:
    order = TimeOrder(1_000)
    order.know([A, B])
    order.offer(A, records(1, 3), at(0))
    order.offer(B, records(2, 4), at(0))
    failing = order.next(at(0))
    assert failing is not None
    order.failed(failing, at(0), comes_again=True)
    assert (released(order, 10_000), order.wake_ms(), order.is_failing) == ([], None, True)
    order.offer(A, records(0, first=0), at(10_000))  # an older one that is put back is not it
    assert released(order, 10_000) == []
    order.offer(A, records(1, 3), at(10_000))
    assert released(order, 10_000) == [(0, False), (1, False), (2, False), (3, False)]


def test_a_change_that_was_given_up_holds_nothing() -> None:
    order = TimeOrder(0)
    order.know([A, B])
    order.offer(A, records(1), at(0))
    order.offer(B, records(2), at(0))
    failing = order.next(at(0))
    assert failing is not None
    order.failed(failing, at(0), comes_again=False)
    assert released(order) == [(2, False)]


def test_a_failing_shard_that_is_finished_holds_nothing() -> None:
    order = TimeOrder(0)
    order.know([A, B])
    order.offer(A, records(1), at(0))
    failing = order.next(at(0))
    assert failing is not None
    order.failed(failing, at(0), comes_again=True)
    order.offer(B, records(2), at(0))
    assert released(order) == []
    order.know([B])
    assert released(order) == [(2, False)]


def test_what_has_gone_before_a_restart_makes_older_ones_late() -> None:
    order = TimeOrder(0, floor_us=5)
    order.know([A])
    order.offer(A, records(4, 5, 6), at(0))
    assert released(order) == [(4, True), (5, False), (6, False)]


# ---- beside an oracle --------------------------------------------------------------------------------------


class History(Struct, frozen=True):
    """Times of the changes of each shard, as it has them, and which shard comes next at each step."""

    shards: dict[str, list[int]]
    steps: list[int]


HISTORIES = st.builds(
    History,
    st.dictionaries(
        st.sampled_from("abcd"), st.lists(st.integers(0, 30), max_size=9), min_size=1, max_size=4
    ),
    st.lists(st.integers(0, 1_000), max_size=40),
)


class Step(Struct, frozen=True):
    """What has gone. Units: offered_ms, gone_ms monotonic."""

    key: tuple[int, Place, int]
    is_late: bool
    offered_ms: int
    gone_ms: int


def play(history: History, wait_ms: int, make: Callable[[int], TimeOrder] = TimeOrder) -> list[Step]:
    """Shards offer a batch at a time, in any order, with pauses; each that is over is finished."""
    random = Random(len(history.steps))
    order, now_ms = make(wait_ms), 0
    left = {("s", name): records(*sorted(times)) for name, times in history.shards.items()}
    offering: dict[Place, OfferedBatch] = {}
    told: list[Step] = []

    def go() -> None:
        order.know([place for place in left if left[place] or place in offering])
        while (change := order.next(at(now_ms))) is not None:
            key = (change.record.created_us, change.batch.place, change.record.sequence)
            told.append(Step(key, change.is_late, change.batch.offered_ms, now_ms))
            order.gone(change, at(now_ms))
            if change.batch.is_over:
                offering.pop(change.batch.place, None)
                order.know([place for place in left if left[place] or place in offering])

    for step in [*history.steps, *range(400)]:
        waiting = [place for place in left if left[place] and place not in offering]
        if waiting and step % 3:
            place = waiting[step % len(waiting)]
            size = random.randint(1, 3)
            batch, left[place] = left[place][:size], left[place][size:]
            offering[place] = order.offer(place, batch, at(now_ms))
        else:
            now_ms += step % 7
        go()
    now_ms += wait_ms
    go()
    return told


def holds(history: History, wait_ms: int, make: Callable[[int], TimeOrder] = TimeOrder) -> bool:
    """Whether what is promised is kept: all of it once, in order but for what is marked, within the bound."""
    told = play(history, wait_ms, make)
    everything = sorted(
        (at_us, ("s", name), sequence)
        for name, times in history.shards.items()
        for sequence, at_us in enumerate(sorted(times), 1)
    )
    if sorted(step.key for step in told) != everything:
        return False
    if wait_ms == NEVER and [step.key for step in told] != everything:
        return False
    youngest = -1
    for step in told:
        if step.is_late != (step.key[0] < youngest):
            return False
        youngest = max(youngest, step.key[0])
    for place in {step.key[1] for step in told}:
        of_shard = [step.key[2] for step in told if step.key[1] == place]
        if of_shard != sorted(of_shard):
            return False
    return True


@given(HISTORIES)
def test_without_a_bound_the_order_is_that_of_time(history: History) -> None:
    assert holds(history, NEVER)


@given(HISTORIES, st.integers(0, 20))
def test_with_a_bound_all_goes_once_and_what_is_out_of_order_is_marked(
    history: History, wait_ms: int
) -> None:
    assert holds(history, wait_ms)


@given(HISTORIES, st.integers(0, 20))
def test_the_oldest_of_all_batches_never_waits_longer_than_the_bound(history: History, wait_ms: int) -> None:
    told = play(history, wait_ms)
    for place, step in enumerate(told):
        before = told[place - 1].gone_ms if place else 0
        # From when it was offered, or the last batch of another shard had gone; time moves by six at most.
        assert step.gone_ms <= max(step.offered_ms, before) + wait_ms + 6


# ---- canaries ----------------------------------------------------------------------------------------------


class NoFrontier(TimeOrder):
    """Takes every shard for one that has come past."""

    def _has_passed(self, place: Place, batch: OfferedBatch) -> bool:
        return True


class NoMark(TimeOrder):
    """Marks nothing."""

    def next(self, now: Now) -> ReleasedChange | None:
        change = super().next(now)
        return None if change is None else ReleasedChange(change.batch, change.record, False)


class NoTies(TimeOrder):
    """Does not wait for one of the same time of a shard that comes before."""

    def _has_passed(self, place: Place, batch: OfferedBatch) -> bool:
        is_past = self._frontiers.get(place, -1) >= batch.first.created_us
        return is_past or super()._has_passed(place, batch)


class NoBound(TimeOrder):
    """Waits for ever."""

    def __init__(self, wait_ms: int, floor_us: int = 0) -> None:
        super().__init__(NEVER, floor_us)


class Youngest(TimeOrder):
    """Lets the last offered batch go first."""

    def next(self, now: Now) -> ReleasedChange | None:
        self._batches.sort(key=lambda batch: batch.offered_ms)
        return super().next(now) if not self._batches else ReleasedChange(
            self._batches[-1], self._batches[-1].first, self._batches[-1].first.created_us < self.floor_us
        )  # fmt: skip


@pytest.mark.parametrize(
    ("make", "wait_ms"),
    [(NoFrontier, NEVER), (NoMark, 0), (NoTies, NEVER), (Youngest, NEVER)],
)
def test_a_rule_that_is_broken_is_caught(make: Callable[[int], TimeOrder], wait_ms: int) -> None:
    random = Random(5)
    histories = [
        History(
            {name: [random.randint(0, 9) for _ in range(random.randint(0, 6))] for name in "abc"},
            [random.randint(0, 999) for _ in range(30)],
        )
        for _ in range(60)
    ]
    assert all(holds(history, wait_ms) for history in histories)
    assert not all(holds(history, wait_ms, make) for history in histories)


def test_a_bound_that_is_forgotten_is_caught() -> None:
    order = NoBound(1_000)
    order.know([A, B])
    order.offer(A, records(5), at(0))
    assert released(order, 1_000) == []
