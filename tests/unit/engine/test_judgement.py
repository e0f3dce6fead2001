"""Writes in slices: conditions that take long, large transactions, updates that repeat a value;
others write in between.
"""

import pytest

from tailrace.engine.engine import Engine
from tailrace.engine.slices import Slices, at_once
from tailrace.errors import ApiError
from tailrace.expressions.condition import Condition, parse_condition
from tailrace.expressions.placeholders import Placeholders
from tailrace.expressions.update import FEW, MOST_ELEMENTS, parse_update
from tailrace.tables.mutate import ConditionCheck, Delete, Mutation, Operation, Put, Update
from tailrace.values import canonical
from tailrace.values.canonical import size_bytes, size_shared
from tailrace.values.types import AttributeValue, Item
from tests.unit.engine.building import with_table

LARGE: Item = {"pk": {"S": "a"}, "l": {"L": [{"NULL": True}] * 50_000}}
KEY: Item = {"pk": {"S": "a"}}


def condition(text: str) -> Condition:
    return parse_condition(text, Placeholders(None, {":x": {"S": "x"}}))


HEAVY = " OR ".join(["contains(l, :x)"] * 100)
HOLDS = condition(f"{HEAVY} OR attribute_exists(l)")
FAILS = condition(HEAVY)


def holding(*items: Item) -> Engine:
    engine, _ = with_table()
    for item in items:
        engine.put(Put("orders", item))
    engine.committer.flush()
    return engine


def rest(work: Slices[object], count: int = 3) -> None:
    for _ in range(count):
        next(work)


def operations(wanted: Condition) -> list[Operation]:
    return [
        Put("orders", {**KEY, "n": {"N": "1"}}, wanted, return_old_on_failure=True),
        Update("orders", KEY, None, wanted),
        Delete("orders", KEY, wanted),
    ]


@pytest.mark.parametrize("number", range(3))
def test_a_condition_that_takes_long_is_judged_in_slices_and_then_asked_no_more(number: int) -> None:
    engine = holding(LARGE)
    operation = operations(HOLDS)[number]
    assert engine.takes_long(operation)
    work = engine.judged(operation)
    rest(work, 90)
    judged = at_once(work)
    assert judged.condition is None
    assert not engine.takes_long(judged)
    assert engine.write(judged).old == LARGE


@pytest.mark.parametrize("number", range(3))
def test_a_condition_that_fails_in_slices_is_told_as_ever(number: int) -> None:
    engine = holding(LARGE)
    operation = operations(FAILS)[number]
    with pytest.raises(ApiError) as told:
        at_once(engine.judged(operation))
    with pytest.raises(ApiError) as expected:
        engine.write(operation)
    assert (told.value.code, told.value.message, told.value.extra) == (
        expected.value.code,
        expected.value.message,
        expected.value.extra,
    )


def test_an_item_that_changes_while_it_is_judged_is_judged_again() -> None:
    engine = holding(LARGE)
    work = engine.judged(Delete("orders", KEY, FAILS))
    rest(work)
    engine.put(Put("orders", {**LARGE, "l": {"L": [*LARGE["l"]["L"], {"S": "x"}]}}))
    judged = at_once(work)
    assert judged.condition is None, "now it holds"


def test_an_item_that_changes_all_the_time_is_judged_at_once_in_the_end() -> None:
    engine = holding(LARGE)
    holds = condition(f"{' OR '.join(['contains(l, :x)'] * 20)} OR attribute_exists(l)")
    assert engine.takes_long(Delete("orders", KEY, holds))
    work = engine.judged(Delete("orders", KEY, holds))
    rounds = 0
    while True:
        try:
            next(work)
        except StopIteration as end:
            judged = end.value
            break
        rounds += 1
        engine.put(Put("orders", {**LARGE, "n": {"N": str(rounds)}}))
    assert judged.condition == holds
    assert rounds == 3 * holds.prepared.operators


def test_a_small_item_or_few_operators_are_judged_at_once() -> None:
    engine = holding({**KEY, "l": {"L": []}})
    assert not engine.takes_long(Delete("orders", KEY, HOLDS))
    assert not engine.takes_long(Delete("orders", {"pk": {"S": "absent"}}, HOLDS))
    assert not holding(LARGE).takes_long(Delete("orders", KEY, condition("contains(l, :x)")))


# ---- transactions ------------------------------------------------------------------------------------------


def named(name: str, text: str = "y", size: int = 100_000) -> Item:
    return {"pk": {"S": name}, "a": {"S": text * size}}


def whole(work: Slices[list[Mutation]]) -> list[Mutation]:
    return at_once(work)


def test_a_large_transaction_is_decided_in_slices_and_seen_whole_or_not_at_all() -> None:
    engine = holding()
    names = [str(number) for number in range(20)]
    work = engine.transact_slices([Put("orders", named(name)) for name in names])
    slices = 0
    while True:
        try:
            next(work)
        except StopIteration:
            break
        slices += 1
        assert [engine.get("orders", {"pk": {"S": name}}) for name in names] == [None] * 20
    assert slices >= 15
    assert all(engine.get("orders", {"pk": {"S": name}}) for name in names)


