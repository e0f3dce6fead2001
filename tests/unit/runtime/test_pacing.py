"""When a shard is read next: each bound and one past it, and by chance.

Rules of this file: what the bounds mean for a whole process is simulated in test_pace_of_ten_thousand.py.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.runtime.pacing import (
    AWAKE,
    LEAST_IDLE_MS,
    MOST_IDLE_MS,
    SECOND_MS,
    Pacer,
    PacingSettings,
    TokenBucket,
    fraction,
    idle_calls_per_s,
    idle_delay_ms,
    pause_ms,
)

A, B, C = ("label", "a"), ("label", "b"), ("another", "c")


@pytest.mark.parametrize(
    ("shards", "expected"),
    [(0, 250), (1, 250), (12, 250), (13, 260), (499, 9_980), (500, 10_000), (501, 10_000)],
)  # fmt: skip
def test_idle_shards_share_the_budget_between_a_quarter_of_a_second_and_ten(
    shards: int, expected: int
) -> None:
    assert idle_delay_ms(shards) == expected


@given(st.integers(1, 100_000), st.integers(1, 10_000))
def test_all_idle_shards_together_keep_to_the_budget_or_are_read_every_ten_seconds(
    shards: int, budget: int
) -> None:
    delay_ms, calls_per_s = idle_delay_ms(shards, budget), idle_calls_per_s(shards, budget)
    assert LEAST_IDLE_MS <= delay_ms <= MOST_IDLE_MS
    assert shards * SECOND_MS <= calls_per_s * delay_ms
    if shards * SECOND_MS * 5 <= budget * MOST_IDLE_MS * 4:
        assert calls_per_s == budget


@given(st.integers(1, 40), st.lists(st.integers(0, 400), max_size=300))
def test_no_second_has_more_calls_than_a_bucket_has_tokens(tokens: int, gaps: list[int]) -> None:
    bucket, now, moments = TokenBucket(tokens), 0, []
    for gap in gaps:
        now += gap
        moments.append(bucket.book(now))
        assert moments[-1] >= now
    assert moments == sorted(moments)
    later = zip(moments, moments[tokens:], strict=False)
    assert all(second - first >= SECOND_MS for first, second in later)


def test_a_bucket_that_was_not_used_gives_all_of_its_tokens_at_once_and_the_next_a_second_later() -> None:
    bucket = TokenBucket(5)
    assert [bucket.book(7) for _ in range(6)] == [7] * 5 + [1_007]
    assert bucket.book(1_006) == 1_007
    assert bucket.book(2_007) == 2_007


@given(st.integers(1, 10_000), st.floats(0, 1), st.integers(0, 60_000))
def test_a_pause_grows_to_ten_seconds_and_never_ends_what_it_is_told(
    failures: int, chance: float, told: int
) -> None:
    assert told <= pause_ms(failures, chance, told) <= max(told, 10_000)


def test_chance_is_the_same_for_the_same_words_and_spread_for_others() -> None:
    assert fraction("w", *A) == fraction("w", *A)
    drawn = [fraction("w", number) for number in range(1_000)]
    assert 0 <= min(drawn) < 0.01
    assert 0.99 < max(drawn) < 1


def test_a_new_shard_is_due_at_once() -> None:
    pacer = Pacer()
    assert pacer.due_ms(A, 0, 77) == 77
    assert pacer.book(A, 0, 77) == 77
    assert pacer.open_shards == 1


def test_a_shard_with_records_is_due_at_once_and_one_without_rests() -> None:
    pacer = Pacer()
    pacer.page(A, 9, has_records=True, now_ms=1_000)
    assert pacer.due_ms(A, 9, 1_001) == 1_000
    pacer.page(A, 9, has_records=False, now_ms=1_100)
    assert pacer.due_ms(A, 9, 1_101) == 1_350
    assert pacer.unread_ms(A, 1_200) == 100
    assert pacer.unread_ms(B, 1_200) is None


def test_nothing_is_behind_a_position_as_of_the_read_that_saw_nothing_there() -> None:
    pacer = Pacer()
    assert pacer.empty_ms(A, 0, 0) is None
    pacer.page(A, 9, has_records=True, now_ms=1_000)
    assert pacer.empty_ms(A, 9, 1_050) is None
    pacer.page(A, 9, has_records=False, now_ms=1_100)
    assert pacer.empty_ms(A, 8, 1_200) is None
    assert pacer.empty_ms(A, 9, 1_200) == 100
    pacer.page(A, 4, has_records=True, now_ms=1_300)  # a reader that is behind says nothing of the end
    assert pacer.empty_ms(A, 9, 1_300) == 200
    pacer.page(A, 12, has_records=True, now_ms=1_400)
    assert pacer.empty_ms(A, 12, 1_400) is None


def test_no_shard_is_read_six_times_in_a_second_whoever_reads() -> None:
    pacer = Pacer()
    pacer.page(A, 9, has_records=True, now_ms=0)
    assert [pacer.book(A, after, 100) for after in (9, 3, 9, 3, 9, 3)] == [100] * 5 + [1_100]


def test_a_server_without_that_bound_is_read_as_often_as_there_are_records() -> None:
    pacer = Pacer(PacingSettings(shard_reads_per_s=None))
    pacer.page(A, 9, has_records=True, now_ms=0)
    assert [pacer.book(A, 9, 100) for _ in range(50)] == [100] * 50


def test_reads_of_records_cost_no_idle_call() -> None:
    pacer = Pacer(PacingSettings(calls_per_s=1))
    pacer.page(A, 9, has_records=True, now_ms=0)
    pacer.page(B, 9, has_records=False, now_ms=0)
    assert pacer.book(B, 9, 500) == 500
    assert pacer.book(A, 9, 501) == 501
    assert pacer.book(B, 9, 502) == 1_500


def test_a_reader_that_is_behind_does_not_rest_and_says_nothing_of_the_end() -> None:
    pacer = Pacer()
    pacer.page(A, 9, has_records=False, now_ms=0)
    assert pacer.due_ms(A, 4, 1) == 1
    pacer.page(A, 6, has_records=True, now_ms=1)
    assert pacer.due_ms(A, 9, 1) > 1


def test_a_shard_that_has_records_after_a_pause_wakes_its_siblings_of_the_same_stream() -> None:
    pacer = Pacer(PacingSettings(calls_per_s=1))
    for now_ms, place in enumerate((B, ("label", "d"), C, A)):
        pacer.page(place, 1, has_records=False, now_ms=now_ms)
    assert pacer.page(A, 2, has_records=True, now_ms=100) == [B, ("label", "d")]
    assert pacer.due_ms(B, 1, 100) == 100
    assert pacer.due_ms(C, 1, 100) > 100
    pacer.page(B, 1, has_records=False, now_ms=101)
    assert pacer.page(A, 3, has_records=True, now_ms=102) == []
    pacer.page(A, 3, has_records=False, now_ms=103)
    assert pacer.page(A, 4, has_records=True, now_ms=104) == []
    pacer.page(A, 4, has_records=False, now_ms=4_000)
    assert pacer.page(A, 5, has_records=True, now_ms=100 + pacer.idle_ms) == [B]


def test_a_failing_shard_is_read_by_nobody_before_its_pause_is_over_and_is_never_given_up() -> None:
    pacer = Pacer()
    pacer.page(A, 9, has_records=True, now_ms=0)
    for failures in range(1, 200):
        pacer.failed(A, 3_000, failures * 20_000)
        due_ms = pacer.due_ms(A, 4, failures * 20_000)
        assert failures * 20_000 + 3_000 <= due_ms <= failures * 20_000 + 10_000
    pacer.page(A, 9, has_records=True, now_ms=5_000_000)
    assert pacer.due_ms(A, 9, 5_000_000) == 5_000_000


def test_two_workers_do_not_come_back_at_the_same_moment() -> None:
    dues = set()
    for seed in ("one", "two", "three"):
        pacer = Pacer(seed=seed)
        pacer.failed(A, 0, 0)
        dues.add(pacer.due_ms(A, 0, 0))
    assert len(dues) == 3


def test_what_is_asked_once_of_a_new_shard_does_not_wait_behind_idle_ones() -> None:
    pacer = Pacer(PacingSettings(calls_per_s=1))
    idle = [pacer.book(("label", str(number)), 9, 0) for number in range(3)]
    assert idle[-1] >= 2_000
    asked = [pacer.book_question(("label", f"new {number}"), 0) for number in range(AWAKE + 1)]
    assert asked == [0] * AWAKE + [1_000]


def test_what_is_asked_once_of_thousands_of_new_shards_is_asked_within_seconds() -> None:
    pacer = Pacer()
    asked = [pacer.book_question(("label", str(number)), 0) for number in range(10_000)]
    assert asked[-1] <= 10_000
    for second in range(11):
        counted = len([moment for moment in asked if second * 1_000 <= moment < (second + 1) * 1_000])
        assert counted <= idle_calls_per_s(10_000) * AWAKE


def test_a_shard_that_is_read_no_more_costs_nothing() -> None:
    pacer = Pacer(PacingSettings(calls_per_s=1))
    for number in range(5):
        pacer.begin(("label", str(number)), 0)
    assert pacer.idle_ms == 5_000
    pacer.end(("label", "0"))
    pacer.end(("label", "0"))
    assert (pacer.open_shards, pacer.idle_ms) == (4, 4_000)


def test_a_shard_that_nobody_asks_for_any_more_is_forgotten_unless_it_is_waited_for() -> None:
    pacer = Pacer()
    for now_ms, place in ((100, A), (100, B), (200, C)):
        pacer.begin(place, now_ms)
    pacer.forget(200, [B])
    assert (pacer.open_shards, pacer.unread_ms(A, 300)) == (2, None)
    pacer.forget(201, [])
    assert pacer.open_shards == 0
