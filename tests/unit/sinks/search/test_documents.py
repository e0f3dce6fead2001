"""Ids of documents: two items never share one, and a person can read it."""

from hypothesis import given
from hypothesis import strategies as st

from tailrace.sinks.search.documents import LONGEST_ID, SOURCES_ID, document_id
from tailrace.tables.schema import TableSchema
from tailrace.values.types import Item

PARTS = st.text(alphabet=st.sampled_from("ab|%7C/ é\x00\n"), min_size=1, max_size=5)


def key_of(pk: str, sk: str | None = None) -> tuple[bytes, Item]:
    """The key of an item of a table with these key attributes, as records have it."""
    keys: Item = {"pk": {"S": pk}, **({} if sk is None else {"sk": {"S": sk}})}
    schema = TableSchema("t", 1, "t", "pk", "S", *(() if sk is None else ("sk", "S")))
    return schema.locate_key(keys).key_bytes, keys


def id_of(pk: str, sk: str | None = None) -> str:
    return document_id(*key_of(pk, sk))


def test_an_id_can_be_read() -> None:
    assert id_of("ORDER#1") == "ORDER#1"
    assert id_of("CUSTOMER#é 1", "ORDER/2026-11-28") == "CUSTOMER#é 1|ORDER/2026-11-28"
    assert id_of("a|b", "c%d") == "a%7Cb|c%25d"
    assert id_of("a\x00\n") == "a%00%0A"


def test_a_number_is_its_digits_and_a_binary_in_hexadecimal() -> None:
    schema = TableSchema("t", 1, "t", "pk", "N", "sk", "B")
    keys: Item = {"pk": {"N": "-12.5"}, "sk": {"B": "AP8="}}
    assert document_id(schema.locate_key(keys).key_bytes, keys) == "-12.5|00ff"


def test_an_id_above_the_servers_bound_is_a_hash() -> None:
    assert id_of("x" * LONGEST_ID) == "x" * LONGEST_ID
    longer, other = id_of("x" * (LONGEST_ID + 1)), id_of("x" * LONGEST_ID + "y")
    assert longer.startswith("%sha256:")
    assert longer != other
    assert len(longer.encode()) <= LONGEST_ID
    assert id_of("é" * 256) == "é" * 256
    assert id_of("é" * 257).startswith("%sha256:")


def test_no_item_has_the_id_of_the_sources() -> None:
    assert id_of(SOURCES_ID) == "%25sources"


@given(st.tuples(PARTS, PARTS), st.tuples(PARTS, PARTS))
def test_two_items_have_two_ids(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert (id_of(*one) == id_of(*other)) == (one == other)


@given(PARTS, PARTS)
def test_two_items_of_one_attribute_have_two_ids(one: str, other: str) -> None:
    assert (id_of(one) == id_of(other)) == (one == other)


def test_the_canary_ids_of_other_products_collide() -> None:
    assert "|".join(("a|b", "c")) == "|".join(("a", "b|c"))
    assert id_of("a|b", "c") != id_of("a", "b|c")
