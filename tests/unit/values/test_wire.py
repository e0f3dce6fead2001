"""Values from the wire: canonical, or refused in AWS's words. Source: semantics §6.3, §6.5."""

from typing import Any

import pytest

from tailrace.errors import CORAL, VALIDATION, ApiError
from tailrace.values.types import AttributeValue
from tailrace.values.wire import NAME_BYTES, NESTING, depth_of, dump_item, read_item, read_value

EMPTY = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
SEVERAL = (
    "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the "
    "supported datatypes"
)
INVALID = "One or more parameter values were invalid: "
NOT_A_NUMBER = "The parameter cannot be converted to a numeric value"
VALUE_CLASS = "com.amazonaws.dynamodb.v20120810.AttributeValue"
TOO_DEEP = (
    "Nesting Levels have exceeded supported limits: Attributes in the item have nested levels "
    "beyond supported limit"
)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"S": ""}, {"S": ""}), ({"S": "a"}, {"S": "a"}), ({"N": "1.0"}, {"N": "1"}), ({"B": ""}, {"B": ""}),
        ({"B": "AAEC"}, {"B": "AAEC"}), ({"BOOL": False}, {"BOOL": False}), ({"BOOL": "Yes"}, {"BOOL": True}),
        ({"NULL": "1"}, {"NULL": True}),
        ({"NULL": True}, {"NULL": True}), ({"SS": ["b", "a", ""]}, {"SS": ["", "a", "b"]}),
        ({"NS": ["10", "9.0", "-1"]}, {"NS": ["-1", "9", "10"]}),
        ({"BS": ["/w==", "AA=="]}, {"BS": ["AA==", "/w=="]}),
        ({"L": []}, {"L": []}), ({"M": {}}, {"M": {}}), ({"L": [{"N": "01"}]}, {"L": [{"N": "1"}]}),
        ({"M": {"a": {"L": [{"SS": ["b", "a"]}]}}}, {"M": {"a": {"L": [{"SS": ["a", "b"]}]}}}),
        ({"S": "a", "N": None}, {"S": "a"}), ({"S": "a", "Other": 1}, {"S": "a"}),
    ],
)  # fmt: skip
def test_a_value_becomes_canonical(raw: Any, expected: AttributeValue) -> None:
    assert read_value(raw) == expected
    again = read_value(read_item({"a": expected})["a"])
    assert again == expected


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({}, EMPTY), ({"X": "a"}, EMPTY), ({"S": None}, EMPTY), ({"X": 1, "Y": 2}, EMPTY),
        ({"S": None, "N": None}, EMPTY),
        ({"S": "a", "N": "1"}, SEVERAL), ({"L": [], "M": {}}, SEVERAL),
        ({"N": ""}, f"{NOT_A_NUMBER}: "), ({"N": "b"}, f"{NOT_A_NUMBER}: b"),
        ({"NS": ["1", ""]}, f"{NOT_A_NUMBER}: "),
        ({"N": "1" * 39}, "Attempting to store more than 38 significant digits in a Number"),
        ({"N": "1E126"},
         "Number overflow. Attempting to store a number with magnitude larger than supported range"),
        ({"N": "1E-131"},
         "Number underflow. Attempting to store a number with magnitude smaller than supported range"),
        ({"NULL": False}, f"{INVALID}Null attribute value types must have the value of true"),
        ({"SS": []}, f"{INVALID}An string set  may not be empty"),
        ({"NS": []}, f"{INVALID}An number set  may not be empty"),
        ({"BS": []}, f"{INVALID}Binary sets should not be empty"),
        ({"SS": ["a", "a"]}, f'{INVALID}Input collection ["a", "a"] contains duplicates.'),
        ({"SS": ["b", "a", "b"]}, f'{INVALID}Input collection ["a", "b", "b"] contains duplicates.'),
        ({"NS": ["1", "1.0"]}, f"{INVALID}Input collection contains duplicates."),
        ({"BS": ["AA==", "AA=="]},
         f'{INVALID}Input collection ["AA==","AA=="]of type BS contains duplicates.'),
        ({"L": [{}]}, EMPTY), ({"M": {"a": {"N": "x"}}}, f"{NOT_A_NUMBER}: x"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_in_awss_words(raw: Any, message: str) -> None:
    with pytest.raises(ApiError) as refused:
        read_value(raw)
    assert (refused.value.prefix, refused.value.message) == (VALIDATION, message)
    assert (refused.value.code, refused.value.status) == ("ValidationException", 400)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("a", "Unexpected value type in payload"), (1, "Unexpected value type in payload"),
        (None, "Unexpected value type in payload"), ([], f"Unrecognized collection type class {VALUE_CLASS}"),
        ({"S": 1}, "NUMBER_VALUE cannot be converted to String"),
        ({"S": 1.5}, "DECIMAL_VALUE cannot be converted to String"),
        ({"S": True}, "TRUE_VALUE cannot be converted to String"),
        ({"S": False}, "FALSE_VALUE cannot be converted to String"),
        ({"S": ["a"]}, "Unrecognized collection type class java.lang.String"),
        ({"S": {"a": 1}}, "Start of structure or map found where not expected"),
        ({"N": 1}, "NUMBER_VALUE cannot be converted to String"),
        ({"NS": [1]}, "NUMBER_VALUE cannot be converted to String"),
        ({"SS": "a"}, "Unexpected field type"),
        ({"SS": {}}, "Start of structure or map found where not expected"),
        ({"SS": [None]}, "Start of structure or map found where not expected"),
        ({"B": 1}, "only base-64-encoded strings are convertible to bytes"),
        ({"B": True}, "only base-64-encoded strings are convertible to bytes"),
        ({"B": []}, "Unrecognized collection type class java.nio.ByteBuffer"),
        ({"B": {}}, "Start of structure or map found where not expected"),
        ({"B": "AAA"}, "Base64 encoded length is expected a multiple of 4 bytes but found: 3"),
        *[({"B": text}, "Invalid last non-pad Base64 character dectected") for text in ("????", "A===",
            "=+/=", "+/+=", "AB==", "éééé")],
        ({"BS": ["A"]}, "Base64 encoded length is expected a multiple of 4 bytes but found: 1"),
        ({"BOOL": "on"}, "Unexpected token received from parser"),
        ({"BOOL": 1}, "NUMBER_VALUE cannot be converted to Boolean"),
        ({"NULL": 0}, "NUMBER_VALUE cannot be converted to Boolean"),
        ({"BOOL": []}, "Unrecognized collection type class java.lang.Boolean"),
        ({"L": {}}, "Start of structure or map found where not expected"),
        ({"L": "a"}, "Unexpected field type"),
        ({"L": ["a"]}, "Unexpected value type in payload"),
        ({"M": []}, f"Unrecognized collection type java.util.Map<java.lang.String, {VALUE_CLASS}>"),
        ({"M": "a"}, "Unexpected field type"), ({"M": {"a": 1}}, "Unexpected value type in payload"),
    ],
)  # fmt: skip
def test_a_wrong_json_type_is_a_serialization_error(raw: Any, message: str) -> None:
    with pytest.raises(ApiError) as refused:
        read_value(raw)
    assert (refused.value.code, refused.value.prefix) == ("SerializationException", CORAL)
    assert refused.value.message == message


