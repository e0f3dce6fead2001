"""Versions order as pairs, as texts and as bytes, up to their width and not one past it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import SourceError
from tailrace.streams.version import MOST_GENERATIONS, MOST_SEQUENCE, Version

VERSIONS = st.builds(Version, st.integers(0, MOST_GENERATIONS), st.integers(0, MOST_SEQUENCE))


@given(VERSIONS, VERSIONS)
def test_texts_and_bytes_order_as_the_versions_do(one: Version, other: Version) -> None:
    assert (one.text < other.text) is (one < other)
    assert (one.packed < other.packed) is (one < other)


@given(VERSIONS)
def test_what_goes_in_comes_out(version: Version) -> None:
    assert Version.from_text(version.text) == version
    assert Version.from_packed(version.packed) == version


def test_a_newer_generation_is_newer_whatever_its_sequence_numbers_are() -> None:
    assert Version(1, MOST_SEQUENCE) < Version(2, 0)


@pytest.mark.parametrize(
    ("wide", "words"),
    [
        (Version(MOST_GENERATIONS + 1, 0), "generation 4294967296 does not fit"),
        (Version(0, MOST_SEQUENCE + 1), "does not fit: at most 56 digits"),
        (Version(0, -1), "sequence number -1 does not fit"),
    ],
)
def test_a_wider_one_is_refused_by_name(wide: Version, words: str) -> None:
    with pytest.raises(SourceError, match=words):
        _ = wide.text
    with pytest.raises(SourceError, match=words):
        _ = wide.packed


@pytest.mark.parametrize("text", ["", "1" * 65, "1" * 67, "x" * 66, "-" + "1" * 65])
def test_a_text_that_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no version"):
        Version.from_text(text)
