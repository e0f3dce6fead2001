"""Applying steps: transactions of as many as fit, lost conditions, refusals, and failures that
stay with their item.
"""

import asyncio
from collections.abc import Sequence

import pytest

from tailrace.errors import ApiError, StateConflict, StoreError
from tailrace.projections.core.folding import ItemChange
from tailrace.projections.core.rows import AppliedItem, GroupState, RowChange
from tailrace.projections.run.applying import TRIES, Applied, Contended, apply_steps
from tailrace.projections.run.state_store import StateProjectionStore
from tailrace.stores.memory import MemoryStateStore
from tailrace.streams.version import Version
from tailrace.values.types import AttributeValue, Item


class Count:
    """Counts by `g`; an item with `bad` fails where it says."""

    history = False

    def group_of(self, image: Item) -> str:
        if image.get("bad") == {"S": "group"}:
            raise KeyError("no group")
        return str(image["g"]["S"])

    def folded(self, state: AttributeValue | None, images: Sequence[tuple[Item, int]]) -> AttributeValue:
        if any(image.get("bad") == {"S": "fold"} for image, _ in images):
            raise SystemExit("no fold")
        return {"N": str(int((state or {"N": "0"})["N"]) + sum(sign for _, sign in images))}


class Noted(StateProjectionStore):
    """Rows in memory; what each commit held, and what it is to raise."""

    def __init__(self, rows_at_once: int = 100) -> None:
        super().__init__(MemoryStateStore(), "shop", "sales@v1", rows_at_once)
        self.commits: list[list[str]] = []
        self.raises: list[Exception | None] = []
        self.refused: str = ""

    async def commit(self, changes: Sequence[RowChange]) -> None:
        self.commits.append([change.row.key for change in changes])
        error = self.raises.pop(0) if self.raises else None
        if error is not None:
            raise error
        if any(change.row.key == self.refused for change in changes):
            raise ApiError("ValidationException", "Item size has exceeded the maximum allowed size")
        await super().commit(changes)

    async def counts(self) -> dict[str, int]:
        return {row.key: row.count for row in await self.groups() if isinstance(row, GroupState)}


def step(key: str, sequence: int = 1, group: str = "NL", bad: str = "") -> ItemChange:
    return ItemChange(key, Version(1, sequence), {"g": {"S": group}, "bad": {"S": bad}}, 0)


def applied(store: Noted, steps: Sequence[ItemChange]) -> Applied:
    return asyncio.run(apply_steps(store, Count(), steps))


def test_a_batch_is_one_transaction() -> None:
    store = Noted()
    outcome = applied(store, [step("aa"), step("bb"), step("aa", 2, "BE"), step("bb")])
    assert (outcome.applied, outcome.ignored, outcome.failures) == (3, 1, {})
    assert [sorted(commit) for commit in store.commits] == [["BE", "NL", "aa", "bb"]]
    assert asyncio.run(store.counts()) == {"NL": 1, "BE": 1}


def test_as_many_as_the_place_takes_are_one_transaction() -> None:
    store = Noted(rows_at_once=6)
    applied(store, [step(key) for key in ("aa", "bb", "cc", "dd", "ee")])
    assert [[key for key in commit if key != "NL"] for commit in store.commits] == [
        ["aa", "bb"],
        ["cc", "dd"],
        ["ee"],
    ]


def test_nothing_new_is_no_transaction() -> None:
    store = Noted()
    applied(store, [step("aa")])
    assert applied(store, [step("aa")]).ignored == 1
    assert len(store.commits) == 1


@pytest.mark.parametrize("bad", ["group", "fold"])
def test_a_failure_stays_with_its_item_and_holds_back_what_follows(bad: str) -> None:
    store = Noted(rows_at_once=6)
    steps = [
        step("aa"),
        step("bb", 1, "NL", bad),
        step("bb", 2),
        step("cc"),
        step("bb", 3),
        step("aa", 2, "BE"),
    ]
    outcome = applied(store, steps)
    assert set(outcome.failures) == {1}
    assert outcome.applied == 3
    assert [row.version.sequence for row in asyncio.run(store.items(["aa", "bb", "cc"]))] == [2, 1]
    assert asyncio.run(store.counts()) == {"NL": 1, "BE": 1}


def test_a_lost_condition_is_folded_again() -> None:
    store = Noted()
    store.raises = [StateConflict("meanwhile", index=0)] * (TRIES - 1)
    assert applied(store, [step("aa"), step("bb")]).failures == {}
    assert len(store.commits) == TRIES
    assert asyncio.run(store.counts()) == {"NL": 2}


def test_what_keeps_being_lost_is_tried_alone_and_then_a_failure() -> None:
    store = Noted()
    store.raises = [StateConflict("meanwhile", index=0)] * (2 * TRIES)
    outcome = applied(store, [step("aa"), step("bb")])
    assert {index: type(error) for index, error in outcome.failures.items()} == {0: Contended}
    assert asyncio.run(store.counts()) == {"NL": 1}


def test_a_row_that_is_refused_is_its_own_step_s_failure() -> None:
    store = Noted()
    store.refused = "bb"
    outcome = applied(store, [step("aa"), step("bb"), step("cc"), step("bb", 2)])
    assert [str(error) for error in outcome.failures.values()] == [
        "Item size has exceeded the maximum allowed size"
    ]
    assert set(outcome.failures) == {1}
    assert asyncio.run(store.counts()) == {"NL": 2}


def test_a_store_that_fails_fails_all_and_nothing_is_lost_by_doing_it_again() -> None:
    store = Noted(rows_at_once=3)
    store.raises = [None, StoreError("throttled")]
    with pytest.raises(StoreError, match="throttled"):
        applied(store, [step("aa"), step("bb")])
    outcome = applied(store, [step("aa"), step("bb")])
    assert (outcome.applied, outcome.ignored) == (1, 1)
    assert asyncio.run(store.counts()) == {"NL": 2}


def test_rows_are_read_with_all_that_they_hold() -> None:
    store = Noted()
    applied(store, [ItemChange("aa", Version(1, 4), {"g": {"S": "NL"}}, 77)])
    assert asyncio.run(store.items(["aa"])) == [
        AppliedItem("aa", Version(1, 4), "NL", {"g": {"S": "NL"}}, 77)
    ]
