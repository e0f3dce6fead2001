"""Lines of DYNAMODB_JSON and values of ION: every shape that has been seen, and what none of them is."""

from decimal import Decimal
from typing import Any

import orjson
import pytest

from tailrace.errors import Refused
from tailrace.exports.core.exported import ExportedItem, located
from tailrace.exports.core.ion import exported_of_ion, ion_values
from tailrace.exports.core.lines import exported_of_json, json_of
from tailrace.exports.core.unpacking import lines_of
from tailrace.exports.core.unreadable import Unreadable
from tailrace.tables.schema import TableSchema
from tests.unit.exports.given import DIGITS, EVERYTHING

KEYS = {"pk": {"S": "a"}}
MICROS = 1_680_109_764_000_000


def change(micros: Any = "1680109764000000", **members: Any) -> bytes:
    return orjson.dumps({"Metadata": {"WriteTimestampMicros": micros}, "Keys": KEYS, **members})


def reason(line: bytes, is_full: bool | None = None) -> str:
    with pytest.raises(Unreadable) as error:
        exported_of_json(line, is_full)
    return str(error.value)


@pytest.mark.parametrize("micros", [{"N": str(MICROS)}, {"N": MICROS}, str(MICROS), MICROS])
def test_the_time_of_a_change_is_read_in_every_form(micros: Any) -> None:
    item = exported_of_json(change(micros, NewImage=KEYS), False)
    assert item == ExportedItem(KEYS, KEYS, None, MICROS)


@pytest.mark.parametrize(
    "micros", [None, "", "1.5", "-1", -1, True, {"S": "1"}, {"N": "x"}, {"N": None}, [], 1.5]
)
def test_what_is_no_time_is_refused(micros: Any) -> None:
    assert "where a count of microseconds stands" in reason(change(micros))


def test_inserts_updates_and_deletes_are_told_apart() -> None:
    new, old = {**KEYS, "x": {"N": "1"}}, {**KEYS, "x": {"N": "2"}}
    assert exported_of_json(change(NewImage=new), False) == ExportedItem(KEYS, new, None, MICROS)
    assert exported_of_json(change(NewImage=new, OldImage=old), False).old == old
    deleted = exported_of_json(change(OldImage=old), False)
    assert (deleted.is_deleted, deleted.old) == (True, old)
    came_and_went = exported_of_json(change(), False)
    assert (came_and_went.is_deleted, came_and_went.old, came_and_went.keys) == (True, None, KEYS)


def test_items_become_canonical() -> None:
    line = b'{"Item":{"pk":{"S":"a"},"n":{"N":"001.50"},"s":{"NS":["10","9.0"]}}}'
    assert exported_of_json(line, None).new == {"pk": {"S": "a"}, "n": {"N": "1.5"}, "s": {"NS": ["9", "10"]}}


@pytest.mark.parametrize(("line", "words"), [
    (b"{", "no JSON"),
    (b"\xff", "no JSON"),
    (b"[]", "no object, but list"),
    (b"{}", "a change without Metadata.WriteTimestampMicros"),
    (b'{"Item":{"pk":{"S":"a"}},"Keys":{}}', "beside Item stands Keys"),
    (b'{"Item":{"pk":{"S":1}}}', "Item is no item: NUMBER_VALUE cannot be converted to String"),
    (b'{"Item":{"pk":{"N":"1e127"}}}', "Item is no item"),
    (b'{"Item":{"pk":{"SS":[]}}}', "Item is no item"),
    (b'{"Item":{"pk":{"S":"a","N":"1"}}}', "Item is no item"),
    (b'{"Item":null}', "Item is no item"),
    (b'{"item":{"pk":{"S":"a"}}}', "neither an item nor a change: it has item"),
    (b'{"Metadata":{"WriteTimestampMicros":1}}', "a change without Keys"),
    (b'{"Metadata":{"WriteTimestampMicros":1},"Keys":{}}', "a change without Keys"),
    (b'{"Metadata":{},"Keys":{"pk":{"S":"a"}}}', "a change without Metadata"),
    (change(NewImages=KEYS), "neither an item nor a change: it has NewImages"),
    (change(NewImage=None), "NewImage is no item"),
])  # fmt: skip
def test_what_is_no_line_says_why(line: bytes, words: str) -> None:
    assert words in reason(line)


def test_a_line_is_of_the_kind_that_the_manifest_says() -> None:
    item = b'{"Item":{"pk":{"S":"a"}}}'
    for is_full in (True, None):
        assert exported_of_json(item, is_full).keys is None
    assert "an item of a full export" in reason(item, False)
    assert "no member Item; there are Keys, Metadata" in reason(change(), True)


def test_a_line_that_is_written_again_is_the_same() -> None:
    for line in (orjson.dumps({"Item": EVERYTHING}), change(NewImage=EVERYTHING, OldImage=KEYS), change()):
        item = exported_of_json(line, None)
        assert exported_of_json(json_of(item), None) == item


# ---- where it belongs --------------------------------------------------------------------------------------

SCHEMA = TableSchema("orders", 0, "", "pk", "S", "n", "N")


def test_an_item_is_located_by_its_keys_or_by_itself() -> None:
    keys = {"pk": {"S": "a"}, "n": {"N": "7"}}
    target = SCHEMA.locate_key(keys)
    assert located(SCHEMA, ExportedItem(None, {**keys, "x": {"S": ""}})) == target
    assert located(SCHEMA, ExportedItem(keys, None, None, 1)) == target


