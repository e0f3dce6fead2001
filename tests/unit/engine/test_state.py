"""State beside items: conditions first, then everything in one group."""

import asyncio

import pytest

from tailrace.engine.state import EngineStateStore, holds
from tailrace.errors import ApiError, StateConflict, StoreError
from tailrace.leases.checkpoint import mark_write
from tailrace.ports import ItemWrite
from tailrace.rows.writes import ALWAYS, Absent, AbsentOrOlder, Check, Condition, Equals, StateRow, Write
from tailrace.streams.version import Version
from tests.unit.engine.building import FailingStore, item, log_of, names_of, opened, with_table

KEY = {"pk": {"S": "a"}}


@pytest.mark.parametrize(
    ("condition", "absent", "present"),
    [
        (ALWAYS, True, True),
        (Absent(), True, False),
        (Equals("epoch", 5), False, True),
        (Equals("epoch", 6), False, False),
        (Equals("missing", 5), False, False),
        (AbsentOrOlder(Version(1, 6)), True, True),
        (AbsentOrOlder(Version(1, 5)), True, False),
    ],
)
def test_a_condition_judges_a_row_or_its_absence(condition: Condition, absent: bool, present: bool) -> None:
    assert holds(condition, None) is absent
    assert holds(condition, {"epoch": 5, "sequence": 5}) is present


def test_rows_are_found_by_prefix_in_order() -> None:
    engine = opened()
    for key in ("b/2", "a/1", "b/1", "b", "c/1"):
        engine.state.transact([Write(key, {"v": 1})])
    assert [row.key for row in engine.state.query("b/")] == ["b/1", "b/2"]
    assert [row.key for row in engine.state.query("")] == ["a/1", "b", "b/1", "b/2", "c/1"]
    engine.state.transact([Write("b/1", None)])
    assert engine.state.get("b/1") is None
    assert engine.state.query("b/") == [StateRow("b/2", {"v": 1})]


def test_one_condition_that_fails_stops_everything_and_is_named() -> None:
    engine = opened()
    engine.state.transact([Write("lease", {"epoch": 1})])
    engine.committer.flush()
    with pytest.raises(StateConflict) as conflict:
        engine.state.transact(
            [
                Write("checkpoint", {"at": 1}),
                Check("lease", Equals("epoch", 2)),
                Write("other", {"at": 1}, Equals("at", 1)),
            ]
        )
    assert conflict.value.index == 1
    assert not engine.committer.is_dirty


def test_items_and_state_are_one_transaction() -> None:
    engine, _ = with_table()
    mark = mark_write("mark", Version(1, 7))
    write = ItemWrite("Put", {"TableName": "orders", "Item": item("a", 1)})
    engine.state.transact([mark, write])
    engine.committer.flush()
    assert names_of(log_of(engine)) == ["INSERT"]
    again = ItemWrite("Put", {"TableName": "orders", "Item": item("a", 2)})
    with pytest.raises(StateConflict):
        engine.state.transact([mark, again])
    assert engine.get("orders", KEY) == item("a", 1)


def test_a_failed_item_condition_leaves_the_state_alone() -> None:
    engine, _ = with_table()
    check = ItemWrite(
        "ConditionCheck",
        {"TableName": "orders", "Key": KEY, "ConditionExpression": "attribute_exists(pk)"},
    )
    with pytest.raises(ApiError) as failed:
        engine.state.transact([Write("mark", {"sequence": 1}), check])
    assert failed.value.code == "TransactionCanceledException"
    assert engine.state.get("mark") is None


def test_the_state_store_returns_when_the_group_is_durable() -> None:
    store = FailingStore()
    engine = opened(store)

    async def flushed() -> None:
        engine.committer.flush()

    async def scenario() -> None:
        state = EngineStateStore(engine, flushed)
        await state.transact([Write("lease", {"epoch": 1}, Absent())])
        assert opened(store).state.get("lease") == {"epoch": 1}
        assert await state.get("lease") == StateRow("lease", {"epoch": 1})
        assert await state.get("missing") is None
        assert await state.query("le") == [StateRow("lease", {"epoch": 1})]
        store.is_broken = True
        with pytest.raises(StoreError):
            await state.transact([Write("lease", {"epoch": 2})])
        assert await state.get("lease") == StateRow("lease", {"epoch": 1})

    asyncio.run(scenario())
