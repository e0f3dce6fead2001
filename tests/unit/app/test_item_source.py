"""The source of Item classes: it runs, and its classes read and write the sample they were made of."""

import re
from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.app.item_source import ItemSource, item_source
from tailrace.columns.entities import EntitySorter
from tailrace.columns.inference import infer
from tailrace.values.types import Item
from tailrace.values.wire import read_item

TEXT_KEYS = (("pk", "S"), ("sk", "S"))


def written(items: list[Item], keys: tuple[tuple[str, str], ...] = TEXT_KEYS) -> ItemSource:
    names = tuple(name for name, _ in keys)
    inferred = infer(items, "shop", names)
    return item_source("shop", keys, items, EntitySorter(inferred.rules).rows_of(items))


def run(source: ItemSource) -> dict[str, Any]:
    module: dict[str, Any] = {"__name__": "written"}
    exec(compile(source.text, "items.py", "exec"), module)
    return module


def check_round_trip(items: list[Item], source: ItemSource) -> None:
    """Every item of the sample is of one class, and comes out of it as it went in."""
    module = run(source)
    table = module["table"]
    assert sum(map(len, source.written.values())) + source.unwritten == len(items)
    for name, rows in source.written.items():
        entity = module["app"].entity(module[name])
        for row in rows:
            item = items[row]
            fitting = [known for known in table.entities if known.parts and known.fits(item)]
            assert [known.cls.__name__ for known in fitting] == [name]
            again = entity.encode(entity.decode({**item}))
            assert {attribute: again.get(attribute) for attribute in item} == item
            # What is of the key alone is a field, and fields are written: the source says so.
            said = re.findall(r"# (.*): of the key; a put", source.text)
            assert again.keys() - item.keys() <= {field for names in said for field in names.split(", ")}


def order(number: int, **others: Any) -> Item:
    return {"pk": {"S": f"ORDER#o{number}"}, "sk": {"S": "META"}, "id": {"S": f"o{number}"}, **others}


def line(number: int, place: int, **others: Any) -> Item:
    keys = {"pk": {"S": f"ORDER#o{number}"}, "sk": {"S": f"LINE#{place:04}"}}
    return {**keys, "order": {"S": f"o{number}"}, "number": {"N": str(place)}, **others}


def test_slots_are_the_attributes_that_say_the_same() -> None:
    items = [order(1, total={"N": "1.5"}), order(2), line(1, 1), line(1, 12)]
    source = written(items)
    assert "class Order(Item, table=table, pk='ORDER#{id}', sk='META'):" in source.text
    assert "class OrderLine(Item, table=table, pk='ORDER#{order}', sk='LINE#{number:04}'):" in source.text
    assert "    total: Decimal | None = None\n" in source.text
    assert "    number: int\n" in source.text
    assert source.unwritten == 0
    check_round_trip(items, source)


def test_a_slot_that_no_attribute_says_is_a_field_of_the_key() -> None:
    items: list[Item] = [
        {"pk": {"S": f"USER#{n}"}, "sk": {"S": "PROFILE"}, "user": {"S": "x"}} for n in range(2)
    ]
    source = written(items)
    assert "pk='USER#{user_2}'" in source.text
    assert "user_2: of the key; a put writes it as an attribute, too" in source.text
    check_round_trip(items, source)


def test_a_key_attribute_that_is_called_as_its_literal_is_no_field() -> None:
    items: list[Item] = [{"user": {"S": f"USER#{n}"}, "u-s": {"S": "x"}} for n in range(3)]
    source = written(items, (("user", "S"),))
    assert "pk='USER#{user_2}'" in source.text
    check_round_trip(items, source)


def test_a_number_is_a_slot_as_it_is_or_padded() -> None:
    items: list[Item] = [
        {"pk": {"S": f"A_B#{n}"}, "sk": {"S": f"X_Y#{n:02}"}, "n": {"N": str(n)}} for n in range(3)
    ]
    source = written(items)
    assert "pk='A_B#{n}', sk='X_Y#{n:02}'" in source.text
    check_round_trip(items, source)
    fractions: list[Item] = [
        {"pk": {"S": f"A_B#{n}.5"}, "sk": {"S": "META"}, "n": {"N": f"{n}.5"}} for n in range(3)
    ]
    assert "{n}" not in written(fractions).text
    check_round_trip(fractions, written(fractions))


def test_a_plain_table_is_one_class_with_its_key_as_a_field() -> None:
    items: list[Item] = [{"id": {"N": str(n)}, "tags": {"SS": ["a", "b"]}} for n in range(3)]
    source = written(items, (("id", "N"),))
    assert "table = app.table('shop', pk='id', pk_type='N')" in source.text
    assert "class Shop(Item, table=table, pk='{id}'):" in source.text
    assert "    id: int\n    tags: set[str]\n" in source.text
    check_round_trip(items, source)


