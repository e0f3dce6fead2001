"""Tokens stand for their requests for ten minutes, in the same commit, and are forgotten in slices."""

import pytest

from tailrace.engine.documents import TOKENS
from tailrace.engine.requests import VALID_MS
from tailrace.errors import ApiError, StoreError
from tests.unit.engine.building import FailingStore, keep_house, opened, with_table


def rows(store: FailingStore) -> int:
    return len(store.query(TOKENS, b"", None, 1_000))


def test_a_token_stands_for_its_request_until_it_expires() -> None:
    engine, clock = with_table()
    assert engine.requests.done("t", "digest") is None
    engine.requests.keep("t", "digest", {"orders": 2.0})
    clock.advance(VALID_MS - 1)
    assert engine.requests.done("t", "digest") == {"orders": 2.0}
    with pytest.raises(ApiError) as refused:
        engine.requests.done("t", "another")
    assert refused.value.code == "IdempotentParameterMismatchException"
    clock.advance(1)
    assert engine.requests.done("t", "another") is None


def test_a_cancelled_request_is_to_be_done_again() -> None:
    engine, _ = with_table()
    engine.requests.keep("t", "digest", None)
    assert engine.requests.done("t", "digest") is None
    with pytest.raises(ApiError):
        engine.requests.done("t", "another")


def test_a_token_is_durable_with_the_group_and_lost_with_it() -> None:
    store = FailingStore()
    engine, clock = with_table(store=store)
    engine.requests.keep("kept", "digest", {})
    engine.committer.flush()
    store.is_broken = True
    engine.requests.keep("lost", "digest", {})
    with pytest.raises(StoreError):
        engine.committer.flush()
    assert engine.requests.done("lost", "digest") is None
    assert opened(store, clock).requests.done("kept", "digest") == {}


def test_what_has_expired_is_removed_whole_and_what_was_used_again_stays() -> None:
    store = FailingStore()
    engine, clock = with_table(store=store)
    for number in range(300):
        engine.requests.keep(f"t{number}", "digest", {})
    clock.advance(VALID_MS - 1)
    engine.requests.keep("t7", "digest", {})
    keep_house(engine)
    assert rows(store) == 601
    clock.advance(1)
    keep_house(engine)
    assert rows(store) == 2
    assert engine.requests.done("t7", "digest") == {}
    clock.advance(VALID_MS)
    keep_house(engine)
    assert rows(store) == 0
