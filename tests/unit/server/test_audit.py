"""What people did is kept, the last ten thousand of it, at the same cost however much there is."""

import pytest

from tailrace.engine.engine import Engine
from tailrace.server import audit
from tailrace.server.audit import KEPT, PREFIX, note
from tests.unit.engine.building import opened


def numbers(engine: Engine) -> list[int]:
    """The numbers of the rows that are kept."""
    return [row.fields["number"] for row in engine.state_query(PREFIX)]


def test_a_verb_that_changes_something_leaves_a_row_and_a_dry_run_none() -> None:
    engine = opened()
    note(engine, "pause", {"handler": "tally"}, changes=True)
    note(engine, "pause", {"handler": "tally", "dry_run": True}, changes=True)
    note(engine, "status", {}, changes=False)
    (row,) = engine.state_query(PREFIX)
    assert (row.fields["verb"], row.fields["arguments"]) == ("pause", {"handler": "tally"})


def test_moving_a_manual_clock_pushes_nothing_out() -> None:
    engine = opened()
    for name in ("clock.advance", "clock.set", "stop"):
        note(engine, name, {}, changes=True)
    assert numbers(engine) == []


def test_the_last_ten_thousand_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert KEPT == 10_000
    monkeypatch.setattr(audit, "KEPT", 100)  # what is decided at the bound does not depend on where it is
    engine = opened()
    for _ in range(103):
        note(engine, "pause", {}, changes=True)
    assert numbers(engine) == list(range(4, 104))
