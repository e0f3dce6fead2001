"""Differences and blame, against plain models; broken copies are caught by the same comparison."""

from collections.abc import Callable, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.journal.core.attributes import (
    Author,
    Blame,
    Path,
    author_of,
    blame_of,
    differences,
    item_difference,
    leaves,
    path_name,
)
from tailrace.journal.core.change import JournalChange
from tailrace.streams.version import Version
from tailrace.values.types import Item

VALUES = st.recursive(
    st.sampled_from([{"N": "1"}, {"N": "2"}, {"S": "x"}, {"M": {}}, {"L": [{"N": "1"}]}]),
    lambda inside: st.dictionaries(st.sampled_from("abc"), inside, max_size=3).map(
        lambda value: {"M": value}
    ),
    max_leaves=4,
)
ITEMS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)
HISTORIES = st.lists(st.none() | ITEMS, min_size=1, max_size=8)


def changes_of(images: Sequence[Item | None]) -> list[JournalChange]:
    changes, state = [], None
    for sequence, item in enumerate(images, 1):
        event = "INSERT" if state is None else "REMOVE" if item is None else "MODIFY"
        old, new = (None if one is None else orjson.dumps(one) for one in (state, item))
        changes.append(JournalChange("s", b"k", Version(1, sequence), sequence * 10, event, old, new))
        state = item
    return changes


def model(images: Sequence[Item | None]) -> dict[tuple[str, ...], int]:
    """The number of the change that last set each path, by looking back for each."""
    paths = [dict(leaves(item or {})) for item in images]
    told = {}
    for path, value in paths[-1].items():
        number = len(images)
        while number > 1 and paths[number - 2].get(path) == value:
            number -= 1
        told[path] = number
    return told


Blaming = Callable[[Sequence[JournalChange]], list[Blame]]


def check_blame(blaming: Blaming, images: Sequence[Item | None]) -> None:
    told = {one.path: one.version for one in blaming(changes_of(images))}
    assert told == {path: Version(1, number) for path, number in model(images).items()}


@given(HISTORIES)
def test_blame_names_the_change_that_last_set_each_path(images: list[Item | None]) -> None:
    check_blame(blame_of, images)


def newest_blamed(changes: Sequence[JournalChange]) -> list[Blame]:
    last = changes[-1]
    image = {} if last.new is None else orjson.loads(last.new)
    return [Blame(path, value, Author(), last.version) for path, value in leaves(image)]


def deletions_forgotten(changes: Sequence[JournalChange]) -> list[Blame]:
    kept = [one for one in changes if one.new is not None]
    images = [orjson.loads(one.new or b"{}") for one in kept]
    return [
        Blame(one.path, one.value, one.author, kept[(one.version or Version(1, 1)).sequence - 1].version)
        for one in blame_of(changes_of(images))
    ]


@pytest.mark.parametrize("broken", [newest_blamed, deletions_forgotten])
def test_a_broken_blame_is_caught(broken: Blaming) -> None:
    witness: list[Item | None] = [
        {"a": {"N": "1"}},
        None,
        {"a": {"N": "1"}},
        {"a": {"N": "1"}, "b": {"N": "1"}},
    ]
    check_blame(blame_of, witness)
    with pytest.raises(AssertionError):
        check_blame(broken, witness)


def test_what_was_there_when_the_journal_began_was_set_by_none_that_it_knows() -> None:
    old, new = ({"a": {"N": "1"}, "b": {"N": value}} for value in "12")
    only = JournalChange("s", b"k", Version(1, 7), 70, "MODIFY", orjson.dumps(old), orjson.dumps(new))
    assert [(one.name, one.version) for one in blame_of([only])] == [("a", None), ("b", Version(1, 7))]


