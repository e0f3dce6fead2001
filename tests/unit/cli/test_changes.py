"""One change on one line."""

from typing import Any

import click
import pytest

from tailrace.cli.changes import WIDEST, item_text, key_text, line, printable, value_text

CHANGE: dict[str, Any] = {
    "event_name": "MODIFY", "table": "shop", "at": "2026-10-31T23:59:01.250Z",
    "keys": {"pk": {"S": "o1"}, "sk": {"N": "2"}},
    "old": {"pk": {"S": "o1"}, "sk": {"N": "2"}, "status": {"S": "new"}, "note": {"S": "x"}},
    "new": {"pk": {"S": "o1"}, "sk": {"N": "2"}, "status": {"S": "paid"}, "total": {"N": "9.5"}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"S": 'a"b'}, '"a\\"b"'),
        ({"N": "12.50"}, "12.50"),
        ({"B": "AQI="}, "base64:AQI="),
        ({"BOOL": True}, "true"),
        ({"BOOL": False}, "false"),
        ({"NULL": True}, "null"),
        ({"L": [{"N": "1"}, {"S": "x"}]}, '[1, "x"]'),
        ({"M": {"a": {"M": {}}}}, "{a: {}}"),
        ({"SS": ["a", "b"]}, '{"a", "b"}'),
        ({"NS": ["1", "2"]}, "{1, 2}"),
        ({"BS": ["AQI="]}, '{"AQI="}'),
    ],
)
def test_a_value_is_shown_without_type_letters(value: dict[str, Any], text: str) -> None:
    assert value_text(value) == text


def test_a_line_says_when_what_which_and_how_it_is_now() -> None:
    assert click.unstyle(line(CHANGE)) == (
        '23:59:01.250  MODIFY  shop/o1/2  {pk: "o1", sk: 2, status: "paid", total: 9.5}'
    )


def test_a_diff_shows_only_what_differs() -> None:
    assert click.unstyle(line(CHANGE, diff=True)) == (
        '23:59:01.250  MODIFY  shop/o1/2  -note "x", status "new" → "paid", +total 9.5'
    )


def test_a_removal_shows_what_was_there_and_who_removed_it() -> None:
    removal = {**CHANGE, "event_name": "REMOVE", "new": None, "by_ttl": True}
    assert click.unstyle(line(removal)).startswith('23:59:01.250  REMOVE  shop/o1/2  (ttl)  {pk: "o1"')


def test_a_change_without_images_shows_its_key() -> None:
    bare = {**CHANGE, "old": None, "new": None}
    assert click.unstyle(line(bare, diff=True)).endswith("nothing but its keys")


@pytest.mark.parametrize("evil", ["\x1b[2J", "a\rb", "\x07", "\x9b31m", "‮gnp", "\u2028"])
def test_no_item_can_steer_the_terminal(evil: str) -> None:
    assert printable(printable(evil)).isprintable()
    assert item_text({evil: {"S": evil}}).isprintable()
    assert key_text({"pk": {"S": evil}}).isprintable()


def test_a_long_item_is_cut_and_says_so() -> None:
    big = {**CHANGE, "new": {"pk": {"S": "x" * 100_000}}}
    assert len(click.unstyle(line(big))) < WIDEST + 200
    assert "characters)" in line(big)
