"""`tailrace dlq ls` in words and as JSON, with letters, windows, both and nothing."""

import json
from typing import Any

import click
import pytest

from tailrace.cli.dlq import json_listed, listed

LETTER = {
    "handler": "count",
    "table": "orders",
    "key": "a",
    "event_name": "INSERT",
    "state": "discarded",
    "overtaken_by": None,
    "attempts": 2,
    "event_id": "4f0c",
    "error": "ValueError: no",
}
WINDOW = {
    "handler": "count",
    "shard_id": "shardId-1",
    "start_ms": 1_767_225_600_000,
    "end_ms": 1_767_225_660_000,
    "state": '{"count":3}',
    "attempts": 2,
    "condition": "RetryAttemptsExhausted",
    "error": "ValueError: not now\nmore",
}
GROUP = {
    "count": 1,
    "fingerprint": "ValueError: no",
    "handler": "count",
    "first_failure_ms": 1_767_225_600_000,
    "last_failure_ms": 1_767_225_600_000,
}


def parts(letters: int, windows: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What the verb answers."""
    first = {"groups": [GROUP] * letters, "count": letters, "lost_windows": windows}
    return first, [{"letters": [LETTER]}] * letters + [{"windows": [WINDOW]}] * windows


@pytest.mark.parametrize(("letters", "windows"), [(0, 0), (1, 0), (0, 2), (2, 1)])
def test_json_holds_letters_and_windows(letters: int, windows: int) -> None:
    listing = json.loads("".join(json_listed(*parts(letters, windows))))
    assert (listing["letters"], listing["windows"]) == ([LETTER] * letters, [WINDOW] * windows)
    assert (listing["count"], listing["lost_windows"]) == (letters, windows)


@pytest.mark.parametrize(("letters", "windows"), [(1, 0), (0, 2), (2, 1)])
def test_a_list_tells_letters_then_windows(letters: int, windows: int) -> None:
    text = "\n".join(listed(*parts(letters, windows)))
    assert text.count("4f0c") == letters
    assert text.count("orders/a") == letters
    assert text.count("the final call of the window from 2026-01-01") == windows
    assert text.count("ValueError: not now; in shardId-1") == windows
    assert text.count('the state it would have been given: {"count":3}') == windows


def test_nothing_is_said_to_be_nothing() -> None:
    assert list(listed(*parts(0, 0))) == ["Nothing was given up."]


def test_columns_stand_in_line_over_all_pages_and_the_counts_come_last() -> None:
    long = {**LETTER, "key": "a-key-that-is-longer", "handler": "a-longer-handler", "overtaken_by": "17"}
    groups = [{**GROUP, "count": 2}, {**GROUP, "handler": "a-longer-handler", "fingerprint": "OSError: away"}]
    first = {
        "groups": groups,
        "count": 5,
        "waiting": 2,
        "lost_windows": 0,
        "longest_item": len("orders/a-key-that-is-longer"),
    }
    text = [click.unstyle(line) for line in listed(first, [{"letters": [LETTER]}, {"letters": [long]}])]
    heading, one, two = text[:3]
    for column, values in (("ITEM", ("orders/a", "orders/a-key")), ("EVENT ID", ("4f0c", "4f0c"))):
        assert {heading.index(column)} == {
            line.index(value) for line, value in zip((one, two), values, strict=True)
        }
    assert "overtaken" in two
    counts = text[text.index("") + 1 :]
    assert counts[0].split()[:2] == ["COUNT", "HANDLER"]
    assert counts[1].split()[:2] == ["2", "count"]
    assert counts[2].split()[:2] == ["1", "a-longer-handler"]
    assert counts[2].endswith("OSError: away")
    assert counts[3] == "3 changes failed, and 2 later changes wait behind them."
