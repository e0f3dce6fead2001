"""The way through a log: what waits holds back its own item and nothing else, and nothing passes twice."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tailrace.engine.destinations import passage as module
from tailrace.engine.destinations.passage import Passage

logs = st.lists(st.sampled_from("abc"), max_size=12)
refusals = st.lists(st.sets(st.integers(1, 12), max_size=4), max_size=5)


def go_through(passage: Passage, log: list[str], refused: set[int]) -> list[int]:
    """One round over a log, numbered from 1. Returns: which were delivered."""
    delivered = []
    passage.begin()
    for number in range(passage.through + 1, len(log) + 1):
        key = log[number - 1].encode()
        if passage.is_open(number, key):
            if number in refused:
                passage.wait(key)
            else:
                delivered.append(number)
                passage.done(number)
        if passage.is_full:
            break
    return delivered


@given(logs, refusals)
def test_every_record_passes_once_and_those_of_a_key_in_order(log: list[str], rounds: list[set[int]]) -> None:
    passage = Passage(0)
    delivered = [number for refused in [*rounds, set()] for number in go_through(passage, log, refused)]
    assert sorted(delivered) == list(range(1, len(log) + 1))
    for key in "abc":
        of_key = [number for number in delivered if log[number - 1] == key]
        assert of_key == sorted(of_key)
    assert (passage.through, passage.is_whole) == (len(log), True)


@given(logs, refusals)
def test_what_is_behind_through_is_done_whatever_waits(log: list[str], rounds: list[set[int]]) -> None:
    passage, delivered = Passage(0), set[int]()
    for refused in rounds:
        delivered |= set(go_through(passage, log, refused))
        assert set(range(1, passage.through + 1)) <= delivered


@given(logs, st.sets(st.integers(1, 12), max_size=4))
def test_a_round_delivers_all_but_what_waits_and_what_follows_of_it(
    log: list[str], refused: set[int]
) -> None:
    blocked: set[str] = set()
    expected = []
    for number, key in enumerate(log, start=1):
        if key not in blocked:
            if number in refused:
                blocked.add(key)
            else:
                expected.append(number)
    assert go_through(Passage(0), log, refused) == expected


def test_a_passage_begins_where_it_is_told() -> None:
    assert go_through(Passage(2), list("abab"), set()) == [3, 4]


@pytest.mark.parametrize("key", [b"a", b"b"])
def test_a_round_is_full_at_its_bound_and_not_before(monkeypatch: pytest.MonkeyPatch, key: bytes) -> None:
    monkeypatch.setattr(module, "MOST_AHEAD", 3)
    passage = Passage(0)
    passage.begin()
    assert passage.is_open(1, b"a")
    passage.wait(b"a")
    for number in (2, 3):
        assert not passage.is_full
        if passage.is_open(number, key):
            passage.done(number)
    full = key == b"a"  # the first was looked at in vain as well; of the others one more goes ahead
    assert passage.is_full == full
    if not full:
        assert passage.is_open(4, key)
        passage.done(4)
        assert passage.is_full


def test_what_went_ahead_does_not_keep_the_first_from_being_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_AHEAD", 2)
    passage, log = Passage(0), list("abcd")
    assert go_through(passage, log, {1}) == [2, 3]
    assert go_through(passage, log, {1}) == []
    assert go_through(passage, log, set()) == [1, 4]
