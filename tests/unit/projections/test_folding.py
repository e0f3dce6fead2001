"""The fold of one change: what is retracted, what is applied, what is ignored, and
what a transaction holds.
"""

from collections.abc import Sequence

import pytest

from tailrace.projections.core.folding import ItemChange, Working
from tailrace.projections.core.rows import AppliedItem, GroupState, RowChange
from tailrace.streams.version import Version
from tailrace.values.types import AttributeValue, Item


class Sum:
    """Adds `n`, by `g`; a negative one is refused."""

    history = False

    def group_of(self, image: Item) -> str:
        return str(image["g"]["S"])

    def folded(self, state: AttributeValue | None, images: Sequence[tuple[Item, int]]) -> AttributeValue:
        total = 0 if state is None else int(state["N"])
        for image, sign in images:
            if int(image["n"]["N"]) < 0:
                raise ValueError("negative")
            total += sign * int(image["n"]["N"])
        return {"N": str(total)}


def image(group: str, n: int) -> Item:
    return {"g": {"S": group}, "n": {"N": str(n)}}


def step(sequence: int, group: str | None, n: int = 0, key: str = "aa") -> ItemChange:
    if group is None:
        return ItemChange(key, Version(1, sequence), None, 5)
    return ItemChange(key, Version(1, sequence), image(group, n), 5, group)


def item(sequence: int, group: str, n: int) -> AppliedItem:
    return AppliedItem("aa", Version(1, sequence), group, image(group, n), 1)


def group(key: str, version: int, count: int, n: int) -> GroupState:
    return GroupState(key, version, count, {"N": str(n)}, 1)


def folded(
    steps: Sequence[ItemChange], items: Sequence[AppliedItem] = (), groups: Sequence[GroupState] = ()
) -> dict[str, tuple[int, int, int] | tuple[int, str]]:
    """What changed: (version, count, state) of a group, (sequence, group) of an item."""
    working = Working(Sum())
    working.add_items({step.key for step in steps}, items)
    working.add_groups(working.groups_for(steps), groups)
    for step in steps:
        working.apply(step)
    by_key: dict[str, tuple[int, int, int] | tuple[int, str]] = {}
    for change in working.changes:
        row = change.after
        assert row is not None
        by_key[row.key] = (
            (row.version.sequence, row.group)
            if isinstance(row, AppliedItem)
            else (row.version, row.count, int(row.state["N"]))
        )
    return by_key


NL7, BE2 = group("NL", 3, 2, 7), group("BE", 1, 1, 2)


@pytest.mark.parametrize(
    ("steps", "items", "groups", "expected"),
    [
        # inserted
        ([step(5, "NL", 4)], [], [], {"aa": (5, "NL"), "NL": (1, 1, 4)}),
        ([step(5, "NL", 4)], [], [NL7], {"aa": (5, "NL"), "NL": (4, 3, 11)}),
        # updated in its group, and moved to another, there or not
        ([step(5, "NL", 4)], [item(3, "NL", 5)], [NL7], {"aa": (5, "NL"), "NL": (4, 2, 6)}),
        ([step(5, "BE", 4)], [item(3, "NL", 5)], [NL7, BE2],
         {"aa": (5, "BE"), "NL": (4, 1, 2), "BE": (2, 2, 6)}),
        ([step(5, "FR", 4)], [item(3, "NL", 5)], [NL7], {"aa": (5, "FR"), "NL": (4, 1, 2), "FR": (1, 1, 4)}),
        # removed: a tombstone; of what was never seen too
        ([step(5, None)], [item(3, "NL", 5)], [NL7], {"aa": (5, ""), "NL": (4, 1, 2)}),
        ([step(5, None)], [], [], {"aa": (5, "")}),
        # at the applied number and below it: nothing; one above: applied
        ([step(3, "NL", 9)], [item(3, "NL", 5)], [NL7], {}),
        ([step(2, None)], [item(3, "NL", 5)], [NL7], {}),
        ([step(4, "NL", 9)], [item(3, "NL", 5)], [NL7], {"aa": (4, "NL"), "NL": (4, 2, 11)}),
        # a late duplicate does not bring a removed item back; a later change does
        ([step(4, "NL", 9)], [AppliedItem("aa", Version(1, 5))], [], {}),
        ([step(6, "NL", 9)], [AppliedItem("aa", Version(1, 5))], [], {"aa": (6, "NL"), "NL": (1, 1, 9)}),
        # an empty group begins anew, with its next version
        ([step(6, "NL", 9)], [], [group("NL", 8, 0, 99)], {"aa": (6, "NL"), "NL": (9, 1, 9)}),
        # several of one item, and of several items of a group, are one step of its version
        ([step(5, "NL", 1), step(6, "BE", 2), step(7, None)], [], [],
         {"aa": (7, ""), "NL": (1, 0, 0), "BE": (1, 0, 0)}),
        ([step(5, "NL", 1), step(6, "NL", 2, "bb")], [], [NL7],
         {"aa": (5, "NL"), "bb": (6, "NL"), "NL": (4, 4, 10)}),
        ([step(5, "NL", 1), step(5, "NL", 1), step(4, "BE", 1)], [], [], {"aa": (5, "NL"), "NL": (1, 1, 1)}),
    ],
)  # fmt: skip
def test_a_change_retracts_what_was_applied_and_applies_what_is_new(
    steps: list[ItemChange], items: list[AppliedItem], groups: list[GroupState], expected: dict[str, object]
) -> None:
    assert folded(steps, items, groups) == expected


def test_what_fails_leaves_everything_as_it_was() -> None:
    working = Working(Sum())
    steps = [step(5, "NL", 1), step(6, "BE", -1)]
    working.add_items(["aa"], [])
    working.add_groups(["NL", "BE"], [])
    assert working.apply(steps[0])
    before = working.changes
    with pytest.raises(ValueError, match="negative"):
        working.apply(steps[1])
    assert working.changes == before


def test_every_row_is_written_on_the_condition_that_it_was_read_so() -> None:
    working = Working(Sum())
    working.add_items(["aa", "bb"], [item(3, "NL", 5)])
    working.add_groups(["NL", "BE"], [NL7])
    working.apply(step(5, "BE", 1))
    pairs = {change.row.key: change.before for change in working.changes}
    assert pairs == {"aa": item(3, "NL", 5), "NL": NL7, "BE": None}
    assert RowChange(NL7, None).row == NL7


def test_a_change_of_a_stream_that_was_switched_off_and_on_is_applied_though_its_number_is_smaller() -> None:
    working = Working(Sum())
    newer = ItemChange("aa", Version(2, 7), image("NL", 5), 5, "NL")
    working.add_items({"aa"}, [item(900, "NL", 3)])
    working.add_groups(working.groups_for([newer]), [group("NL", 1, 1, 3)])
    assert working.apply(newer)
    assert not working.apply(ItemChange("aa", Version(1, 901), image("NL", 9), 5, "NL"))
    assert [change.after for change in working.changes] == [
        AppliedItem("aa", Version(2, 7), "NL", image("NL", 5), 5),
        GroupState("NL", 2, 1, {"N": "5"}, 5),
    ]
