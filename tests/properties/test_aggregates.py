"""Properties of aggregates: whatever owners do at once, whatever answers are lost, whoever dies, what stands
in the table is the outcome of the same commands one after the other. And broken copies are caught.

Rules of this file: what must hold is read from the table (tests/bank.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from tailrace.aggregates.core import appending
from tailrace.aggregates.core.folding import Loaded, begun, folded
from tailrace.aggregates.core.layout import FoldedState, read_snapshot
from tailrace.aggregates.run import handling
from tests.bank import Campaign, Deposited, bank_app, first_difference, served

SEEDS = range(40)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    owners=st.integers(1, 5),
    snapshot_every=st.integers(0, 4),
    faults=st.sampled_from((0.0, 0.2, 0.6)),
)
def test_concurrent_owners_leave_what_a_sequence_would(
    seed: int, owners: int, snapshot_every: int, faults: float
) -> None:
    campaign = Campaign(seed, faults, snapshot_every).run(owners)
    assert campaign.differences() == []


def test_the_campaigns_have_everything_that_can_befall_a_request() -> None:
    counts = sum((Campaign(seed).run().counts for seed in SEEDS), start=Campaign(0).counts)
    assert {"answered", "twice", "lost", "unsent", "killed", "killed after", "refused once"} <= set(counts)
    assert min(counts.values()) > 3


# ---- broken copies -----------------------------------------------------------------------------------------


def without_condition(patch: pytest.MonkeyPatch) -> None:
    """Events are put whether or not there is one."""

    def present(place: Any, members: dict[str, Any]) -> dict[str, Any]:
        return {"TableName": place.table, **members, "ConditionExpression": "attribute_not_exists(none)"}

    patch.setattr(appending, "_absent", present)


def marker_in_another_transaction(patch: pytest.MonkeyPatch) -> None:
    """The events first, and then the marker of the command."""
    request_of = appending.request_of

    def append(appends: Sequence[Any], naming: Any) -> Any:
        refusal = yield from whole(appends, structs.replace(naming, command_id=None))
        if refusal is None and naming.command_id is not None:
            request = request_of([structs.replace(one, events=()) for one in appends], naming)
            assert request is not None
            for action in request[1]["TransactItems"]:
                if "Put" in action:
                    yield "PutItem", {k: action["Put"][k] for k in ("TableName", "Item")}
        return refusal

    whole = handling._append
    patch.setattr(handling, "_append", append)


def retry_without_folding(patch: pytest.MonkeyPatch) -> None:
    """The version is raised, and the winner's event is not folded."""

    def caught_up(one: Any, loaded: Loaded[Any], event: Any) -> Any:
        if event is None:
            return (yield from handling.load(one.model, one.place))
        return structs.replace(loaded, version=event.version)

    patch.setattr(handling, "_caught_up", caught_up)


def own_append_taken_for_anothers(patch: pytest.MonkeyPatch) -> None:
    """A client's own repetition is not recognised."""
    refusal_of = appending.refusal_of

    def strangers(error: Any, appends: Any, naming: Any) -> Any:
        return refusal_of(error, appends, structs.replace(naming, append="none"))

    patch.setattr(handling, "refusal_of", strangers)


def marker_that_is_not_looked_for(patch: pytest.MonkeyPatch) -> None:
    """A command that was handled is decided again, on a state that has it, and may be refused there."""

    def is_known(place: Any, command_id: str) -> Any:
        yield from ()
        return False

    patch.setattr(handling, "_is_known", is_known)


def append_read_in_part(patch: pytest.MonkeyPatch) -> None:
    """Of an append of several events the one that was shown is folded, and called all of it."""

    def caught_up(one: Any, loaded: Loaded[Any], event: Any) -> Any:
        if event is None:
            return (yield from handling.load(one.model, one.place))
        return structs.replace(folded(one.model, loaded, [event]), version=event.through)

    patch.setattr(handling, "_caught_up", caught_up)


@pytest.mark.parametrize(
    "break_it",
    [
        without_condition,
        marker_in_another_transaction,
        retry_without_folding,
        own_append_taken_for_anothers,
        marker_that_is_not_looked_for,
        append_read_in_part,
    ],
)
def test_a_broken_copy_is_caught(
    break_it: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_it(monkeypatch)
    assert first_difference(SEEDS, lambda seed: Campaign(seed, 0.5))


def test_the_campaigns_that_catch_broken_copies_are_sound() -> None:
    assert first_difference(SEEDS[:10], lambda seed: Campaign(seed, 0.5)) == []


# ---- snapshots of other code -------------------------------------------------------------------------------


def loaded_by_other_code() -> int:
    """The balance of a hundred, as code sees it that counts a deposit twice; a snapshot of today's is
    there.
    """
    app, accounts = bank_app(snapshot_every=2)
    _, door = served(app)
    accounts.append("a", [Deposited(40)] * 2)
    accounts.append("a", [Deposited(20)])
    snapshot = door.call("GetItem", {"TableName": "bank", "Key": accounts.place("a").key("S")})["Item"]
    assert snapshot["version"] == {"N": "2"}
    accounts.model._code = "other"  # as another version of the file would say
    accounts.model._evolve = lambda state, event: replace(state, balance=state.balance + 2 * event.amount)
    return accounts.load("a").state.balance


def test_a_snapshot_of_other_code_is_not_used() -> None:
    assert loaded_by_other_code() == 200


def test_a_copy_that_uses_a_snapshot_of_other_code_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def any_code(model: Any, snapshot: FoldedState | None) -> Loaded[Any]:
        return begun(model, None if snapshot is None else structs.replace(snapshot, code=model.code))

    def any_snapshot(place: Any, item: Any) -> FoldedState | None:
        kept = read_snapshot(place, item)
        return None if kept is None else structs.replace(kept, code="other")

    monkeypatch.setattr(handling, "begun", any_code)
    monkeypatch.setattr(handling, "read_snapshot", any_snapshot)
    assert loaded_by_other_code() != 200
