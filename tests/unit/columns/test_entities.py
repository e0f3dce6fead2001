"""Facts of entities: an item says alone what it is of, and a sample says by which rules."""

import random
from collections.abc import Sequence

import pytest

from tailrace.columns.entities import (
    ANY_KEY,
    DeclaredEntity,
    EntityRules,
    EntitySorter,
    KeyedEntity,
    KeyTemplate,
)
from tailrace.columns.inference import Inferred, infer, learn_rules
from tailrace.columns.kinds import INT64, TEXT
from tailrace.errors import SettingsError
from tailrace.values.types import Item

KEYS = ("pk", "sk")
USER = KeyTemplate("#", ("USER", None))


def item(pk: str, sk: str, **texts: str) -> Item:
    return {"pk": {"S": pk}, "sk": {"S": sk}, **{name: {"S": text} for name, text in texts.items()}}


def learned(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Name → templates of what a sample of keys says."""
    rules = learn_rules([item(*pair) for pair in pairs], "shop", KEYS)
    return {entity.name: str(entity) for entity in rules.templates}


def shop() -> list[Item]:
    items = []
    for number in range(6):
        items.append(item(f"USER#u{number}", "PROFILE"))
        items.append(item(f"USER#u{number}", f"ORDER#{number}"))
        items.append(item(f"ORDER#{number}", "META"))
        items += [item(f"ORDER#{number}", f"LINE#{line}#x") for line in range(2)]
    return items


def test_templates_of_a_single_table_design_are_recognised() -> None:
    inferred = infer(shop(), "shop", KEYS)
    assert {entity.name: (entity.key_words, entity.items) for entity in inferred.entities} == {
        "order_line": ("ORDER#{}, LINE#{}", 12),
        "order": ("ORDER#{}, META", 6),
        "user_order": ("USER#{}, ORDER#{}", 6),
        "user_profile": ("USER#{}, PROFILE", 6),
    }


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("user|a", "x"), ("user|b", "y")], {"user": "user|{}, {}"}),
        ([("org/1/team/2", "x"), ("org/3/team/4", "y")], {"org_team": "org/{}/team/{}, {}"}),
        ([("A:1", "x")], {}),
        ([("ORG:1", "x")], {"org": "ORG:{}, {}"}),
        ([("#META#1", "x")], {"meta": "#META#{}, {}"}),
        ([("CONFIG#GLOBAL", "META")], {"config": "CONFIG#{}, META"}),
        ([("USER#a", "2026-01-01T10:00:00")], {"user": "USER#{}, {}"}),
        ([("ORDER#1#a#b", "x")], {"order": "ORDER#{}, {}"}),
        ([("order#1#open", "1"), ("order#2#open", "2")], {"order": "order#{}, {}"}),
        (
            [("ORDER#1", "META"), ("order#2", "META"), ("order#3", "META")],
            {"order": "ORDER#{}, META", "order_2": "order#{}, META"},
        ),
    ],
)  # fmt: skip
def test_keys_are_split_where_people_split_them(
    pairs: list[tuple[str, str]], expected: dict[str, str]
) -> None:
    assert learned(pairs) == expected


@pytest.mark.parametrize(
    "pairs",
    [
        [("t1", "A"), ("t2", "B"), ("t3", "A")],
        [("2026-01-01T10:00", "x"), ("2026-01-01T11:00", "y")],
        [(f"{name}#1", "x") for name in "abcdefghij"],
        [("alice", "2026"), ("bob", "2027")],
    ],
)
def test_a_table_without_literals_in_its_keys_is_one_entity(pairs: list[tuple[str, str]]) -> None:
    items = [item(*pair) for pair in pairs]
    rules = learn_rules(items, "shop", KEYS)
    assert rules == EntityRules("shop", KEYS)
    assert EntitySorter(rules).rows_of(items) == {"shop": list(range(len(items)))}


def test_many_words_at_one_place_are_values() -> None:
    words = [f"{a}{b}" for a in "ABCDEF" for b in "GHIJKLMN"]
    assert learned([(f"{word}#1", "1") for word in words[:32]]).keys() == {
        word.lower() for word in words[:32]
    }
    assert learned([(f"{word}#1", "1") for word in words[:33]]) == {}


def test_the_order_of_the_sample_makes_no_difference() -> None:
    items = shop()
    shuffled = random.Random(7).sample(items, len(items))
    assert learn_rules(items, "shop", KEYS) == learn_rules(shuffled, "shop", KEYS)


# ---- the attribute that names the type ---------------------------------------------------------------------


def named(inferred: Inferred) -> set[str]:
    return {entity.name for entity in inferred.entities}


@pytest.mark.parametrize("attribute", ["__typename", "_et", "entity", "entityType", "__edb_e__", "_type"])
def test_an_attribute_that_names_types_is_believed(attribute: str) -> None:
    items = [item(f"{n}", "x", **{attribute: "Order" if n % 2 else "User"}) for n in range(4)]
    inferred = infer(items, "shop", KEYS)
    assert inferred.rules.attribute == attribute
    assert named(inferred) == {"Order", "User"}
    assert inferred.entities[0].key_words == f"{attribute} = Order"


def test_type_is_believed_where_it_parts_the_keys() -> None:
    parting = [item("ORDER#1", "META", type="order"), item("USER#1", "META", type="user")]
    assert learn_rules(parting, "shop", KEYS).attribute == "type"
    tariffs = [item(f"USER#{n}", "META", type="free" if n % 2 else "premium") for n in range(6)]
    assert learn_rules(tariffs, "shop", KEYS).attribute is None
    one = [item(f"USER#{n}", "META", type="user") for n in range(6)]
    assert learn_rules(one, "shop", KEYS).attribute is None


def test_type_is_believed_where_it_parts_the_attributes() -> None:
    order = {"total": "1", "lines": "2", "paid": "3"}
    user = {"name": "1", "mail": "2", "city": "3", "street": "4"}
    apart = [item("a", "b", type="order", **order), item("c", "d", type="user", **user)]
    assert learn_rules(apart, "shop", KEYS).attribute == "type", "pk, sk, type of ten attributes"
    alike = [item("a", "b", type="order", **order), item("c", "d", type="user", **order)]
    assert learn_rules(alike, "shop", KEYS).attribute is None
    halves = [item("a", "b", type="order", a="1", b="2"), item("c", "d", type="user", a="1")]
    assert learn_rules(halves, "shop", KEYS).attribute is None


def test_an_attribute_of_fewer_than_half_the_items_or_of_many_values_names_no_type() -> None:
    rare = [item("a", str(n), **({"_et": "X"} if n < 4 else {})) for n in range(9)]
    assert learn_rules(rare, "shop", KEYS).attribute is None
    assert learn_rules(rare[:8], "shop", KEYS).attribute == "_et"
    many = [item("a", str(n), _et=f"X{n}") for n in range(101)]
    assert learn_rules(many, "shop", KEYS).attribute is None
    assert learn_rules(many[:100], "shop", KEYS).attribute == "_et"


def test_a_type_of_more_than_forty_characters_is_none() -> None:
    entities = EntitySorter(EntityRules("shop", KEYS, "_et"))
    assert entities.of(item("a", "b", _et="x" * 40)) == "x" * 40
    assert entities.of(item("a", "b", _et="x" * 41)) == "_other"
    assert entities.of(item("a", "b", _et="")) == entities.of(item("a", "b")) == "_other"
    assert entities.of({**item("a", "b"), "_et": {"N": "1"}}) == "_other"


# ---- items to entities -------------------------------------------------------------------------------------


def test_what_fits_no_template_is_other_and_stays_so_whatever_comes() -> None:
    entities = EntitySorter(learn_rules(shop(), "shop", KEYS))
    assert entities.of(item("ORDER#9", "NOTE#1")) == "_other"
    assert entities.of(item("x", "META")) == "_other"
    entities.rows_of([item("ORDER#9", "NOTE#1")] * 50)
    assert entities.of(item("ORDER#9", "NOTE#1")) == "_other"
    assert entities.of(item("ORDER#new", "LINE#1#2#3")) == "order_line"


def test_of_two_templates_that_fit_the_one_with_more_literals_is_meant() -> None:
    templates = (
        KeyedEntity("user", (USER, ANY_KEY)),
        KeyedEntity("user_profile", (USER, KeyTemplate("", ("PROFILE",)))),
    )
    for order in (templates, templates[::-1]):
        entities = EntitySorter(EntityRules("shop", KEYS, templates=order))
        assert entities.of(item("USER#1", "PROFILE")) == "user_profile"
        assert entities.of(item("USER#1", "PROFILES")) == "user"


def test_a_slot_inside_takes_one_segment_and_the_last_one_all() -> None:
    template = KeyTemplate("#", ("A", None, "B", None))
    assert template.matches("A#1#B#2#3")
    assert not template.matches("A#1#2#B#3")
    assert not template.matches("A#1#B")
    assert KeyTemplate("|", ("A", None)).matches("A|x\ny")
    assert str(template) == "A#{}#B#{}"


def test_a_nul_in_a_key_does_not_end_it() -> None:
    entities = EntitySorter(learn_rules(shop(), "shop", KEYS))
    assert entities.of(item("ORDER#1\0", "META")) == "order"
    assert entities.of(item("ORDER#1\0META", "META")) == "order"
    assert entities.of(item("ORDER#1", "META\0")) == "_other"


def test_numbers_and_binaries_are_slots() -> None:
    items: list[Item] = [{"pk": {"S": f"DEVICE#{n}"}, "sk": {"N": str(n)}} for n in range(3)]
    entities = EntitySorter(learn_rules(items, "t", KEYS))
    assert entities.of(items[0]) == "device"
    assert entities.of({"pk": {"B": "AA=="}, "sk": {"N": "1"}}) == "_other"


def test_a_declared_class_is_asked_first() -> None:
    kinds = {"total": INT64, "pk": TEXT, "sk": TEXT}
    declared = DeclaredEntity("Order", "ORDER#{id}, META", lambda keys: keys["sk"] == {"S": "META"}, kinds)
    inferred = infer(shop(), "shop", KEYS, [declared])
    assert named(inferred) == {"Order", "order_line", "user_order", "user_profile"}
    order = next(entity for entity in inferred.entities if entity.name == "Order")
    assert order.key_words == "ORDER#{id}, META"
    assert [(column.attribute, column.kind) for column in order.table.columns] == [*kinds.items()]
    assert inferred.rules.declared == (("Order", "ORDER#{id}, META"),)


def test_an_item_can_change_its_entity_only_by_the_attribute() -> None:
    by_keys = EntitySorter(learn_rules(shop(), "shop", KEYS))
    assert by_keys.is_told_by_keys()
    by_type = EntitySorter(EntityRules("shop", KEYS, "_et"))
    assert not by_type.is_told_by_keys()
    lead, customer = item("a", "b", _et="Lead"), item("a", "b", _et="Customer")
    assert by_type.left_by(lead, customer) == "Lead"
    assert by_type.left_by(lead, {**lead, "n": {"N": "1"}}) is None
    assert by_type.left_by(lead, None) == "Lead"
    assert by_type.left_by(None, customer) is None


def test_rules_that_are_kept_are_read_back_and_sort_as_before() -> None:
    entities = EntitySorter(learn_rules(shop(), "shop", KEYS))
    kept = EntityRules.from_json(entities.rules.as_json())
    assert kept == entities.rules
    assert EntitySorter(kept).rows_of(shop()) == entities.rows_of(shop())
    with pytest.raises(SettingsError, match="EntityRules has format 9"):
        EntityRules.from_json(kept.as_json().replace('"format":1', '"format":9'))


def test_tables_get_names_that_are_told_apart() -> None:
    entities = EntitySorter(EntityRules("shop", KEYS, "_et"))
    tables = entities.new_tables(["Order", "order", "a.b", "_other"], taken=["ORDER"])
    assert tables["a.b"].name == "a_b"
    assert tables["_other"].name == "_other"
    assert len({table.name.lower() for table in tables.values()} | {"order"}) == 5


# ---- what a sample shows -----------------------------------------------------------------------------------


def test_a_sample_shows_shares_conflicts_and_examples() -> None:
    items: list[Item] = [{"id": {"S": str(n)}, "total": {"N": str(n)}} for n in range(8)]
    items += [{"id": {"S": f"x{n}"}, "total": {"S": "none"}} for n in range(5)]
    (entity,) = infer(items, "orders", ("id",)).entities
    assert (entity.name, entity.items, entity.key_words) == ("orders", 13, "")
    assert entity.having == {"id": 13, "total": 13}
    assert entity.conflicts == {"total": 5}
    assert [example.keys for example in entity.examples["total"]] == [
        {"id": {"S": f"x{n}"}} for n in range(3)
    ]
    assert entity.examples["total"][0].value == {"S": "none"}


def test_an_empty_sample_says_nothing() -> None:
    inferred = infer([], "orders", ("id",))
    assert inferred.entities == ()
    assert not inferred.rules.has_rules
