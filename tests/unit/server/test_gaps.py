"""The gaps of handlers, as the verb and the command say them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tailrace.cli import gaps as command
from tailrace.cli.main import run
from tailrace.deadletters.core.gap import Gap
from tailrace.errors import TailraceError
from tailrace.rows.kinds import GAP
from tailrace.rows.writes import Write
from tailrace.streams.record import SequenceNumber
from tests.unit.server.admin import START_MS, Ground


def gapped() -> tuple[Ground, int]:
    ground = Ground()
    ground.put("o1")
    ground.clock.advance(60_000)
    ground.put("o2")
    first, last = (record.sequence for record in ground.records())
    times = {first: (START_MS + 1_000, START_MS + 61_000)}
    ground.settle("mail", last, [(first, last - 1, 0, "trimmed"), (last, last, 1, "filtered")], times=times)
    ground.settle("index", last, [(last, last, 1, "parked")])
    return ground, first


def test_a_gap_is_named_with_its_handler_its_numbers_and_its_time() -> None:
    ground, first = gapped()
    (gap,) = ground.ask("gaps")
    assert (gap["handler"], gap["app"], gap["table"]) == ("mail", "app", "shop")
    assert gap["first"] == SequenceNumber(first).wire
    assert (gap["from_ms"], gap["until_ms"]) == (START_MS + 1_000, START_MS + 61_000)


def test_a_gap_of_a_row_that_says_no_times_has_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ground = Ground()
    ground.put("o1")
    (record,) = ground.records()
    ground.settle("mail", record.sequence, [(record.sequence, record.sequence, 0, "trimmed")])
    (gap,) = ground.ask("gaps")
    assert (gap["from_ms"], gap["until_ms"]) == (None, None)
    answering(monkeypatch, ground)
    assert run(["gaps"]) == 1
    assert capsys.readouterr().out.splitlines()[1].split()[3:5] == ["?", "?"]


def test_two_shards_that_lost_changes_from_one_number_on_have_a_gap_each() -> None:
    ground = Ground()
    ground.settle("mail", 9)
    gaps = [Gap(shard, 7, 9) for shard in ("left", "right")]
    ground.engine.state.transact([Write(gap.key("app", "mail"), gap.fields()) for gap in gaps])
    assert [gap["shard"] for gap in ground.ask("gaps")] == ["left", "right"]
    assert len(ground.ask("gaps.acknowledge")) == 2
    assert ground.ask("gaps.acknowledge") == []


def test_a_gap_that_a_row_of_another_shard_hides_is_read_from_the_ledger() -> None:
    ground, first = gapped()
    hiding = Gap("another", first, first)
    old_key = GAP.key("app", "mail", f"{first:019d}")
    ground.engine.state.transact([Write(old_key, {**hiding.fields(), "v": 1})])
    assert {gap["shard"] for gap in ground.ask("gaps")} == {"another", ground.shards()[0].shard_id}


def test_a_gap_of_an_older_version_is_acknowledged_once() -> None:
    ground = Ground()
    ground.settle("mail", 9)
    gap = Gap("left", 7, 9)
    ground.engine.state.transact([Write(GAP.key("app", "mail", f"{7:019d}"), {**gap.fields(), "v": 1})])
    assert len(ground.ask("gaps.acknowledge")) == 1
    assert ground.ask("gaps.acknowledge") == []
    assert [told["acknowledged_ms"] is None for told in ground.ask("gaps")] == [False]


def test_one_handler_may_be_asked_for() -> None:
    ground, _ = gapped()
    assert ground.ask("gaps", handler="index") == []
    assert len(ground.ask("gaps", handler="app/mail")) == 1
    with pytest.raises(TailraceError, match="There is no handler 'nobody'"):
        ground.ask("gaps", handler="nobody")


def answering(monkeypatch: pytest.MonkeyPatch, ground: Ground) -> None:
    def ask(directory: Path, verb: str, arguments: Mapping[str, Any]) -> Any:
        return ground.ask(verb, **arguments)

    monkeypatch.setattr(command, "ask", ask)


def test_the_command_exits_with_1_when_there_is_a_gap(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ground, first = gapped()
    answering(monkeypatch, ground)
    assert run(["gaps"]) == 1
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["HANDLER", "TABLE", "SHARD", "FROM", "UNTIL", "FIRST", "LAST", "ACKNOWLEDGED"]
    assert row.startswith("mail")
    assert SequenceNumber(first).wire in row
    assert run(["gaps", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)[0]["handler"] == "mail"


def test_the_command_says_that_there_is_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ground, _ = gapped()
    answering(monkeypatch, ground)
    assert run(["gaps", "index"]) == 0
    assert capsys.readouterr().out == "No gap: whatever was trimmed had been read before.\n"
