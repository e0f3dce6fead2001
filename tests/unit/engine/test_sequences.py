"""Numbers never repeat, whatever is lost; times never go back."""

import pytest

from tailrace.engine.committer import Committer
from tailrace.engine.documents import CATALOG
from tailrace.engine.sequences import KEY, Sequences
from tailrace.errors import StoreError
from tailrace.streams.sequence import BLOCK
from tests.unit.engine.building import START_MS, FailingStore


def started(store: FailingStore) -> tuple[Sequences, Committer]:
    committer = Committer(store)
    sequences = Sequences(committer)
    sequences.load(is_start=True)
    return sequences, committer


def test_numbers_follow_the_clock_and_always_grow() -> None:
    sequences, _ = started(FailingStore())
    numbers = [sequences.next(ms) for ms in (START_MS, START_MS, START_MS - 5_000, START_MS + 1)]
    assert numbers == [START_MS << 20, (START_MS << 20) + 1, (START_MS << 20) + 2, (START_MS + 1) << 20]


def test_the_first_use_of_a_block_is_synced_and_the_rest_of_it_is_not() -> None:
    store = FailingStore()
    sequences, committer = started(store)
    for ms in (START_MS, START_MS + 1, START_MS + 3_600_001):
        sequences.next(ms)
        committer.put_row(16, b"x", b"%d" % ms)
        committer.flush()
    assert [commit.sync for commit in store.commits] == [True, False, True]


def test_a_start_never_issues_a_number_of_the_block_before_even_if_only_its_first_commit_is_kept() -> None:
    store = FailingStore()
    sequences, committer = started(store)
    sequences.next(START_MS)
    committer.flush()
    lost = [sequences.next(START_MS + step * 600_000) for step in range(6)]
    again, _ = started(store)
    assert again.next(START_MS) > max(lost)
    assert again.next(START_MS) < (START_MS << 20) + 2 * BLOCK


def test_a_failed_reservation_is_made_again() -> None:
    store = FailingStore()
    sequences, committer = started(store)
    committer.after_failure = lambda: sequences.load(is_start=False)
    store.is_broken = True
    lost = sequences.next(START_MS)
    with pytest.raises(StoreError):
        committer.flush()
    store.is_broken = False
    assert sequences.next(START_MS) == lost + 1
    committer.flush()
    assert store.get(CATALOG, KEY) is not None
    assert store.commits[-1].sync


def test_creation_times_never_go_back() -> None:
    sequences, _ = started(FailingStore())
    assert [sequences.created(ms) for ms in (5, 3, 9, 9)] == [5, 5, 9, 9]
