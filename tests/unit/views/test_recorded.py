"""What the commands say of a data directory of an earlier version is what that version said,
but for added members.

Rules of this file: the directory and the answers are those of `recording.py`, and are not written anew
because a test fails.
"""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.views.recording import ANSWERS, answers, opened

SAID: dict[str, Any] = json.loads(ANSWERS.read_text())


def lost(before: object, now: object, where: str = "") -> list[str]:
    """What an earlier answer has that this one has not, or has otherwise."""
    match before, now:
        case dict(), dict():
            return [
                words
                for name, value in before.items()
                for words in (
                    lost(value, now[name], f"{where}.{name}") if name in now else [f"{where}.{name} is gone"]
                )
            ]
        case list(), list() if len(before) == len(now):
            return [
                words
                for index, (old, new) in enumerate(zip(before, now, strict=True))
                for words in lost(old, new, f"{where}[{index}]")
            ]
        case list(), list():
            return [f"{where} has {len(now)} entries, not {len(before)}"]
        case _:
            return [] if before == now else [f"{where} is {now!r}, not {before!r}"]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return dict(answers(opened(tmp_path_factory.mktemp("recorded"))))


@pytest.mark.parametrize("words", SAID)
def test_a_command_says_of_an_older_directory_what_it_said_then(words: str, told: dict[str, Any]) -> None:
    assert lost(SAID[words], told[words], words) == []


def test_the_directory_holds_something_of_everything() -> None:
    handlers = {handler["handler"]: handler for handler in SAID["status"][0]["handlers"]}
    assert handlers["mail"]["parked_keys"]
    assert handlers["large"]["dead_letters"]
    assert handlers["slow"]["paused"]
    assert {"handled", "waiting", "parked", "discarded"} <= states_of("why")
    assert any(chapter["saved_from_trim"] for chapter in chapters("why") if chapter["state"] == "waiting")
    gaps = SAID["gaps"][0]
    assert {bool(gap["acknowledged_ms"]) for gap in gaps} == {True, False}
    assert SAID["projection.read"][0]["groups"]
    assert SAID["dlq ls"][0]["lost_windows"]
    assert SAID["tail"]
    assert len(SAID["audit"][0]) == 3


def chapters(word: str) -> list[dict[str, Any]]:
    stories = [value[0] for words, value in SAID.items() if words.startswith(word)]
    return [chapter for story in stories for change in story["changes"] for chapter in change["handlers"]]


def states_of(word: str) -> set[str]:
    return {chapter["state"] for chapter in chapters(word)}


def test_an_answer_that_loses_a_member_or_says_another_value_is_noticed() -> None:
    now = copy.deepcopy(SAID["status"])
    now[0]["added"] = True
    assert lost(SAID["status"], now) == []
    del now[0]["handlers"][1]["paused"]
    now[0]["handlers"][0]["shards"][0]["lag_ms"] += 1
    now[0]["tables"].pop()
    assert len(lost(SAID["status"], now)) == 3


def test_the_recorded_directory_names_no_place_of_the_machine_that_recorded_it(tmp_path: Path) -> None:
    data = (opened(tmp_path) / "tailrace.db").read_bytes()
    assert b"app.py" in data
    assert b"site-packages" not in data
    assert b"/src/tailrace/" not in data
