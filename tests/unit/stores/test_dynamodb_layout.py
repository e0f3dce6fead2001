"""Which item a row is, and which row an item."""

from collections import Counter

import pytest

from tailrace.rows.kinds import CHECKPOINT, HEAD, KINDS, MARK, PARKED, PROJECTION_ITEM
from tailrace.rows.writes import Absent, AbsentOrOlder, Always, Equals
from tailrace.stores.dynamodb_layout import (
    BUCKETS,
    LONGEST_TEXT,
    expression_of,
    item_of,
    key_of,
    place_of,
    prefix_place,
)
from tailrace.streams.version import Version

LONG = "ab" * 3_072
KEYS = [
    "lease",
    "lease/a",
    "lease/a#05/b",
    "audit/000000000001",
    "esm/uuid",
    "layout",
    "unknown/a/b",
    "pause/shop/mail",
    HEAD.key("shop", "mail", LONG),
    PARKED.key("shop", "mail", LONG, Version(1, 5).text),
    MARK.key("shop.mail", "run", "orders", "aa"),
    MARK.key("shop.mail", "run", "orders", LONG),
    CHECKPOINT.key("a/b", "mail", "2026-11-01T00:00:00.000", "shardId-1"),
    "a/",
]


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
@pytest.mark.parametrize("number", [1, 2])
def test_a_key_comes_out_of_its_item(key: str, number: int) -> None:
    assert key_of(item_of(key, {}, "{}", number), number) == key


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_an_item_has_the_keys_that_dynamodb_takes_and_the_whole_key_where_it_is_cut(key: str) -> None:
    item = item_of(key, {}, "{}")
    assert 0 < len(item["pk"]["S"].encode()) <= 2_048
    assert 0 < len(item["sk"]["S"].encode()) <= 1_024
    assert ("key" in item) == (len(key) > 6_000)


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_every_prefix_of_a_key_finds_its_partition(key: str) -> None:
    pk, sk = place_of(key)
    for end in range(len(key) + 1):
        place = prefix_place(key[:end])
        if place is not None:
            assert pk in place.partitions
            assert sk.startswith(place.sk)


def test_items_that_are_no_rows_have_no_key() -> None:
    for pk in ("tailrace", "tailrace-parts/0", "tailrace-part-sets#00", "user"):
        assert key_of({"pk": {"S": pk}, "sk": {"S": "1"}}) is None


def test_a_hot_kind_is_spread_evenly_and_is_read_in_as_many_partitions() -> None:
    keys = [CHECKPOINT.key("shop", "mail", "label", f"shardId-{number:08d}") for number in range(3_200)]
    counts = Counter(place_of(key).pk for key in keys)
    place = prefix_place(CHECKPOINT.prefix("shop", "mail"))
    assert place is not None
    assert set(place.partitions) == set(counts)
    assert len(counts) == BUCKETS
    assert max(counts.values()) < 2 * 3_200 / BUCKETS


def test_rows_that_are_read_together_lie_together() -> None:
    for prefix in (PARKED.prefix("shop", "mail", LONG), PROJECTION_ITEM.prefix("shop", "sales@v1", "0a")):
        place = prefix_place(prefix)
        assert place is not None
        assert len(place.partitions) == 1
        assert place_of(f"{prefix}1").pk == place.partitions[0]


def test_a_kind_of_which_there_are_few_is_not_spread() -> None:
    assert [kind.name for kind in KINDS.values() if kind.spread and kind.owner == "directory"] == []
    assert place_of("pause/shop/mail").pk == "pause/shop"


def test_a_text_of_256_letters_stands_whole_and_of_a_longer_one_its_digest() -> None:
    for size in (LONGEST_TEXT, LONGEST_TEXT + 1):
        fields = {"text": "x" * size, "n": 5, "yes": True, "large": 10**38, "list": []}
        item = item_of("a/b", fields, "{}")
        assert (item["f_text"]["S"] == fields["text"]) == (size == LONGEST_TEXT)
        assert len(item["f_text"]["S"]) <= LONGEST_TEXT
        assert (
            expression_of([Equals("text", "x" * size)])["ExpressionAttributeValues"][":v0"] == item["f_text"]
        )
        assert item.keys() & {"f_n", "f_yes", "f_large", "f_list"} == {"f_n"}


def test_what_demands_nothing_is_no_expression() -> None:
    assert expression_of([Always()]) == {}
    assert expression_of([Always(), Absent()]) == {"ConditionExpression": "attribute_not_exists(pk)"}
    names = expression_of([Equals("a", 1), AbsentOrOlder(Version(1, 1))])["ExpressionAttributeNames"]
    assert names == {"#f0": "f_a", "#f1": "f_version", "#s1": "f_sequence"}