def test_what_others_write_while_a_transaction_is_decided_is_judged_again() -> None:
    engine = holding(named("first", "x", 1), named("last", "x", 1))
    absent = condition("attribute_not_exists(taken) AND a = :x")
    add = parse_update("SET n = n + :one", Placeholders(None, {":one": {"N": "1"}}))
    engine.put(Put("orders", {"pk": {"S": "counter"}, "n": {"N": "1"}}))

    def begun() -> Slices[list[Mutation]]:
        work = engine.transact_slices(
            [
                ConditionCheck("orders", {"pk": {"S": "first"}}, absent),
                Update("orders", {"pk": {"S": "counter"}}, add),
                *(Put("orders", named(str(number))) for number in range(5)),
            ]
        )
        rest(work)
        return work

    work = begun()
    engine.update(Update("orders", {"pk": {"S": "counter"}}, add))
    whole(work)
    assert engine.get("orders", {"pk": {"S": "counter"}}) == {"pk": {"S": "counter"}, "n": {"N": "3"}}
    work = begun()
    engine.put(Put("orders", {**named("first", "x", 1), "taken": {"S": "yes"}}))
    engine.delete(Delete("orders", {"pk": {"S": "0"}}))
    with pytest.raises(ApiError) as told:
        whole(work)
    assert [reason["Code"] for reason in told.value.extra["CancellationReasons"]] == [
        "ConditionalCheckFailed",
        *["None"] * 6,
    ]
    assert engine.get("orders", {"pk": {"S": "0"}}) is None


def test_a_table_that_goes_while_a_transaction_is_decided_fails_it() -> None:
    engine = holding()
    work = engine.transact_slices([Put("orders", named(str(number))) for number in range(5)])
    rest(work)
    engine.delete_table("orders")
    with pytest.raises(ApiError) as told:
        whole(work)
    assert told.value.code == "ResourceNotFoundException"


# ---- updates that repeat a large value ---------------------------------------------------------------------


def clauses(text: str, count: int) -> str:
    return ", ".join(text.format(number) for number in range(count))


@pytest.mark.parametrize(
    "text",
    ["SET {} ".format(clauses("a{} = list_append(l, l)", 100)), "ADD {}".format(clauses("s{} :s", 100))],
)
def test_what_no_item_could_hold_is_not_made_again_and_again(text: str) -> None:
    values: Item = {":s": {"SS": [f"{number:x}" for number in range(60_000)]}} if ":s" in text else {}
    item: Item = {"pk": {"S": "a"}, "l": {"L": [{"NULL": True}] * 100_000}}
    made: list[AttributeValue] = []
    update = parse_update(text, Placeholders(None, values or None))

    class Noted(dict[str, AttributeValue]):
        """An item that notes what is asked of it."""

        def get(self, name: str, default: object = None) -> object:  # type: ignore[override]
            made.append({"S": name})
            return super().get(name)

    with pytest.raises(ApiError, match="Item size to update has exceeded the maximum allowed size"):
        update.apply(Noted(item))
    assert len(made) <= 2 * (MOST_ELEMENTS // 100_000 + 1)


def test_one_value_at_many_places_is_weighed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    weighed = 0
    content = canonical._content_size

    def counted(kind: str, given: object) -> int:
        nonlocal weighed
        weighed += 1
        return content(kind, given)

    engine = holding({**KEY, "m": {"M": {}}})
    value: AttributeValue = {"L": [{"L": [{"B": "AAAA"}] * 1_000}]}
    many = parse_update(f"SET {clauses('m.a{} = :v', 200)}", Placeholders(None, {":v": value}))
    monkeypatch.setattr(canonical, "_content_size", counted)
    with pytest.raises(ApiError, match="Item size to update has exceeded"):
        engine.update(Update("orders", KEY, many))
    assert weighed < 3_000, "not two hundred times a thousand"


def test_an_update_of_many_paths_does_what_one_of_few_does() -> None:
    values: Item = {":v": {"L": [{"S": "x"}, {"M": {"z": {"N": "1"}}}]}, ":s": {"NS": ["10", "9"]}}
    item: Item = {**KEY, "m": {"M": {"r": {"S": ""}}}, "s": {"NS": ["1", "11"]}, "r": {"S": "r"}}
    text = f"SET {clauses('m.a{0} = :v, b{0} = :v', FEW)} REMOVE r, m.r ADD s :s"
    many = parse_update(text, Placeholders(None, values)).apply(item)
    expected: Item = {**KEY, "m": {"M": {}}, "s": {"NS": ["1", "9", "10", "11"]}}
    for number in range(FEW):
        expected["m"]["M"][f"a{number}"] = expected[f"b{number}"] = values[":v"]
    assert many == expected
    assert size_shared(many) == size_bytes(many)
