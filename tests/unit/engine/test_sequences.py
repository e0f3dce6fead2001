"""Numbers never repeat, whatever is lost; times never go back."""

import pytest

from tailrace.engine.catalog import Catalog
from tailrace.engine.committer import Committer
from tailrace.engine.documents import CATALOG, SEQUENCE
from tailrace.engine.settings import EngineSettings
from tailrace.errors import StoreError
from tailrace.streams.record import BLOCK
from tests.unit.engine.building import START_MS, FailingStore


def started(store: FailingStore) -> tuple[Catalog, Committer]:
    committer = Committer(store)
    catalog = Catalog(committer, EngineSettings())
    catalog.load(is_start=True)
    return catalog, committer


def test_numbers_follow_the_clock_and_always_grow() -> None:
    catalog, _ = started(FailingStore())
    numbers = [catalog.take_sequence(ms) for ms in (START_MS, START_MS, START_MS - 5_000, START_MS + 1)]
    assert numbers == [START_MS << 20, (START_MS << 20) + 1, (START_MS << 20) + 2, (START_MS + 1) << 20]


def test_the_first_use_of_a_block_is_synced_and_the_rest_of_it_is_not() -> None:
    store = FailingStore()
    catalog, committer = started(store)
    for ms in (START_MS, START_MS + 1, START_MS + 3_600_001):
        catalog.take_sequence(ms)
        committer.put_row(16, b"x", b"%d" % ms)
        committer.flush()
    assert [commit.sync for commit in store.commits] == [True, False, True]


def test_a_start_never_issues_a_number_of_the_block_before_even_if_only_its_first_commit_is_kept() -> None:
    store = FailingStore()
    catalog, committer = started(store)
    catalog.take_sequence(START_MS)
    committer.flush()
    lost = [catalog.take_sequence(START_MS + step * 600_000) for step in range(6)]
    again, _ = started(store)
    assert again.take_sequence(START_MS) > max(lost)
    assert again.take_sequence(START_MS) < (START_MS << 20) + 2 * BLOCK


def test_a_failed_reservation_is_made_again() -> None:
    store = FailingStore()
    catalog, committer = started(store)
    committer.after_failure = catalog.load
    store.is_broken = True
    lost = catalog.take_sequence(START_MS)
    with pytest.raises(StoreError):
        committer.flush()
    store.is_broken = False
    assert catalog.take_sequence(START_MS) == lost + 1
    committer.flush()
    assert store.get(CATALOG, SEQUENCE) is not None
    assert store.commits[-1].sync


def test_creation_times_never_go_back() -> None:
    catalog, _ = started(FailingStore())
    assert [catalog.take_created_ms(ms) for ms in (5, 3, 9, 9)] == [5, 5, 9, 9]