@pytest.mark.parametrize("raw", [None, 1, "a", True])
def test_an_item_is_a_map(raw: object) -> None:
    with pytest.raises(ApiError, match="Unexpected field type"):
        read_item(raw)
    with pytest.raises(ApiError, match=r"Unrecognized collection type java\.util\.Map"):
        read_item([])


@pytest.mark.parametrize("kind", ["L", "M"])
def test_nesting_ends_at_its_bound(kind: str) -> None:
    def nested(containers: int) -> dict[str, Any]:
        value: dict[str, Any] = {"S": "bottom"}
        for _ in range(containers):
            value = {"L": [value]} if kind == "L" else {"M": {"a": value}}
        return value

    assert read_value(nested(NESTING - 1)) == nested(NESTING - 1)
    with pytest.raises(ApiError, match=TOO_DEEP):
        read_value(nested(NESTING))
    with pytest.raises(ApiError, match=TOO_DEEP):
        read_item({"a": nested(NESTING)})
    with pytest.raises(ApiError, match=TOO_DEEP):
        read_value(nested(5_000))


def test_an_item_is_stored_as_the_bytes_that_are_answered() -> None:
    item = read_item({"n": {"N": "1.0"}, "s": {"S": "é"}})
    assert dump_item(item) == '{"n":{"N":"1"},"s":{"S":"é"}}'.encode()


@pytest.mark.parametrize(
    "later", [{"S": 5}, {"N": 5}, "a", {"L": [{"M": {"x": {"BOOL": "a"}}}]}, {"SS": [1]}, {"N": "x", "S": 5}]
)
@pytest.mark.parametrize(
    "sooner", [{"N": "x"}, {}, {"SS": []}, {"S": "a", "N": "1"}, {"M": {"a": {"N": "x"}}}]
)
def test_wrong_types_are_said_before_wrong_values(sooner: Any, later: Any) -> None:
    for read, raw in ((read_item, {"a": sooner, "b": later}), (read_value, {"L": [sooner, later]})):
        with pytest.raises(ApiError) as refused:
            read(raw)
        assert refused.value.code == "SerializationException"


@pytest.mark.parametrize("bytes_each", [1, 2, 4])
def test_an_attribute_name_has_at_most_65535_bytes(bytes_each: int) -> None:
    letter, count = "a\xe9\U0001f600"[bytes_each // 2], NAME_BYTES // bytes_each
    name = letter * count
    assert read_item({name: {"M": {name: {"S": ""}}}}) == {name: {"M": {name: {"S": ""}}}}
    for raw in ({name + letter: {"S": ""}}, {"m": {"M": {name + letter: {"S": ""}}}}):
        with pytest.raises(ApiError) as refused:
            read_item(raw)
        assert refused.value.message == f"{INVALID}Attribute name is too large, must be less than 65536 bytes"


@pytest.mark.parametrize("raw", [{"": {"S": ""}}, {"m": {"M": {"": {"S": ""}}}}])
def test_an_attribute_name_is_not_empty(raw: Any) -> None:
    with pytest.raises(ApiError) as refused:
        read_item(raw)
    assert refused.value.message == "Empty attribute name"


@pytest.mark.parametrize(
    ("value", "levels"),
    [
        ({"S": "a"}, 1),
        ({"L": []}, 1),
        ({"M": {}}, 1),
        ({"SS": ["a"]}, 1),
        ({"L": [{"S": "a"}, {"L": [{"N": "1"}]}]}, 3),
    ],
)
def test_values_know_their_depth(value: AttributeValue, levels: int) -> None:
    assert depth_of(value) == levels