def test_what_a_lost_change_set_is_blamed_on_none() -> None:
    first, second = changes_of([{"a": {"N": "1"}}, {"a": {"N": "2"}}])
    old, new = ({"a": {"N": "5"}}, {"a": {"N": "5"}, "b": {"N": "1"}})
    apart = JournalChange("s", b"k", Version(1, 9), 90, "MODIFY", orjson.dumps(old), orjson.dumps(new))
    assert [(one.name, one.version) for one in blame_of([first, second, apart])] == [
        ("a", None),
        ("b", Version(1, 9)),
    ]


def test_a_row_of_the_base_blames_nobody_and_takes_no_blame_away() -> None:
    (first,) = changes_of([{"a": {"N": "1"}}])
    row = JournalChange("base", b"k", Version(1, 5), 50, "INSERT", None, first.new, "scan")
    assert [one.version for one in blame_of([first, row])] == [Version(1, 1)]
    assert [one.version for one in blame_of([row])] == [None]


# ---- who ---------------------------------------------------------------------------------------------------


def made(old: Any, new: Any, origin: str | None = None, ancestry: str | None = None) -> JournalChange:
    images = [None if one is None else orjson.dumps(one) for one in (old, new)]
    return JournalChange("s", b"k", Version(1, 1), 1, "MODIFY", *images, origin, ancestry)


ANN: Item = {"by": {"S": "ann"}}
BOB: Item = {"by": {"S": "bob"}}


@pytest.mark.parametrize(
    ("change", "author"),
    [
        (made(ANN, None, "ttl"), Author("Time to Live", "ttl")),
        (made(None, ANN), Author("ann", "actor")),
        (made(ANN, {**BOB, "n": {"N": "1"}}, ancestry="receipt:1"), Author("bob", "actor")),
        (made(ANN, {**ANN, "n": {"N": "1"}}, ancestry="mail:1,b_5Fc:2"), Author("mail, b_c", "handler")),
        (made(ANN, {**ANN, "n": {"N": "1"}}), Author("ann", "actor")),
        (made(ANN, None), Author()),
        (made(None, {"n": {"N": "1"}}), Author()),
        (made(None, {"by": {"S": ""}}), Author()),
        (made(None, {"by": {"NULL": True}}), Author()),
        (made(None, {"by": {"N": "7"}}), Author("7", "actor")),
    ],
)  # fmt: skip
def test_who_made_a_change_is_what_it_tells_itself(change: JournalChange, author: Author) -> None:
    assert author_of(change, "by") == author


def test_without_an_actor_attribute_only_handlers_and_ttl_are_known() -> None:
    assert author_of(made(None, ANN), None) == Author()
    assert author_of(made(None, ANN, ancestry="receipt:1"), None) == Author("receipt", "handler")


# ---- differences -------------------------------------------------------------------------------------------


def applied(before: Item, told: Any) -> Item:
    """What an item becomes by what is told to differ."""
    after = orjson.loads(orjson.dumps(before))
    for one in told:
        inside = after
        for name in one.path[:-1]:
            inside = inside[name]["M"]
        if one.after is None:
            del inside[one.path[-1]]
        else:
            inside[one.path[-1]] = one.after
    return after


@given(st.lists(st.lists(st.text(alphabet="a.\\", min_size=1), min_size=1).map(tuple), unique=True))
def test_no_two_paths_have_one_name(paths: list[Path]) -> None:
    assert len({path_name(path) for path in paths}) == len(paths)


@given(ITEMS, ITEMS)
def test_what_differs_makes_the_one_of_the_other(before: Item, after: Item) -> None:
    told = differences(before, after)
    assert applied(before, told) == after
    assert bool(told) is (before != after)


@given(st.none() | ITEMS, st.none() | ITEMS)
def test_an_item_is_added_removed_changed_or_the_same(before: Item | None, after: Item | None) -> None:
    one = item_difference(b"k", *(None if item is None else orjson.dumps(item) for item in (before, after)))
    kinds = {(True, True): None, (True, False): "added", (False, True): "removed"}
    wanted = kinds.get((before is None, after is None), "changed" if before != after else None)
    assert (None if one is None else one.happened) == wanted
