"""The parts of `dev` that need no server, and what a reload says."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tailrace.cli.dev import DevSession, Throttle
from tailrace.cli.loading import described, load
from tailrace.cli.running import Serving, build_node
from tailrace.compose import Node
from tailrace.runtime.watermark import positions
from tailrace.tables.mutate import Put
from tailrace.views.at_once import at_once
from tailrace.views.progress import declared, known_mappings


def test_a_full_second_hides_lines_and_the_next_one_tells_how_many() -> None:
    now = [0.0]
    throttle = Throttle(2, lambda: now[0])
    assert [throttle.admit() for _ in range(5)] == [
        (True, 0),
        (True, 0),
        (False, 0),
        (False, 0),
        (False, 0),
    ]
    now[0] = 1.0
    assert [throttle.admit(), throttle.admit(), throttle.admit()] == [(True, 3), (True, 0), (False, 0)]
    now[0] = 9.0
    assert throttle.admit() == (True, 1)


def failing(path: Path, text: str) -> BaseException:
    path.write_text(text)
    try:
        exec(compile(text, str(path), "exec"), {})
    except Exception as error:  # whatever the text raises is what the test is about
        return error
    raise AssertionError("it did not fail")


def test_a_failing_app_is_described_by_its_own_line(tmp_path: Path) -> None:
    path = tmp_path / "app.py"
    error = failing(path, "import json\n\ndef load():\n    return json.loads('{')\n\nload()\n")
    assert described(error).startswith("JSONDecodeError: Expecting property name")
    assert described(error).endswith(f"({path}:4)")


def test_wrong_syntax_is_described_by_its_place(tmp_path: Path) -> None:
    assert (
        described(failing(tmp_path / "app.py", "a = = 1")) == "SyntaxError: invalid syntax (app.py, line 1)"
    )


@pytest.mark.parametrize("text", ["import not_there_at_all", "raise ValueError('no')"])
def test_the_kind_and_the_words_of_an_error_are_kept(tmp_path: Path, text: str) -> None:
    said = described(failing(tmp_path / "app.py", text))
    assert said.endswith(f"({tmp_path / 'app.py'}:1)")
    assert "not_there_at_all" in said or "ValueError: no" in said


# ---- handlers that are deleted while it runs ---------------------------------------------------------------

TWO = """
from tailrace import App, Change, Retry

app = App("shop")
orders = app.table("orders", pk="id")


@app.on(orders, retry=Retry(1, backoff="1ms..1ms"))
def note(change: Change) -> None:
    if change.key == "bad":
        raise ValueError("no")


@app.on(orders)
def stays(change: Change) -> None: ...
"""
ONE = TWO.partition("@app.on")[0] + "@app.on" + TWO.rpartition("@app.on")[2]


def reloaded(directory: Path, text: str, *keys: str) -> tuple[list[dict[str, Any]], list[str]]:
    """What `dev` says when the app is saved as `text` after these items were written and handled or parked;
    and the handlers then.
    """
    path = directory / "app.py"
    path.write_text(TWO)
    serving = Serving(
        port=0,
        host="127.0.0.1",
        directory=directory / "data",
        memory=True,
        sync="normal",
        clock="system",
        clock_start=None,
        shards=1,
        aws_delays=False,
        cors=None,
        allow_unsigned=False,
        log_format="text",
        as_json=True,
    )
    said: list[dict[str, Any]] = []

    async def main() -> list[str]:
        node = build_node(serving, load(str(path)))
        session = DevSession(node, str(path), serving)
        session.tell = lambda text, colour, **members: said.append(members)  # type: ignore[method-assign]
        await node.start()
        try:
            for key in keys:
                node.engine.put(Put("orders", {"id": {"S": key}}))
            node.engine.committer.flush()
            while not await is_settled(node):
                await asyncio.sleep(0.01)
            path.write_text(text)
            await session.reload([path])
            return sorted(handlers_of(node))
        finally:
            await node.stop()

    return said, asyncio.run(main())


async def is_settled(node: Node) -> bool:
    reading = node.subject.reading
    known = await known_mappings(reading.state, reading.log)
    places = [place async for place in positions(reading.state, reading.log, known)]
    return len(known) == 2 and not any(place.oldest for place in places)


def handlers_of(node: Node) -> list[str]:
    return [mapping.handler for mapping in at_once(declared(node.subject.reading))]


def test_a_deleted_handler_with_nothing_pending_is_forgotten_by_itself(tmp_path: Path) -> None:
    said, handlers = reloaded(tmp_path, ONE, "o1")
    assert [message["forgotten"] for message in said if "forgotten" in message] == ["note"]
    assert [message["reloaded"] for message in said if "reloaded" in message] == ["app.py"]
    assert handlers == ["stays"]


def test_a_deleted_handler_with_a_parked_item_is_kept_and_the_line_says_what_to_do(tmp_path: Path) -> None:
    said, handlers = reloaded(tmp_path, ONE, "bad")
    (line,) = [message for message in said if "not_loaded" in message]
    assert "tailrace mapping drop note" in line["hint"]
    assert handlers == ["note", "stays"]


def test_a_handler_under_another_name_is_not_taken_for_a_deleted_one(tmp_path: Path) -> None:
    said, handlers = reloaded(tmp_path, TWO.replace("def note", "def post"), "o1")
    (line,) = [message for message in said if "not_loaded" in message]
    assert "tailrace mapping rename note post" in line["hint"]
    assert handlers == ["note", "stays"]
