"""Keys: what is refused, in which words, and the order that key bytes give."""

import pytest

from tailrace.errors import ApiError
from tailrace.tables.schema import TableSchema
from tailrace.values.types import Item

PAIR = TableSchema("t", 16, "id", "pk", "S", "sk", "N")
SINGLE = TableSchema("t", 17, "id", "pk", "B")
TEXTS = TableSchema("t", 18, "id", "pk", "S", "sk", "S")
KEY_MISMATCH = "The provided key element does not match the schema"


@pytest.mark.parametrize(
    "key",
    [
        {},
        {"pk": {"S": "a"}},
        {"pk": {"S": "a"}, "sk": {"S": "1"}},
        {"pk": {"N": "1"}, "sk": {"N": "1"}},
        {"pk": {"S": "a"}, "sk": {"N": "1"}, "other": {"S": "x"}},
        {"pk": {"S": "a"}, "other": {"N": "1"}},
    ],
)
def test_a_key_that_is_not_the_schemas_is_refused(key: Item) -> None:
    with pytest.raises(ApiError) as refused:
        PAIR.check_key(key)
    assert (refused.value.code, refused.value.message) == ("ValidationException", KEY_MISMATCH)


def test_a_single_key_takes_no_second_attribute() -> None:
    with pytest.raises(ApiError, match=KEY_MISMATCH):
        SINGLE.check_key({"pk": {"B": "YQ=="}, "sk": {"N": "1"}})


@pytest.mark.parametrize(
    ("schema", "item", "message"),
    [
        (
            PAIR,
            {"sk": {"N": "1"}},
            "One or more parameter values were invalid: Missing the key pk in the item",
        ),
        (
            PAIR,
            {"pk": {"S": "a"}},
            "One or more parameter values were invalid: Missing the key sk in the item",
        ),
        (
            PAIR,
            {"pk": {"N": "1"}, "sk": {"N": "1"}},
            "One or more parameter values were invalid: Type mismatch for key pk expected: S actual: N",
        ),
        (
            PAIR,
            {"pk": {"S": "a"}, "sk": {"S": "1"}},
            "One or more parameter values were invalid: Type mismatch for key sk expected: N actual: S",
        ),
        (
            PAIR,
            {"pk": {"S": ""}, "sk": {"N": "1"}},
            "One or more parameter values are not valid. The AttributeValue for a key attribute "
            "cannot contain an empty string value. Key: pk",
        ),
        (
            SINGLE,
            {"pk": {"B": ""}},
            "One or more parameter values are not valid. The AttributeValue for a key attribute "
            "cannot contain an empty binary value. Key: pk",
        ),
        (
            TEXTS,
            {"pk": {"S": "a"}, "sk": {"S": ""}},
            "One or more parameter values are not valid. The AttributeValue for a key attribute "
            "cannot contain an empty string value. Key: sk",
        ),
        (
            PAIR,
            {"pk": {"S": "é" * 1_025}, "sk": {"N": "1"}},
            "One or more parameter values were invalid: Size of hashkey has exceeded the maximum "
            "size limit of2048 bytes",
        ),
        (
            TEXTS,
            {"pk": {"S": "a"}, "sk": {"S": "x" * 1_025}},
            "One or more parameter values were invalid: Aggregated size of all range keys has "
            "exceeded the size limit of 1024 bytes",
        ),
    ],
)
def test_an_item_with_wrong_keys_is_refused_in_awss_words(
    schema: TableSchema, item: Item, message: str
) -> None:
    with pytest.raises(ApiError) as refused:
        schema.check_item(item)
    assert refused.value.message == message


def test_the_largest_keys_are_allowed() -> None:
    TEXTS.check_item({"pk": {"S": "é" * 1_024}, "sk": {"S": "x" * 1_024}})


def test_key_bytes_follow_the_sort_key_inside_a_partition() -> None:
    numbers = ["-1E+20", "-3", "-1", "0", "0.5", "1", "2", "10", "1E+30"]
    keys = [PAIR.key_bytes({"pk": {"S": "a"}, "sk": {"N": number}}) for number in numbers]
    assert keys == sorted(keys)
    assert len({key[:8] for key in keys}) == 1


def test_rows_of_another_partition_never_stand_between() -> None:
    prefix = TEXTS.partition_prefix({"S": "a"})
    other = TEXTS.partition_prefix({"S": "a\0"})
    assert not other.startswith(prefix)
    assert not prefix.startswith(other)


def test_a_whole_item_and_its_key_point_to_the_same_place() -> None:
    item: Item = {"pk": {"S": "a"}, "sk": {"N": "1"}, "more": {"BOOL": True}}
    assert PAIR.locate_item(item) == PAIR.locate_key(PAIR.key_of(item))
    assert PAIR.partition(PAIR.key_of(item)) == int.from_bytes(PAIR.key_bytes(PAIR.key_of(item))[:8])
