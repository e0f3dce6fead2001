"""What the commands about projections print for programs."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tailrace.cli import projection
from tailrace.cli.main import run

GROUP = {"key": '{"L":[{"S":"NL"},{"N":"3"}]}', "count": 2, "state": {"N": "8"}}
ANSWERS: dict[str, Any] = {
    "projection.read": {"projection": "sales", "build": "1", "filled": True, "groups": [GROUP]},
    "projection.verify": {
        "projection": "sales",
        "build": "1",
        "items": 2,
        "groups": 1,
        "in_flight": 0,
        "differing": 2,
        "differences": [
            {"kind": "item", "key": '{"id":{"S":"o3"}}', "expected": None, "found": {"N": "1"}, "reason": ""},
            {"kind": "item", "key": "0a0b", "expected": None, "found": {"N": "1"}, "reason": ""},
        ],
    },
}


@pytest.fixture(autouse=True)
def _answered(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(directory: Path, verb: str, arguments: Mapping[str, Any]) -> Any:
        return ANSWERS[verb]

    monkeypatch.setattr(projection, "ask", ask)


def test_show_in_json_is_json_all_through(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["projection", "show", "sales", "--json"]) == 0
    (group,) = json.loads(capsys.readouterr().out)["groups"]
    assert group == {"key": {"L": [{"S": "NL"}, {"N": "3"}]}, "count": 2, "state": {"N": "8"}}


def test_verify_in_json_is_json_all_through(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["projection", "verify", "sales", "--json"]) == 1
    keys = [difference["key"] for difference in json.loads(capsys.readouterr().out)["differences"]]
    assert keys == [{"id": {"S": "o3"}}, "0a0b"]
