"""Chunks of bulk requests at their bounds, and the lines of guarded writes."""

import pytest

from tailrace.sinks.search.requests import GuardedWrite, SeenState, halves, in_bulks


def writes(*sizes: int) -> list[GuardedWrite]:
    return [GuardedWrite(place, "id", b"x" * size, None) for place, size in enumerate(sizes)]


def sizes(chunks: list[list[GuardedWrite]]) -> list[int]:
    return [len(chunk) for chunk in chunks]


def test_a_chunk_has_at_most_so_many_writes() -> None:
    assert sizes(list(in_bulks(writes(*[1] * 5), most=2))) == [2, 2, 1]
    assert sizes(list(in_bulks(writes(), most=2))) == []


def test_a_chunk_has_at_most_so_many_bytes() -> None:
    one = 34 + 66
    assert sizes(list(in_bulks(writes(34, 34), most_bytes=2 * one))) == [2]
    assert sizes(list(in_bulks(writes(34, 35), most_bytes=2 * one))) == [1, 1]
    assert sizes(list(in_bulks(writes(1, 1000, 1), most_bytes=2 * one))) == [1, 1, 1]


@pytest.mark.parametrize("count", [2, 3, 7])
def test_halves_are_all_of_it_and_none_is_empty(count: int) -> None:
    whole = writes(*range(count))
    first, second = halves(whole)
    assert [*first, *second] == whole
    assert first
    assert second


def test_a_write_replaces_only_what_was_seen() -> None:
    seen = SeenState(7, 2)
    assert GuardedWrite(0, "a", b"{}", None).lines == b'{"create":{"_id":"a","require_alias":true}}\n{}\n'
    assert GuardedWrite(0, "a", b"{}", seen).lines == (
        b'{"index":{"_id":"a","if_seq_no":7,"if_primary_term":2,"require_alias":true}}\n{}\n'
    )
    assert (
        GuardedWrite(0, "a", None, seen).lines
        == b'{"delete":{"_id":"a","if_seq_no":7,"if_primary_term":2}}\n'
    )
