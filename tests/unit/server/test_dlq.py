"""The `dlq` verbs over many letters: pages, and the same answer in pieces."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest

from tailrace.cli.dlq import json_listed, listed
from tailrace.deadletters.core.entry import deadletter_prefix
from tailrace.deadletters.views.letters import PAGE
from tailrace.rows.writes import Write
from tailrace.server.control import find_verb
from tests.unit.server.admin import Ground

MANY = 2 * PAGE + 50


@pytest.fixture(scope="module")
def ground() -> Ground:
    """Every change of a table given up by `mail`; the letters of others are none of these tests."""
    made = Ground()
    for number in range(MANY):
        made.put(f"o{number:03}")
    made.settle("mail", 1)
    for record in made.records():
        made.give_up("mail", record)
    return made


def asked(ground: Ground, **arguments: Any) -> AsyncGenerator[Any, None]:
    return find_verb("dlq.ls").run(ground.subject, arguments)


def test_the_groups_and_the_number_come_first_and_then_pages(ground: Ground) -> None:
    first, *pages = ground.all("dlq.ls")
    assert first["count"] == MANY
    (group,) = first["groups"]
    assert (group["handler"], group["fingerprint"], group["count"]) == ("mail", "SMTPError: no", MANY)
    assert [len(page["letters"]) for page in pages] == [PAGE, PAGE, 50]
    keys = [letter["key"] for page in pages for letter in page["letters"]]
    assert keys == [f"o{number:03}" for number in range(MANY)]


def test_what_is_dropped_while_they_are_told_is_not_in_memory(ground: Ground) -> None:
    rows = ground.engine.state.query(deadletter_prefix("app", "mail"))
    gone = rows[PAGE + 10 :]

    async def read() -> list[int]:
        sizes = []
        async for part in asked(ground):
            if "letters" in part:
                sizes.append(len(part["letters"]))
                ground.engine.state.transact([Write(row.key, None) for row in gone])
        return sizes

    try:
        assert asyncio.run(read()) == [PAGE, 10]
    finally:
        ground.engine.state.transact([Write(row.key, row.fields) for row in gone])


def test_others_have_their_turn_between_two_pages(ground: Ground) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def read() -> None:
        task = asyncio.ensure_future(other())
        async for _ in asked(ground, where={"key": "nothing fits"}):
            pass
        task.cancel()

    asyncio.run(read())
    assert turns >= 2 * (MANY // PAGE)


def test_the_json_of_the_command_is_one_object_in_pieces(ground: Ground) -> None:
    first, *pages = ground.all("dlq.ls", where={"key": "o00*"})
    pieces = list(json_listed(first, pages))
    whole = json.loads("".join(pieces))
    assert len(pieces) == 10 + 2
    assert (whole["count"], len(whole["letters"]), len(whole["groups"])) == (10, 10, 1)
    assert whole["letters"] == pages[0]["letters"]


def test_people_read_a_line_as_soon_as_its_page_is_there(ground: Ground) -> None:
    first, *pages = ground.all("dlq.ls")
    taken = []

    def coming() -> Iterator[Any]:
        for page in pages:
            taken.append(page)
            yield page

    lines = listed(first, coming())
    for line in lines:
        if "o000" in line:
            break
    assert len(taken) == 1
    assert line.split() == [
        "mail",
        "shop/o000",
        "INSERT",
        "discarded",
        "6",
        pages[0]["letters"][0]["event_id"],
        "SMTPError:",
        "no",
    ]
    assert sum("shop/o" in line for line in lines) == MANY - 1


def test_one_letter_among_many_is_found(ground: Ground) -> None:
    last = ground.all("dlq.ls", where={"key": f"o{MANY - 1}"})[1]["letters"][0]
    assert ground.ask("dlq.show", event_id=last["event_id"])["key"] == f"o{MANY - 1}"
