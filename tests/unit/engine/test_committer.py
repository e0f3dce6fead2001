"""The group over the store: what reads see, what failures drop."""

import pytest

from tailrace.engine.committer import HEAVY_BYTES, Committer
from tailrace.errors import InternalError, StoreError
from tailrace.ports import LogRow
from tailrace.stores.memory import MemoryStore
from tests.unit.engine.building import FailingStore

TABLE = 16


def filled(store: FailingStore) -> Committer:
    committer = Committer(store)
    for name in (b"a", b"c", b"e"):
        committer.put_row(TABLE, name, b"stored " + name)
    committer.flush()
    return committer


def names(rows: list[tuple[bytes, bytes]]) -> str:
    return "".join(key.decode() for key, _ in rows)


def test_reads_see_what_is_pending() -> None:
    committer = filled(FailingStore())
    committer.put_row(TABLE, b"a", b"new")
    committer.put_row(TABLE, b"c", None)
    assert committer.get(TABLE, b"a") == b"new"
    assert committer.get(TABLE, b"c") is None
    assert committer.get(TABLE, b"e") == b"stored e"


@pytest.mark.parametrize(
    ("first", "last", "limit", "reverse", "expected"),
    [
        (b"", None, 10, False, "abde"),
        (b"", None, 10, True, "edba"),
        (b"", None, 2, False, "ab"),
        (b"", None, 2, True, "ed"),
        (b"b", b"e", 10, False, "bd"),
        (b"b", b"e", 1, True, "d"),
        (b"f", None, 10, False, ""),
    ],
)
def test_a_range_merges_store_and_pending_rows_in_both_directions(
    first: bytes, last: bytes | None, limit: int, reverse: bool, expected: str
) -> None:
    committer = filled(FailingStore())
    committer.put_row(TABLE, b"d", b"1")
    committer.query(TABLE, b"", None, 1)  # from here on the pending keys are kept in order
    committer.put_row(TABLE, b"b", b"2")
    committer.put_row(TABLE, b"c", None)
    assert names(committer.query(TABLE, first, last, limit, reverse=reverse)) == expected


def test_removed_rows_do_not_shorten_a_page() -> None:
    committer = filled(FailingStore())
    committer.put_row(TABLE, b"a", None)
    assert names(committer.query(TABLE, b"", None, 2)) == "ce"


def test_another_tables_rows_are_not_seen() -> None:
    committer = filled(FailingStore())
    committer.put_row(TABLE + 1, b"b", b"other")
    assert names(committer.query(TABLE, b"", None, 10)) == "ace"


def test_one_flush_is_one_commit_of_everything() -> None:
    store = FailingStore()
    committer = filled(store)
    committer.add_change(TABLE, b"x", b"1", LogRow(7, 1, b"header", None, b"1"))
    committer.add_change(TABLE, b"x", b"2", LogRow(7, 2, b"header", b"1", b"2"))
    committer.flush()
    committer.flush()
    assert len(store.commits) == 2
    assert [row.value for row in store.commits[1].rows] == [b"2"]
    assert [row.sequence for row in store.commits[1].log] == [1, 2]
    assert not committer.is_dirty


def test_listeners_learn_of_advanced_shards_after_the_commit_until_they_leave() -> None:
    store = FailingStore()
    committer = Committer(store)
    heard: list[tuple[frozenset[int], int]] = []
    leave = committer.on_commit(lambda shards: heard.append((shards, len(store.commits))))
    committer.add_change(TABLE, b"x", b"1", LogRow(7, 1, b"", None, b"1"))
    committer.note_closed(9)
    assert heard == []
    committer.flush()
    committer.put_row(TABLE, b"y", b"1")
    committer.flush()
    assert heard == [(frozenset({7, 9}), 1)]
    leave()
    committer.note_closed(9)
    committer.put_row(TABLE, b"y", b"2")
    committer.flush()
    assert len(heard) == 1


