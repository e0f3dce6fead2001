"""What people did is kept, the last ten thousand of it, at the same cost however much there is."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tailrace.cli.connection import ask
from tailrace.compose import EngineOptions, open_engine
from tailrace.engine.engine import Engine
from tailrace.engine.state import state_of
from tailrace.errors import TailraceError
from tailrace.ports import Action
from tailrace.rows.kinds import AUDIT
from tailrace.rows.writes import Write
from tailrace.server import audit
from tailrace.server.audit import KEPT
from tailrace.stores.memory import MemoryStateStore
from tailrace.views.at_once import at_once
from tailrace.views.audit import PREFIX, last_number, read_audit
from tailrace.views.audit import audit as audit_view
from tests.unit.engine.building import opened


@contextmanager
def audited(engine: Engine, name: str, arguments: dict[str, Any], *, changes: bool) -> Iterator[None]:
    """What happens between the two notes happens in the block."""
    noting = audit.audited(state_of(engine), engine.clock, name, arguments, changes=changes)
    at_once(_entered(noting))
    try:
        yield
    except Exception as error:
        at_once(_left(noting, error))
        raise
    at_once(_left(noting, None))


async def _entered(noting: AbstractAsyncContextManager[None]) -> None:
    await noting.__aenter__()


async def _left(noting: AbstractAsyncContextManager[None], error: Exception | None) -> None:
    await noting.__aexit__(None if error is None else type(error), error, None)


def note(engine: Engine, name: str, arguments: dict[str, Any], *, changes: bool) -> None:
    """Ask for something that ends well."""
    with audited(engine, name, arguments, changes=changes):
        pass


def numbers(engine: Engine) -> list[int]:
    """The numbers of the rows that are kept."""
    return [row.fields["number"] for row in engine.state.query(PREFIX)]


def test_a_verb_that_changes_something_leaves_a_row_and_a_dry_run_none() -> None:
    engine = opened()
    note(engine, "pause", {"handler": "tally"}, changes=True)
    note(engine, "pause", {"handler": "tally", "dry_run": True}, changes=True)
    note(engine, "status", {}, changes=False)
    (row,) = engine.state.query(PREFIX)
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


def test_the_newest_number_is_found_whatever_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "KEPT", 7)
    engine = opened()
    for number in range(40):
        assert at_once(last_number(state_of(engine))) == number
        told = at_once(audit_view(state_of(engine), 3))
        assert [entry["number"] for entry in told] == list(range(max(1, number - 2), number + 1))
        note(engine, "pause", {}, changes=True)


def test_two_who_note_at_once_take_two_numbers() -> None:
    engine = opened()

    class Slow(MemoryStateStore):
        """Both see the same last number before either writes."""

        async def transact(self, writes: Sequence[Action]) -> None:
            await asyncio.sleep(0)
            await super().transact(writes)

    async def both() -> list[int]:
        state = Slow()

        async def one(name: str) -> None:
            async with audit.audited(state, engine.clock, name, {}, changes=True):
                pass

        await asyncio.gather(one("pause"), one("resume"))
        return [entry["number"] for entry in await audit_view(state, 10)]

    assert asyncio.run(both()) == [1, 2]


def ended(engine: Engine) -> list[tuple[str, str | None, str]]:
    return [
        (told["verb"], told["outcome"], told["reason"])
        for told in (read_audit(row.fields) for row in engine.state.query(PREFIX))
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
    engine.state.transact([Write(AUDIT.key("000000000001"), fields)])
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
