"""A key's entity is the same whether its JSON is matched or decoded.

Rules of this file: the slow way is the oracle; keys of the entities are as frequent as any
others, escapes among them.
"""

from typing import Any

import orjson
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from tailrace import App, Item
from tailrace.app.table import Table

app = App("keys")
shop = app.table("shop", pk="pk", sk="sk")
numbers = app.table("numbers", pk="n", sk='a"b', pk_type="N", sk_type="B")


class Order(Item, table=shop, pk="ORDER#{id}", sk="META"):
    id: str


class Line(Item, table=shop, pk="ORDER#{id}", sk="LINE#{article}|{colour}"):
    id: str
    article: str
    colour: str


class Numbered(Item, table=shop, pk="COUNT#{number:04}", sk="META"):
    number: int


class Quoted(Item, table=shop, pk='"{name}\\', sk="é.*{word}"):
    name: str
    word: str


class Count(Item, table=numbers, pk="{number}", sk="{data}"):
    number: int
    data: bytes


TEXTS = st.text(st.sampled_from(["a", "#", "|", '"', "\\", "é", "\n", "\x00", "7", "🎈"]), max_size=3)
PK = st.one_of(
    TEXTS,
    st.builds("ORDER#{}".format, TEXTS),
    st.builds("COUNT#{}".format, st.sampled_from(["0007", "7", "x"])),
    st.builds('"{}\\'.format, TEXTS),
)
SK = st.one_of(
    TEXTS, st.just("META"), st.builds("LINE#{}|{}".format, TEXTS, TEXTS), st.builds("é.*{}".format, TEXTS)
)


def slow(table: Table, item: dict[str, Any]) -> Any:
    return next((entity for entity in table.entities if entity.parts and entity.fits(item)), None)


@given(pk=PK, sk=SK)
def test_matching_and_decoding_find_the_same_entity(pk: str, sk: str) -> None:
    item = {"pk": {"S": pk}, "sk": {"S": sk}}
    entity = shop.entities.of(orjson.dumps(item))
    event(str(entity))
    assert entity is slow(shop, item)


@pytest.mark.parametrize(
    ("item", "name"),
    [
        ({"pk": {"S": "ORDER#o1"}, "sk": {"S": "META"}}, "Order"),
        ({"pk": {"S": 'ORDER#"'}, "sk": {"S": "META"}}, "Order"),
        ({"pk": {"S": "ORDER#a#b"}, "sk": {"S": "META"}}, "None"),
        ({"pk": {"S": "ORDER#o1"}, "sk": {"S": "METAL"}}, "None"),
        ({"pk": {"S": "ORDER#é"}, "sk": {"S": "LINE#tea|green"}}, "Line"),
        ({"pk": {"S": "COUNT#0007"}, "sk": {"S": "META"}}, "Numbered"),
        ({"pk": {"S": "COUNT#seven"}, "sk": {"S": "META"}}, "None"),
        ({"pk": {"S": '"x\\'}, "sk": {"S": "é.*y"}}, "Quoted"),
        ({"n": {"N": "7"}, 'a"b': {"B": "AA=="}}, "Count"),
    ],
)
def test_the_entity_of_a_key(item: dict[str, Any], name: str) -> None:
    table = numbers if "n" in item else shop
    assert str(table.entities.of(orjson.dumps(item))) == name
    assert str(slow(table, item)) == name
    if name == "Order":  # another order of the attributes says the same
        assert str(table.entities.of(orjson.dumps(dict(reversed(item.items()))))) == name
