"""What a write means: new items, no changes, conditions, sizes."""

import pytest

from tailrace.errors import ApiError
from tailrace.expressions.condition import Condition, parse_condition
from tailrace.expressions.placeholders import Placeholders
from tailrace.expressions.update import BoundUpdate as UpdateExpression
from tailrace.expressions.update import parse_update
from tailrace.tables.mutate import ConditionCheck, Delete, Put, Update, mutate
from tailrace.tables.schema import TableSchema
from tailrace.values.types import Item

SCHEMA = TableSchema("t", 16, "id", "pk", "S")
KEY: Item = {"pk": {"S": "a"}}
OLD: Item = {"pk": {"S": "a"}, "n": {"N": "1"}, "tags": {"SS": ["x", "y"]}}
VALUES: Item = {
    ":one": {"N": "1"},
    ":zero": {"N": "0"},
    ":x": {"SS": ["x"]},
    ":s": {"S": "b"},
    ":big": {"S": "x" * 409_600},
}


def update(text: str) -> UpdateExpression:
    return parse_update(text, Placeholders(None, VALUES))


def condition(text: str) -> Condition:
    return parse_condition(text, Placeholders(None, VALUES))


def test_a_put_replaces_the_whole_item() -> None:
    new: Item = {"pk": {"S": "a"}, "other": {"S": "z"}}
    mutation = mutate(SCHEMA, OLD, Put("t", new))
    assert (mutation.old, mutation.new, mutation.changed) == (OLD, new, True)
    assert (mutation.keys, mutation.size) == (KEY, 2 + 1 + 5 + 1)


def test_a_put_of_the_same_item_is_no_change_whatever_the_order_of_its_members() -> None:
    again = dict(reversed(OLD.items()))
    mutation = mutate(SCHEMA, OLD, Put("t", again))
    assert (mutation.changed, mutation.new) == (False, OLD)


@pytest.mark.parametrize(
    "text",
    ["SET n = :one", "REMOVE gone", "ADD n :zero", "ADD tags :x", "SET n = if_not_exists(n, :zero)"],
)
def test_an_update_that_changes_nothing_is_no_change(text: str) -> None:
    mutation = mutate(SCHEMA, OLD, Update("t", KEY, update(text)))
    assert (mutation.changed, mutation.new) == (False, OLD)


def test_an_update_never_changes_the_old_item() -> None:
    before = {name: dict(value) for name, value in OLD.items()}
    mutation = mutate(SCHEMA, OLD, Update("t", KEY, update("SET n = n + :one ADD tags :x")))
    assert before == OLD
    assert mutation.new is not None
    assert mutation.new["n"] == {"N": "2"}


@pytest.mark.parametrize(
    ("text", "new"),
    [
        (None, KEY),
        ("SET n = :one", {**KEY, "n": {"N": "1"}}),
        ("ADD n :zero", {**KEY, "n": {"N": "0"}}),
        ("REMOVE n", None),
    ],
)
def test_an_update_of_an_absent_item_creates_it_unless_it_only_removes(
    text: str | None, new: Item | None
) -> None:
    mutation = mutate(SCHEMA, None, Update("t", KEY, None if text is None else update(text)))
    assert (mutation.old, mutation.new, mutation.changed) == (None, new, new is not None)


def test_a_delete_of_an_absent_item_is_no_change() -> None:
    assert not mutate(SCHEMA, None, Delete("t", KEY)).changed
    assert mutate(SCHEMA, OLD, Delete("t", KEY)).new is None


@pytest.mark.parametrize("return_old", [True, False])
@pytest.mark.parametrize("kind", ["put", "update", "delete", "check"])
def test_a_failed_condition_gives_the_item_only_when_asked(kind: str, return_old: bool) -> None:
    wanted = condition("attribute_not_exists(pk)")
    operation = {
        "put": Put("t", KEY, wanted, return_old),
        "update": Update("t", KEY, None, wanted, return_old),
        "delete": Delete("t", KEY, wanted, return_old),
        "check": ConditionCheck("t", KEY, wanted, return_old),
    }[kind]
    with pytest.raises(ApiError) as failed:
        mutate(SCHEMA, OLD, operation)
    assert (failed.value.code, failed.value.message) == (
        "ConditionalCheckFailedException",
        "The conditional request failed",
    )
    assert failed.value.extra == ({"Item": OLD} if return_old else {})


def test_a_failed_condition_on_an_absent_item_gives_none() -> None:
    with pytest.raises(ApiError) as failed:
        mutate(SCHEMA, None, Delete("t", KEY, condition("attribute_exists(pk)"), True))
    assert failed.value.extra == {}


def test_a_condition_that_holds_lets_the_write_pass() -> None:
    assert mutate(SCHEMA, OLD, Delete("t", KEY, condition("n = :one"))).changed


def test_items_over_400_kilobytes_are_refused_in_two_texts() -> None:
    with pytest.raises(ApiError, match=r"^Item size has exceeded the maximum allowed size$"):
        mutate(SCHEMA, None, Put("t", {**KEY, "x": {"S": "x" * 409_600}}))
    with pytest.raises(ApiError, match=r"^Item size to update has exceeded the maximum allowed size$"):
        mutate(SCHEMA, OLD, Update("t", KEY, update("SET x = :big")))


def test_an_item_of_exactly_400_kilobytes_is_allowed() -> None:
    largest = mutate(SCHEMA, None, Put("t", {**KEY, "x": {"S": "x" * (409_600 - 4)}}))
    assert largest.size == 409_600


def test_a_key_attribute_cannot_be_updated() -> None:
    message = (
        "One or more parameter values were invalid: Cannot update attribute pk. This attribute is "
        "part of the key"
    )
    with pytest.raises(ApiError) as refused:
        mutate(SCHEMA, OLD, Update("t", KEY, update("SET pk = :s")))
    assert refused.value.message == message
