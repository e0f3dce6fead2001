"""The leaf of a change: all of it, and nothing twice."""

from hashlib import sha256
from itertools import combinations
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tailrace.journal.core.leaf import LeafColumns, leaf_of, leaves_of
from tailrace.streams.version import MOST_SEQUENCE, Version

CHANGE: dict[str, Any] = {
    "shard": "shardId-1",
    "key": b"k",
    "version": Version(1, 2),
    "created_us": 3,
    "event": "MODIFY",
    "old": b"{}",
    "new": b"{}",
    "origin": "user",
    "ancestry": "f@1",
}
OTHERS: dict[str, Any] = {
    "shard": "shardId-2",
    "key": b"",
    "version": Version(2, 2),
    "created_us": 4,
    "event": "INSERT",
    "old": None,
    "new": b"",
    "origin": None,
    "ancestry": "",
}


def test_a_leaf_is_what_the_format_says() -> None:
    """Written down once more, byte by byte: docs/formats/journal.md."""
    fields = (
        b"shardId-1", b"k", bytes.fromhex("00000001" + "00" * 23 + "02"), bytes(7) + b"\x03", b"MODIFY",
        b"{}", None, b"user", b"",
    )  # fmt: skip
    text = b"\x00tailrace.change.1\x00"
    for field in fields:
        text += b"\xff\xff\xff\xff" if field is None else len(field).to_bytes(4, "big") + field
    assert leaf_of(**CHANGE | {"new": None, "ancestry": ""}) == sha256(text).digest()


@pytest.mark.parametrize("field", CHANGE)
def test_every_field_is_in_the_leaf(field: str) -> None:
    assert leaf_of(**CHANGE | {field: OTHERS[field]}) != leaf_of(**CHANGE)


def test_nothing_and_absent_differ() -> None:
    for field in ("old", "new"):
        assert leaf_of(**CHANGE | {field: b""}) != leaf_of(**CHANGE | {field: None})


@given(st.lists(st.tuples(*[st.binary(max_size=3)] * 3), min_size=2, max_size=8, unique=True))
def test_no_two_changes_share_an_encoding(fields: list[tuple[bytes, bytes, bytes]]) -> None:
    leaves = [leaf_of(**CHANGE | {"key": key, "old": old, "new": new}) for key, old, new in fields]
    assert all(one != other for one, other in combinations(leaves, 2))


IMAGES = st.none() | st.binary(max_size=300)
WORDS = st.none() | st.text(max_size=3)
ROWS = st.tuples(
    st.binary(max_size=300), st.integers(1, 2**32 - 1), st.integers(0, 2**70) | st.just(MOST_SEQUENCE),
    st.integers(-(2**63), 2**63 - 1), st.sampled_from(["INSERT", "MODIFY", "REMOVE"]), IMAGES, IMAGES, WORDS,
    WORDS,
)  # fmt: skip


@given(st.lists(ROWS, min_size=1, max_size=6))
@example([(b"", 1, 2**64 - 1, 0, "INSERT", None, None, None, None)])
@example([(b"", 1, 2**64, 0, "INSERT", None, None, None, None)])
def test_the_leaves_of_many_are_those_of_each(rows: list[Any]) -> None:
    expected = [
        leaf_of("shard", key, Version(generation, sequence), *rest)
        for key, generation, sequence, *rest in rows
    ]
    assert leaves_of("shard", LeafColumns(*zip(*rows, strict=True))) == expected