@pytest.mark.parametrize("item", [
    ExportedItem(None, KEYS), ExportedItem(KEYS, KEYS), ExportedItem({**KEYS, "n": {"S": "7"}}, None),
])  # fmt: skip
def test_an_item_of_another_table_is_refused(item: ExportedItem) -> None:
    with pytest.raises(Refused, match=r"does not have the key of table 'orders' \(pk and n\)"):
        located(SCHEMA, item)


# ---- ION ---------------------------------------------------------------------------------------------------


def ion(text: str | bytes) -> list[ExportedItem]:
    data = text.encode() if isinstance(text, str) else text
    return [exported_of_ion(value, None) for value in ion_values([data])]


def test_a_line_of_ion_is_read_as_dynamodb_writes_it() -> None:
    (item,) = ion(
        '$ion_1_0 {Item:{pk:"a\\u0000",n:' + DIGITS + ".,e:1.5d-130,i:-7,z:-0.,b:{{AAH/}},t:true,f:false,"
        'o:null,ss:$dynamodb_SS::["b","a"],ns:$dynamodb_NS::[10.,9.5],bs:$dynamodb_BS::[{{AAH/}}],'
        "l:[1.,{a:\"b\"},null.string],m:{'$x y':[]}}}\n"
    )
    assert item.new == {
        "pk": {"S": "a\x00"},
        "n": {"N": DIGITS},
        "e": {"N": "0." + "0" * 129 + "15"},
        "i": {"N": "-7"},
        "z": {"N": "0"},
        "b": {"B": "AAH/"},
        "t": {"BOOL": True},
        "f": {"BOOL": False},
        "o": {"NULL": True},
        "ss": {"SS": ["a", "b"]},
        "ns": {"NS": ["9.5", "10"]},
        "bs": {"BS": ["AAH/"]},
        "l": {"L": [{"N": "1"}, {"M": {"a": {"S": "b"}}}, {"NULL": True}]},
        "m": {"M": {"$x y": {"L": []}}},
    }


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("micros", ["1680109764000000.", "1680109764000000", '"1680109764000000"',
                                    "{N:1680109764000000.}", '{N:"1680109764000000"}'])  # fmt: skip
def test_a_change_in_ion_is_read_with_and_without_a_record_around_it(wrapped: bool, micros: str) -> None:
    members = f'{{Metadata:{{WriteTimestampMicros:{micros}}},Keys:{{pk:"a"}},OldImage:{{pk:"a"}}}}'
    text = f"$ion_1_0 {{Record:{members}}}" if wrapped else f"$ion_1_0 {members}"
    assert ion(text) == [ExportedItem(KEYS, None, KEYS, MICROS)]


def test_values_over_several_lines_and_several_in_a_line_are_read() -> None:
    assert [item.new for item in ion('{Item:\n {pk:"a"}\n}{Item:{pk:"b"}} // the end\n')] == [
        {"pk": {"S": "a"}}, {"pk": {"S": "b"}},
    ]  # fmt: skip


@pytest.mark.parametrize("value", [
    "1e0", "nan", "2023-01-01T", "sym", "'quoted symbol'", "(a b)", '{{"clob"}}', "x::1",
    '$dynamodb_XS::["a"]',
    'a::$dynamodb_SS::["a"]', "$dynamodb_SS::[1.]", '$dynamodb_SS::"a"', "$dynamodb_SS::[]",
    '$dynamodb_SS::["a","a"]', "1d127", DIGITS + "9.", "$dynamodb_NS::[null]",
])  # fmt: skip
def test_what_dynamodb_never_writes_is_refused(value: str) -> None:
    with pytest.raises(Unreadable):
        ion(f"$ion_1_0 {{Item:{{pk:{value}}}}}")


@pytest.mark.parametrize("text", [
    "[]", "5", '"a"', "{Item:5}", "{Item:null}", "{item:{}}", "{", '{Item:{pk:"a}}', b"\xe0\x01\x00\xea\xd4",
    b"\xe0\x09\x09\xea",
])  # fmt: skip
def test_what_is_no_ion_of_an_export_is_refused(text: str | bytes) -> None:
    with pytest.raises(Unreadable):
        ion(text)


def test_ion_is_read_from_chunks_of_any_size() -> None:
    text = '$ion_1_0 {Item:{pk:"é😀",n:1.50}}\n'.encode() * 3
    for size in range(1, len(text)):
        chunks = [text[start : start + size] for start in range(0, len(text), size)]
        values = [exported_of_ion(value, True) for value in ion_values(chunks)]
        assert values == [ExportedItem(None, {"pk": {"S": "é😀"}, "n": {"N": "1.5"}})] * 3


def test_numbers_are_never_floats() -> None:
    (value,) = ion_values([b"$ion_1_0 {n:0.1}"])
    assert isinstance(value, dict)
    assert type(value["n"]) is Decimal


# ---- pieces ------------------------------------------------------------------------------------------------


def test_lines_are_cut_where_they_end_whatever_the_chunks() -> None:
    text = b"one\n\ntwo\r\nthree"
    for size in range(1, 20):
        chunks = [text[start : start + size] for start in range(0, len(text), size)]
        assert list(lines_of(chunks)) == [b"one", b"", b"two\r", b"three"]


def test_a_line_without_end_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(Unreadable, match="a line of more than 33,554,432 bytes"):
        list(lines_of(b"x" * 1_048_576 for _ in range(10**9)))
