"""When an item expires, at each bound and one past it. Source: semantics §1.8."""

from typing import Any

import pytest

from tailrace.tables.ttl import LATEST_SECONDS, OLDEST_MS, due_ms, is_expired, may_expire

NOW_MS = 1_780_000_000_000
NOW = NOW_MS // 1_000


@pytest.mark.parametrize(
    ("value", "due"),
    [
        ({"N": str(NOW)}, NOW_MS + 1),
        ({"N": "0"}, 1),
        ({"N": "1.5"}, 1_501),
        ({"N": "1.0004"}, 1_001),
        ({"N": "-1"}, None),
        ({"N": str(LATEST_SECONDS - 1)}, (LATEST_SECONDS - 1) * 1_000 + 1),
        ({"N": str(LATEST_SECONDS)}, None),
        ({"N": "1E125"}, None),
        ({"S": str(NOW)}, None),
        ({"NS": [str(NOW)]}, None),
        ({"M": {"N": {"N": "1"}}}, None),
        ({"NULL": True}, None),
    ],
)
def test_only_a_number_of_seconds_is_a_time(value: Any, due: int | None) -> None:
    assert due_ms({"pk": {"S": "a"}, "ttl": value}, "ttl") == due


def test_without_the_attribute_or_the_item_nothing_expires() -> None:
    assert due_ms({"pk": {"S": "a"}}, "ttl") is None
    assert due_ms(None, "ttl") is None


def test_an_item_is_expired_once_its_second_is_less_than_now() -> None:
    due = due_ms({"ttl": {"N": str(NOW)}}, "ttl")
    assert [is_expired(due, wall) for wall in (NOW_MS - 1, NOW_MS, NOW_MS + 1)] == [False, False, True]


def test_what_is_past_for_five_years_is_left_alone() -> None:
    due = due_ms({"ttl": {"N": str(NOW)}}, "ttl")
    assert due is not None
    assert is_expired(due, due + OLDEST_MS - 1)
    assert not is_expired(due, due + OLDEST_MS)
    assert not may_expire(due, due + OLDEST_MS)
    assert not is_expired(None, NOW_MS)