def test_names_that_python_does_not_take_are_kept_as_attributes() -> None:
    names = ["created-at", "class", "inserted", "2nd", "_et2", "str", "größe", "a b", "a-b", "Any", "import"]
    items = [order(1, **{name: {"N": "1"} for name in names}, none={"NULL": True})]
    source = written(items)
    assert "created_at: Annotated[int, Attribute('created-at')]" in source.text
    check_round_trip(items, source)


@pytest.mark.parametrize(
    ("values", "annotation"),
    [
        ([{"S": "a"}, {"N": "1"}], "Any"),
        ([{"N": "1"}, {"N": "0.5"}], "Decimal"),
        ([{"N": "9" * 38}], "int"),
        ([{"S": "a"}, {"NULL": True}], "str | None"),
        ([{"NULL": True}], "Any | None"),
        ([{"NS": ["1", "2.5"]}], "set[Decimal]"),
        ([{"BS": ["AA=="]}], "set[bytes]"),
        ([{"L": [{"S": "a"}]}, {"L": []}], "list[str]"),
        ([{"L": []}], "list[Any]"),
        ([{"L": [{"S": "a"}, {"NULL": True}]}], "list[str | None]"),
        ([{"L": [{"L": [{"N": "1"}]}]}], "list[list[int]]"),
        ([{"M": {"a": {"N": "1"}, "b": {"N": "2"}}}], "dict[str, int]"),
        ([{"M": {"a": {"N": "1"}, "b": {"S": "2"}}}], "dict[str, Any]"),
        ([{"B": ""}], "bytes"),
        ([{"BOOL": True}], "bool"),
    ],
)
def test_a_field_has_the_type_that_holds_its_values(values: list[Item], annotation: str) -> None:
    items = [order(number, field_={**value}) for number, value in enumerate(values)]
    source = written(items)
    assert f"field: Annotated[{annotation}, Attribute('field_')]" in source.text
    check_round_trip(items, source)


def test_forms_that_one_key_could_fit_are_said_and_not_written() -> None:
    items: list[Item] = [{"pk": {"S": f"USER#{n}"}, "sk": {"S": "PROFILE"}} for n in range(3)]
    items += [{"pk": {"S": f"USER#{n}"}, "sk": {"S": f"2026-0{n}"}} for n in range(2)]
    source = written(items)
    assert source.unwritten == 2
    assert (
        "# user (USER#{}, {}): 2 items of the sample have no class: a key could be of it and of"
        in source.text
    )
    check_round_trip(items, source)


def test_keys_of_other_lengths_are_classes_of_their_own() -> None:
    items: list[Item] = [
        {"pk": {"S": key}, "sk": {"S": "META"}} for key in ("LOG#1", "LOG#2", "LOG#3#x", "LOG#")
    ]
    source = written(items)
    assert "pk='LOG#{log}'" in source.text
    assert "class Log2(Item, table=table, pk='LOG#{log}#{log_2}', sk='META'):" in source.text
    assert "1 item of the sample has no class: a part of its keys is empty" in source.text
    check_round_trip(items, source)


def test_slots_between_other_separators() -> None:
    items: list[Item] = [
        {"pk": {"S": f"org/{n}/team/t:{n}"}, "sk": {"S": f"#META#{n}{{}}"}} for n in range(3)
    ]
    source = written(items)
    check_round_trip(items, source)
    assert source.unwritten == 0


VALUES = st.recursive(
    st.one_of(
        st.text(max_size=3).map(lambda text: {"S": text}),
        st.decimals(-1000, 1000, places=2).map(lambda number: {"N": str(number)}),
        st.integers().filter(lambda number: abs(number) < 10**38).map(lambda number: {"N": str(number)}),
        st.booleans().map(lambda truth: {"BOOL": truth}),
        st.binary(max_size=2).map(lambda data: {"B": b64encode(data).decode()}),
        st.sets(st.integers(0, 9).map(str), min_size=1, max_size=2).map(lambda numbers: {"NS": [*numbers]}),
        st.just({"NULL": True}),
    ),
    lambda inside: st.one_of(
        st.lists(inside, max_size=2).map(lambda values: {"L": values}),
        st.dictionaries(st.sampled_from("xy"), inside, max_size=2).map(lambda members: {"M": members}),
    ),
    max_leaves=3,
)
ITEMS = st.builds(
    lambda pk, sk, others: read_item({"pk": {"S": pk}, "sk": {"S": sk}, **others}),
    st.builds(
        "{}{}{}".format, st.sampled_from(("ORDER#", "USER|", "a/", "")), st.integers(1, 20), st.just("")
    ),
    st.builds("{}{}".format, st.sampled_from(("META#", "LINE#x#", "")), st.integers(1, 20)),
    st.dictionaries(st.sampled_from(("id", "a-b", "A", "list", "größe")), VALUES, max_size=3),
)


@settings(max_examples=60)
@given(st.lists(ITEMS, min_size=1, max_size=6))
def test_any_sample_goes_through_its_classes(items: list[Item]) -> None:
    check_round_trip(items, written(items))
