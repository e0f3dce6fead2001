"""Pages in slices: work is bounded between two rests, and what happens in between is not read half."""

from collections.abc import Callable
from typing import Any

import pytest

from tailrace.engine.engine import Engine, ItemPage, QueryRequest, ScanRequest
from tailrace.engine.slices import SLICE_WORK, Slices, at_once
from tailrace.errors import ApiError
from tailrace.expressions import condition as conditions
from tailrace.expressions.condition import Condition, parse_condition
from tailrace.expressions.judging import OPERATORS_JUDGED, judged
from tailrace.expressions.placeholders import Placeholders
from tailrace.tables.definition import TableDefinition
from tailrace.tables.indexes import IndexDefinition, KeyAttribute
from tailrace.tables.mutate import Delete, Put
from tailrace.values.types import Item
from tests.unit.engine.building import keys, opened, with_table

COUNT = 3_000


def condition(text: str, values: Item) -> Condition:
    return parse_condition(text, Placeholders(None, values), "FilterExpression")


def row(sort: int, text: str = "x") -> Item:
    return {"pk": {"S": "a"}, "sk": {"N": str(sort)}, "s": {"S": text}}


def filled(count: int = COUNT) -> Engine:
    engine, _ = with_table(sort=True)
    for sort in range(count):
        engine.put(Put("orders", row(sort)))
    engine.committer.flush()
    return engine


def one_of(count: int, name: str = "s") -> Condition:
    """A condition that compares with so many values, in vain but for the last."""
    values: Item = {f":v{number}": {"S": f"no {number}"} for number in range(count - 1)}
    return condition(f"{name} IN ({', '.join([*values, ':x'])})", {**values, ":x": {"S": "x"}})


def between_rests(work: Slices[ItemPage], count: Callable[[], int]) -> tuple[ItemPage, list[int]]:
    """The page, and by how much a counter grew in each slice."""
    grown: list[int] = []
    while True:
        before = count()
        try:
            next(work)
        except StopIteration as end:
            grown.append(count() - before)
            page: ItemPage = end.value
            return page, grown
        grown.append(count() - before)


@pytest.mark.parametrize("operators", [1, 100])
def test_between_two_rests_a_bounded_number_of_items_is_judged(
    monkeypatch: pytest.MonkeyPatch, operators: int
) -> None:
    judged = 0
    matches = Condition.matches

    def counted(self: Condition, item: Item) -> bool:
        nonlocal judged
        judged += 1
        return matches(self, item)

    engine = filled()
    monkeypatch.setattr(Condition, "matches", counted)
    work = engine.open(ScanRequest("orders", one_of(operators))).slices()
    page, slices = between_rests(work, lambda: judged)
    assert (page.count, page.scanned_count, sum(slices)) == (COUNT, COUNT, COUNT)
    assert max(slices) * operators // OPERATORS_JUDGED <= SLICE_WORK
    assert len(slices) > COUNT * operators // OPERATORS_JUDGED // SLICE_WORK


