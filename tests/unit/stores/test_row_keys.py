"""Cut keys: apart from each other, and in key order again when they are read."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from tailrace.stores.row_keys import (
    LONGEST_WORD,
    Ordering,
    cut_key,
    cut_prefix,
    first_stored,
    following,
    run_of,
)

SHARED = "ab" * 250
words = st.one_of(
    st.text("ab-/~é", max_size=3),
    st.builds(
        lambda end, cut: SHARED[: LONGEST_WORD + cut] + end, st.text("ab-~", max_size=3), st.integers(-2, 2)
    ),
)
keys = st.lists(words, min_size=1, max_size=3).map("/".join)


class Item(NamedTuple):
    key: str


def test_a_word_of_400_letters_stands_whole_and_a_longer_one_is_cut() -> None:
    whole, long = "a" * LONGEST_WORD, "a" * (LONGEST_WORD + 1)
    assert cut_key(f"head/{whole}/1") == f"head/{whole}/1"
    assert cut_key(f"head/{long}/1").startswith(f"head/{whole}~")
    assert cut_key(f"head/{long}/1").endswith("/1")
    assert run_of(f"head/{whole}/1") == run_of(cut_key(f"head/{long}/1")) == f"head/{whole}"
    assert run_of("a/" * 300) is None


@given(st.lists(keys, unique=True, max_size=12))
def test_no_two_keys_are_stored_as_one(several: list[str]) -> None:
    assert len({cut_key(key) for key in several}) == len(several)


@given(st.lists(keys, unique=True, max_size=12), keys, st.integers(0, 12), keys)
def test_rows_come_in_key_order_from_where_they_are_asked_for(
    several: list[str], whole: str, length: int, other: str
) -> None:
    for prefix in ("", whole[:length], whole):
        for after in ("", other, *several[:2]):
            stored = sorted((cut_key(key), Item(key)) for key in several)
            if after <= prefix or after.startswith(prefix):
                begin = first_stored(prefix, after)
                stored = [row for row in stored if row[0] >= begin]
            stored = [row for row in stored if row[0].startswith(cut_prefix(prefix))]
            order = Ordering[Item](prefix, after)
            seen = [*order.add(stored), *order.rest()]
            expected = sorted(key for key in several if key.startswith(prefix) and key > after)
            assert [item.key for item in seen] == expected


@given(st.text(max_size=4), st.text(max_size=4))
def test_what_follows_a_text_is_behind_all_that_begin_with_it_and_before_all_others(
    text: str, other: str
) -> None:
    end = following(text)
    assert end is None or end > text + other
    if end is not None and other > text and not other.startswith(text):
        assert other >= end
    assert (end is None) == (text.strip("\U0010ffff") == "")
