"""What people did is kept, the last ten thousand of it, at the same cost however much there is."""

from pathlib import Path
from typing import Any

import pytest

from tailrace.cli.connection import ask
from tailrace.compose import EngineOptions, open_engine
from tailrace.engine.engine import Engine
from tailrace.errors import TailraceError
from tailrace.rows.kinds import AUDIT
from tailrace.rows.writes import Write
from tailrace.server import audit
from tailrace.server.audit import KEPT, PREFIX, audited, read_audit
from tests.unit.engine.building import opened


def note(engine: Engine, name: str, arguments: dict[str, Any], *, changes: bool) -> None:
    """Ask for something that ends well."""
    with audited(engine, name, arguments, changes=changes):
        pass


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


def ended(engine: Engine) -> list[tuple[str, str | None, str]]:
    return [
        (told["verb"], told["outcome"], told["reason"])
        for told in (read_audit(row.fields) for row in engine.state_query(PREFIX))
    ]


def test_a_verb_that_failed_is_told_apart_with_its_reason() -> None:
    engine = opened()
    note(engine, "resume", {}, changes=True)
    with pytest.raises(TailraceError), audited(engine, "pause", {}, changes=True):
        raise TailraceError("There is no handler 'tali'.", hint="tailrace mapping ls")
    with pytest.raises(KeyError), audited(engine, "shards.split", {}, changes=True):
        raise KeyError("x")
    assert ended(engine) == [
        ("resume", "ok", ""),
        ("pause", "failed", "There is no handler 'tali'."),
        ("shards.split", "failed", "KeyError: 'x'"),
    ]


def test_while_it_goes_on_or_after_its_client_has_gone_nobody_knows_its_end() -> None:
    engine = opened()
    with audited(engine, "dlq.redrive", {}, changes=True):
        assert ended(engine) == [("dlq.redrive", None, "")]
    with pytest.raises(ConnectionResetError), audited(engine, "dlq.redrive", {}, changes=True):
        raise ConnectionResetError
    assert [outcome for _, outcome, _ in ended(engine)] == ["ok", None]


def test_a_row_of_the_first_format_is_read_without_an_end() -> None:
    engine = opened()
    fields = {"v": 1, "number": 1, "at_ms": 5, "verb": "pause", "arguments": {}, "by": "ada"}
    engine.state_transact([Write(AUDIT.key("000000000001"), fields)])
    assert ended(engine) == [("pause", None, "")]
    note(engine, "resume", {}, changes=True)
    assert numbers(engine) == [1, 2]


def test_a_verb_that_raises_through_the_admin_api_is_noted_as_failed(tmp_path: Path) -> None:
    engine = open_engine(EngineOptions(directory=tmp_path / "data"))
    engine.close()
    with pytest.raises(TailraceError):
        ask(tmp_path / "data", "mapping.rename", {"handler": "nobody", "to": "somebody"})
    (told,) = ask(tmp_path / "data", "audit")
    assert (told["verb"], told["outcome"]) == ("mapping.rename", "failed")
    assert "nobody" in told["reason"]
