"""The hash space: its bounds, its parts, and where partition keys are in it."""

from itertools import pairwise

import pytest

from tailrace.errors import ApiError
from tailrace.streams.kinesis.hash_ranges import HASHES, HashRange, equal_parts, hash_of, read_hash_key

LAST = "340282366920938463463374607431768211455"


def test_the_space_ends_at_two_to_the_power_of_128_less_one() -> None:
    assert str(HASHES - 1) == LAST
    assert equal_parts(1) == [HashRange(0, int(LAST))]


def test_three_parts_are_those_that_aws_makes() -> None:
    assert equal_parts(3) == [
        HashRange(0, 113427455640312821154458202477256070484),
        HashRange(113427455640312821154458202477256070485, 226854911280625642308916404954512140969),
        HashRange(226854911280625642308916404954512140970, int(LAST)),
    ]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 100, 9_999])
def test_parts_part_the_space(count: int) -> None:
    parts = equal_parts(count)
    assert (parts[0].first, parts[-1].last, len(parts)) == (0, HASHES - 1, count)
    assert all(lower.last + 1 == upper.first for lower, upper in pairwise(parts))


@pytest.mark.parametrize(
    ("key", "digest"),
    [
        ("", "d41d8cd98f00b204e9800998ecf8427e"),
        ("abc", "900150983cd24fb0d6963f7d28e17f72"),
        ("message digest", "f96b697d7cb7938d525a2f31aaf161d0"),
    ],
)
def test_a_partition_key_is_where_its_md5_says(key: str, digest: str) -> None:
    assert hash_of(key) == int(digest, 16)  # vectors of RFC 1321


@pytest.mark.parametrize("text", ["0", LAST])
def test_a_hash_key_may_be_any_of_the_space(text: str) -> None:
    assert read_hash_key(text, "ExplicitHashKey") == int(text)


@pytest.mark.parametrize("text", [str(HASHES), "-1", "٣", "", "1" * 5_000, "1.0"])
def test_one_beyond_the_space_is_refused_by_its_name(text: str) -> None:
    with pytest.raises(ApiError, match="Invalid ExplicitHashKey") as refused:
        read_hash_key(text, "ExplicitHashKey")
    assert refused.value.code == "InvalidArgumentException"


def test_neighbours_touch_from_both_sides_and_others_do_not() -> None:
    assert HashRange(0, 4).touches(HashRange(5, 5))
    assert HashRange(5, 5).touches(HashRange(0, 4))
    assert not HashRange(0, 4).touches(HashRange(4, 9))
    assert not HashRange(0, 4).touches(HashRange(6, 9))
    assert [HashRange(3, 5).has(key) for key in (2, 3, 5, 6)] == [False, True, True, False]
