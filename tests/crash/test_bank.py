"""The bank of the example under kills at every point, and the checker with planted faults."""

import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tailrace.aggregates.core.layout import Place, StoredEvent, event_item
from tests.crash.bank import ACCOUNTS, OPENING, POINTS, Teller, differences, run


def event(name: str, id: str, version: int, type: str, command: str, cents: int = 0) -> dict[str, Any]:
    place = Place("bank", "pk", "sk", name, id)
    data = {"cents": {"N": str(cents)}} if cents else {}
    return event_item(place, StoredEvent(version, type, 1, data, version, command, command=command))


def sound() -> tuple[Teller, list[dict[str, Any]], list[dict[str, Any]]]:
    """A transfer and a payment that are applied."""
    teller = Teller(None, random.Random(1))
    one, two = ACCOUNTS[:2]
    items = [event("account", account, 1, "Deposited", "opening", OPENING) for account in ACCOUNTS]
    teller._note("transfer", "c1", one, two, 500)
    items += [
        event("account", one, 2, "Withdrawn", "c1", 500),
        event("account", two, 2, "Deposited", "c1", 500),
    ]
    teller._note("payment", "c2", two, one, 50)
    items += [
        event("payment", "c2", 3, "Settled", "settle"),
        event("account", two, 3, "Withdrawn", "c2-take", 50),
        event("account", one, 3, "Deposited", "c2-settle", 50),
    ]
    lines = [
        {"account": {"S": item["pk"]["S"].partition("#")[2]}, "version": {"N": item["sk"]["S"][2:]}}
        for item in items
        if item["pk"]["S"].startswith("account#")
    ]
    return teller, items, lines


def test_a_sound_bank_has_no_difference() -> None:
    assert differences(*sound()) == []


def lacks_an_event(items: list[Any], lines: list[Any]) -> None:
    items.pop()


def applied_twice(items: list[Any], lines: list[Any]) -> None:
    items.append(event("account", ACCOUNTS[0], 4, "Withdrawn", "c1", 500))


def half_a_transfer(items: list[Any], lines: list[Any]) -> None:
    items.remove(next(item for item in items if item["type"]["S"] == "Withdrawn"))


def a_cent_too_much(items: list[Any], lines: list[Any]) -> None:
    items[-1]["data"]["M"]["cents"] = {"N": "51"}


def payment_without_an_end(items: list[Any], lines: list[Any]) -> None:
    items.remove(next(item for item in items if item["type"]["S"] == "Settled"))


def lacks_a_line(items: list[Any], lines: list[Any]) -> None:
    lines.pop()


def a_line_twice(items: list[Any], lines: list[Any]) -> None:
    lines.append(lines[0])


@pytest.mark.parametrize(
    "fault",
    [
        lacks_an_event, applied_twice, half_a_transfer, a_cent_too_much, payment_without_an_end, lacks_a_line,
        a_line_twice,
    ],
)  # fmt: skip
def test_a_planted_difference_is_found(fault: Callable[[list[Any], list[Any]], None]) -> None:
    teller, items, lines = deepcopy(sound())
    fault(items, lines)
    assert differences(teller, items, lines)


def test_each_command_is_applied_once_after_kills_at_every_point() -> None:
    outcome = run(seed=11, kills=len(POINTS), tell=lambda text: None)
    assert outcome.violations == []
    assert set(outcome.kills) == set(POINTS)
    assert outcome.commands > 30