def test_a_group_in_flight_stays_readable_while_the_next_collects() -> None:
    store = FailingStore()
    committer = filled(store)
    committer.put_row(TABLE, b"a", b"first")
    committer.put_row(TABLE, b"b", b"first")
    commit = committer.begin_flush()
    assert commit is not None
    committer.put_row(TABLE, b"b", None)
    assert committer.get(TABLE, b"a") == b"first"
    assert committer.get(TABLE, b"b") is None
    assert names(committer.query(TABLE, b"", None, 10)) == "ace"
    committer.write(commit)
    committer.finish_flush()
    assert committer.get(TABLE, b"b") is None
    committer.flush()
    assert store.get(TABLE, b"b") is None
    assert store.get(TABLE, b"a") == b"first"


def test_a_heavy_group_is_one_for_a_store_that_reads_apart_meanwhile_and_no_longer_whatever_comes_of_it() -> (
    None
):
    store = FailingStore()
    committer, told = Committer(store), []
    committer.put_row(TABLE, b"a", b"1")
    committer.note_weight(HEAVY_BYTES)
    assert not committer.is_heavy, "this store cannot"
    committer.read_apart = told.append
    assert committer.is_heavy
    committer.begin_flush(is_apart=True)
    assert (told, committer.is_heavy) == ([True], False)
    committer.finish_flush()
    assert told == [True, False]
    committer.put_row(TABLE, b"a", b"2")
    committer.note_weight(HEAVY_BYTES - 1)
    assert not committer.is_heavy
    committer.flush()
    assert told == [True, False], "what is written at once is read as always"
    committer.put_row(TABLE, b"a", b"3")
    committer.begin_flush(is_apart=True)
    with pytest.raises(StoreError):
        committer.finish_flush(StoreError("the disk is full"))
    assert told == [True, False, True, False]


def test_only_one_group_flies_at_a_time() -> None:
    committer = Committer(MemoryStore())
    committer.put_row(TABLE, b"a", b"1")
    committer.begin_flush()
    with pytest.raises(InternalError):
        committer.begin_flush()
    committer.finish_flush()
    with pytest.raises(InternalError):
        committer.finish_flush()


def test_a_failed_commit_drops_both_groups_and_has_the_owner_reload() -> None:
    store = FailingStore()
    committer = filled(store)
    reloads: list[str] = []
    committer.after_failure = lambda: reloads.append("reload")
    committer.add_change(TABLE, b"a", b"lost", LogRow(7, 1, b"", None, b"lost"))
    assert committer.begin_flush() is not None
    committer.put_row(TABLE, b"c", b"lost too")
    with pytest.raises(StoreError, match="the disk is full"):
        committer.finish_flush(StoreError("the disk is full"))
    assert reloads == ["reload"]
    assert committer.get(TABLE, b"a") == b"stored a"
    assert committer.get(TABLE, b"c") == b"stored c"
    assert not committer.is_dirty
    assert not committer.is_pending(7)


def test_an_unexpected_failure_becomes_a_store_error_with_its_cause() -> None:
    committer = Committer(MemoryStore())
    committer.put_row(TABLE, b"a", b"1")
    committer.begin_flush()
    cause = ValueError("bad bytes")
    with pytest.raises(StoreError, match="bad bytes") as failed:
        committer.finish_flush(cause)
    assert failed.value.__cause__ is cause


def test_after_a_failure_writing_goes_on() -> None:
    store = FailingStore()
    committer = filled(store)
    store.is_broken = True
    committer.put_row(TABLE, b"a", b"lost")
    with pytest.raises(StoreError):
        committer.flush()
    store.is_broken = False
    committer.put_row(TABLE, b"a", b"kept")
    committer.flush()
    assert store.get(TABLE, b"a") == b"kept"


def test_who_fails_to_hear_of_a_commit_does_not_make_it_fail_and_the_others_hear(
    caplog: pytest.LogCaptureFixture,
) -> None:
    committer, heard = Committer(MemoryStore()), []

    def fails(shards: frozenset[int]) -> None:
        raise OSError("no room")

    committer.on_commit(fails)
    committer.on_commit(lambda shards: heard.append(shards))
    committer.add_change(TABLE, b"a", b"1", LogRow(3, 1, b"", None, b"1"))
    committer.flush()
    assert committer.failures == 0
    assert heard == [frozenset({3})]
    assert "failed to hear" in caplog.text
