"""`change.transaction`: several writes of one item, merged, against the same writes made one after the other
on the engine.

Rules of this file: the judge is the engine; the merged write must leave the item that the single
writes leave, or fail where one of them fails. A refusal is always allowed here: what must be
merged stands in tests/unit/app/test_transaction.py.
"""

from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from tailrace.app.plain import to_item
from tailrace.app.table import Table
from tailrace.app.transaction import Transaction
from tailrace.engine.engine import Engine
from tailrace.engine.state import read_write
from tailrace.errors import ApiError, SettingsError
from tailrace.ports import ItemWrite
from tailrace.values.types import Item
from tests.unit.engine.building import with_table

ORDERS = Table("orders", "pk")
KEY = {"pk": "a"}
NAMES = ("a", "b", "c")
PATHS = ("a", "b", "c", "m.x", "m.y", "m", "l[0]", "l[1]", "l[0].x", "l", "m.l[1]")
Call = tuple[str, tuple[Any, ...], dict[str, Any]]

numbers = st.integers(-3, 3)
values = st.one_of(
    numbers,
    st.sampled_from([{"p"}, {"p", "q"}, {1, 2}, "text", True]),
    st.dictionaries(st.sampled_from(["x", "y"]), numbers, max_size=2),
    st.lists(numbers | st.fixed_dictionaries({"x": numbers}), max_size=2),
)
paths = st.sampled_from(PATHS)
operands = st.one_of(
    st.just(":v"),
    st.just(":v"),
    st.builds("if_not_exists({}, :v)".format, paths),
    st.builds("{} + :v".format, paths),
    st.builds("{} - :v".format, paths),
    st.builds(":v + {}".format, paths),
    st.builds("if_not_exists({}, :w) + :v".format, paths),
    st.builds("list_append({}, :v)".format, paths),
    paths,
)
actions = st.one_of(
    st.tuples(st.just("SET"), st.builds("{} = {}".format, paths, operands)),
    st.tuples(st.just("ADD"), st.builds("{} :v".format, paths)),
    st.tuples(st.just("DELETE"), st.builds("{} :v".format, paths)),
    st.tuples(st.just("REMOVE"), paths),
)
conditions = st.one_of(
    st.none(),
    st.none(),
    st.sampled_from(
        [
            "attribute_exists(pk)",
            "attribute_not_exists(pk)",
            "a = :c",
            "a < :c OR b = :c",
            "NOT (a = :c OR b = :c)",
            "attribute_not_exists(c)",
            "c IN (:c) AND NOT b BETWEEN :c AND :c",
            "size(m) = :c",
            "attribute_exists(m.x)",
        ]
    ),
)


@st.composite
def calls(draw: st.DrawFn) -> Call:
    """One call of `change.transaction`: its method, its arguments and its placeholders."""
    method = draw(st.sampled_from(["put", "update", "update", "update", "delete", "check"]))
    condition = draw(conditions)
    given: dict[str, Any] = {}
    if condition is not None and ":c" in condition:
        given[":c"] = draw(numbers)
    if method == "put":
        item = KEY | draw(st.dictionaries(st.sampled_from([*NAMES, "m", "l"]), values, max_size=3))
        return "put", (item,), {"condition": condition, "values": given}
    if method == "delete":
        return "delete", (KEY,), {"condition": condition, "values": given}
    if method == "check":
        return "check", (KEY, condition or "attribute_exists(pk)"), {"values": given}
    sections: dict[str, list[str]] = {}
    for place, (section, text) in enumerate(draw(st.lists(actions, min_size=1, max_size=2))):
        for name in (":v", ":w"):
            if name in text:
                text = text.replace(name, f"{name}{place}")
                given[f"{name}{place}"] = draw(numbers | values)
        sections.setdefault(section, []).append(text)
    text = " ".join(f"{section} {', '.join(texts)}" for section, texts in sections.items())
    return "update", (KEY, text), {"condition": condition, "values": given}


items = st.none() | st.dictionaries(st.sampled_from([*NAMES, "m", "l"]), values, max_size=4)


def engine_with(item: dict[str, Any] | None) -> Engine:
    engine, _ = with_table()
    if item is not None:
        engine.transact([read_write(ItemWrite("Put", {"TableName": "orders", "Item": to_item(KEY | item)}))])
    return engine


def content(engine: Engine) -> Item | None:
    return engine.get("orders", to_item(KEY))


def one_after_the_other(item: dict[str, Any] | None, made: list[Call]) -> tuple[bool, Item | None]:
    """Whether all succeeded, and what the item is then: unchanged unless all did."""
    engine = engine_with(item)
    before = content(engine)
    for method, arguments, placeholders in made:
        transaction = Transaction()
        getattr(transaction, method)("orders", *arguments, **placeholders)
        try:
            engine.transact([read_write(write) for write in transaction.writes])
        except ApiError:
            return False, before
    return True, content(engine)


@settings(max_examples=250, deadline=None)
@given(items, st.lists(calls(), min_size=2, max_size=3))
def test_merged_writes_of_one_item_are_the_writes_one_after_the_other(
    item: dict[str, Any] | None, made: list[Call]
) -> None:
    transaction = Transaction()
    try:
        for method, arguments, placeholders in made:
            getattr(transaction, method)(ORDERS, *arguments, **placeholders)
    except SettingsError:
        event("refused")
        return
    event("merged")
    assert len(transaction.writes) == 1
    engine = engine_with(item)
    try:
        engine.transact([read_write(write) for write in transaction.writes])
        succeeded = True
    except ApiError:
        succeeded = False
    assert (succeeded, content(engine)) == one_after_the_other(item, made)