def test_a_page_of_items_as_they_are_stored_rests_too() -> None:
    items = 0

    def counting() -> int:
        return items

    engine = filled()
    work = engine.open(ScanRequest("orders", limit=COUNT)).slices()
    page, slices = between_rests(work, counting)
    assert (page.count, len(slices)) == (COUNT, COUNT // SLICE_WORK + 1)


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("limit", [None, 2_500])
def test_what_is_written_between_slices_is_read_once_or_not_at_all(forward: bool, limit: int | None) -> None:
    engine = filled()
    request = QueryRequest(
        "orders", keys("pk = :p", {":p": {"S": "a"}}), one_of(50), forward=forward, limit=limit
    )
    work = engine.open(request).slices()
    written = 0
    while True:
        try:
            next(work)
        except StopIteration as end:
            page = end.value
            break
        # Behind the reader, before it, and an item that is gone before it is read.
        engine.put(Put("orders", {**row(written), "new": {"S": "y"}}))
        engine.put(Put("orders", {**row(COUNT // 2 + 5 + written), "new": {"S": "y"}}))
        engine.delete(Delete("orders", {"pk": {"S": "a"}, "sk": {"N": str(COUNT // 2)}}))
        engine.committer.flush()
        written += 1
    sorts = [int(item["sk"]["N"]) for item in page.decoded()]
    assert written > 10
    assert sorts == sorted(set(sorts), reverse=not forward)
    whole = [sort for sort in range(COUNT) if sort != COUNT // 2]
    assert sorts == (whole if forward else whole[::-1])[: page.count]
    assert page.count == (COUNT - 1 if limit is None else limit)
    fresh = {int(item["sk"]["N"]) for item in page.decoded() if "new" in item}
    assert fresh, "what was changed before the reader came is seen as it is"


def test_a_table_that_goes_between_two_slices_is_not_found() -> None:
    engine = filled()
    work = engine.open(ScanRequest("orders", one_of(50))).slices()
    next(work)
    engine.delete_table("orders")
    for _ in engine.housekeeping():
        engine.committer.flush()
    with pytest.raises(ApiError, match="Requested resource not found"):
        next(work)


def test_a_heavy_item_is_judged_one_operator_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0
    contains = conditions.FUNCTIONS["contains"]

    def counted(value: Any, other: Any) -> bool:
        nonlocal looked
        looked += 1
        return contains(value, other)

    monkeypatch.setitem(conditions.FUNCTIONS, "contains", counted)
    engine, _ = with_table(sort=True)
    large: Item = {**row(1), "l": {"L": [{"NULL": True}] * 50_000}}
    engine.put(Put("orders", large))
    text = " OR ".join(["contains(l, :no)"] * 140) + " OR contains(l, :yes)"
    wanted = condition(text, {":no": {"S": "absent"}, ":yes": {"NULL": True}})
    page, slices = between_rests(engine.open(ScanRequest("orders", wanted)).slices(), lambda: looked)
    assert (page.count, sum(slices)) == (1, 141)
    assert max(slices) == 1


@pytest.mark.parametrize(
    "text",
    [
        "a = :one AND (b > :one OR NOT c IN (:one, :two)) AND NOT attribute_exists(d)",
        "b BETWEEN :one AND :two OR begins_with(c, :text) OR size(c) > :one",
        "NOT (a <> :one OR contains(c, :text)) OR attribute_type(a, :type)",
    ],
)
@pytest.mark.parametrize(
    "item",
    [
        {}, {"a": {"N": "1"}}, {"a": {"N": "1"}, "b": {"N": "2"}}, {"b": {"N": "3"}, "c": {"S": "text"}},
        {"a": {"N": "1"}, "b": {"N": "1"}, "c": {"N": "2"}, "d": {"S": ""}},
        {"c": {"S": "a text"}, "a": {"S": "1"}},
    ],
)  # fmt: skip
def test_a_condition_in_steps_says_what_it_says_at_once(text: str, item: Item) -> None:
    every = {":one": {"N": "1"}, ":two": {"N": "2"}, ":text": {"S": "text"}, ":type": {"S": "N"}}
    wanted = condition(text, {name: value for name, value in every.items() if name in text})
    assert at_once(judged(wanted, item)) == wanted.matches(item)


def test_an_entry_whose_item_goes_between_two_slices_is_left_out() -> None:
    local = IndexDefinition(
        "by_s", "LOCAL", (KeyAttribute("pk", "S"),), (KeyAttribute("s", "S"),), "KEYS_ONLY"
    )
    engine = opened()
    engine.create_table(TableDefinition("songs", "pk", "S", "sk", "N", indexes=(local,)))
    for sort in range(400):
        engine.put(Put("songs", {**row(sort, f"{sort:03d}"), "more": {"S": "x"}}))
    engine.committer.flush()
    request = QueryRequest(
        "songs", keys("pk = :p", {":p": {"S": "a"}}), one_of(100, "more"), index="by_s", fetches=True
    )
    work = engine.open(request).slices()
    next(work)
    for sort in range(200, 400):
        engine.delete(Delete("songs", {"pk": {"S": "a"}, "sk": {"N": str(sort)}}))
    page, _ = between_rests(work, lambda: 0)
    assert page.scanned_count == 200
