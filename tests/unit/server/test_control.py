"""The admin API's lines and sockets, with verbs of its own."""

import asyncio
import json
import logging
import stat
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tailrace.errors import StoreError, TailraceError
from tailrace.server import control_socket
from tailrace.server.control import LINE_LIMIT, Arguments, ControlServer, Subject, Verb
from tailrace.server.control_socket import ELSEWHERE, SOCKET, place_socket, socket_path
from tests.patience import PATIENCE_S
from tests.unit.server.admin import Ground

SUBJECT = Ground().subject
ended: list[str] = []


async def echo(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    yield dict(arguments)


async def count(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    for number in range(arguments["to"]):
        yield number


async def refuse(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    raise TailraceError("No such table.", hint="tailrace status")
    yield


async def break_down(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    yield {}["missing"]  # type: ignore[misc]


async def watch(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    try:
        yield "first"
        await asyncio.Event().wait()
    finally:
        ended.append("watch")


VERBS = {
    "echo": Verb("echo", echo, changes=True),
    "count": Verb("count", count),
    "refuse": Verb("refuse", refuse),
    "break": Verb("break", break_down),
    "watch": Verb("watch", watch, streams=True),
}
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def talk(directory: Path, conversation: Talk) -> None:
    """Serve the directory, hold one conversation, close."""

    async def run() -> None:
        server = ControlServer(SUBJECT, directory, VERBS)
        path = await server.start()
        try:
            reader, writer = await asyncio.open_unix_connection(str(path))
            await asyncio.wait_for(conversation(reader, writer), PATIENCE_S)
            writer.close()
        finally:
            await server.close()
            await server.close()
        assert not path.exists()

    asyncio.run(run())


def exchange(directory: Path, *lines: bytes) -> list[Any]:
    """Send lines, close the sending side, return every answer."""
    answers: list[Any] = []

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"".join(lines))
        writer.write_eof()
        answers.extend([json.loads(line) async for line in reader])

    talk(directory, conversation)
    return answers


def request(verb: object, v: object = 1, **arguments: object) -> bytes:
    return json.dumps({"v": v, "verb": verb, "arguments": arguments}).encode() + b"\n"


def test_a_request_is_answered_by_its_values_and_a_last_line(tmp_path: Path) -> None:
    assert exchange(tmp_path, request("count", to=2)) == [
        {"v": 1, "value": 0},
        {"v": 1, "value": 1},
        {"v": 1, "done": True},
    ]


def test_a_connection_carries_several_requests_and_survives_errors_between_them(tmp_path: Path) -> None:
    answers = exchange(tmp_path, request("echo", a=1), b"garbage\n", request("refuse"), request("echo", b=2))
    assert [next(iter(set(answer) - {"v"})) for answer in answers] == [
        "value",
        "done",
        "error",
        "error",
        "value",
        "done",
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"\n", "not JSON"),
        (b"\xff\x00\n", "not JSON"),
        (b"GET / HTTP/1.1\r\n", "not JSON"),
        (b"[]\n", "one JSON object"),
        (b"{}\n", "version 1 of the admin API, not None"),
        (request("echo", v=2), "version 1 of the admin API, not 2"),
        (request(7), "text `verb`"),
        (b'{"v":1,"verb":"echo","arguments":[]}\n', "object `arguments`"),
        (request("ecko"), "no verb 'ecko'"),
        (b"[" * 5_000 + b"\n", "not JSON"),
    ],
)
def test_anything_else_gets_one_error_line(tmp_path: Path, line: bytes, message: str) -> None:
    (answer,) = exchange(tmp_path, line)
    assert message in answer["error"]["message"]


def test_an_unknown_verb_is_answered_with_the_nearest(tmp_path: Path) -> None:
    assert exchange(tmp_path, request("ecko"))[0]["error"]["hint"] == "did you mean 'echo'?"


def test_a_line_without_end_is_refused_and_the_connection_closed(tmp_path: Path) -> None:
    answers = exchange(tmp_path, b"x" * (LINE_LIMIT + 10) + b"\n", request("echo"))
    assert [str(LINE_LIMIT) in answer["error"]["message"] for answer in answers] == [True]


def test_a_failing_verb_answers_its_message_and_hint(tmp_path: Path) -> None:
    assert exchange(tmp_path, request("refuse"))[0]["error"] == {
        "message": "No such table.",
        "hint": "tailrace status",
    }


def test_a_fault_of_a_verb_is_logged_and_told_without_its_trace(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (answer,) = exchange(tmp_path, request("break"))
    assert "its log says how" in answer["error"]["message"]
    assert "KeyError" in caplog.text


def test_a_verb_that_changes_something_leaves_a_line_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "tailrace.control"):
        exchange(tmp_path, request("echo", by="25h"), request("count", to=1))
    assert [record.message for record in caplog.records if record.name == "tailrace.control"] == [
        'admin: echo {"by":"25h"}'
    ]


def test_a_stream_ends_when_its_client_goes(tmp_path: Path) -> None:
    ended.clear()

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(request("watch"))
        assert json.loads(await reader.readline())["value"] == "first"
        assert ended == []
        writer.write_eof()
        assert await reader.read() == b""
        assert ended == ["watch"]

    talk(tmp_path, conversation)


def test_closing_the_server_ends_open_streams(tmp_path: Path) -> None:
    ended.clear()

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(request("watch"))
        await reader.readline()

    talk(tmp_path, conversation)
    assert ended == ["watch"]


def test_only_the_owner_may_open_the_socket(tmp_path: Path) -> None:
    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert stat.S_IMODE((tmp_path / SOCKET).stat().st_mode) == 0o600

    talk(tmp_path, conversation)


def test_a_socket_left_by_a_killed_owner_is_replaced(tmp_path: Path) -> None:
    control_socket.listen(place_socket(tmp_path)).close()
    assert (tmp_path / SOCKET).exists()
    assert exchange(tmp_path, request("count", to=0)) == [{"v": 1, "done": True}]


def test_a_file_in_the_way_is_never_removed(tmp_path: Path) -> None:
    (tmp_path / SOCKET).write_text("mine")
    with pytest.raises(StoreError, match="not a socket"):
        place_socket(tmp_path)
    assert (tmp_path / SOCKET).read_text() == "mine"


def test_a_directory_with_a_long_path_records_where_its_socket_is(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-rather-long-name"] * 8)
    deep.mkdir(parents=True)
    places: list[Path] = []

    async def conversation(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        places.append(socket_path(deep))
        assert places[0].parent != deep
        assert stat.S_IMODE(places[0].parent.stat().st_mode) == 0o700

    talk(deep, conversation)
    assert not places[0].parent.exists()
    assert not (deep / ELSEWHERE).exists()
    assert socket_path(deep) == deep / SOCKET


def test_the_recorded_place_of_a_killed_owner_is_cleaned_up(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-rather-long-name"] * 8)
    deep.mkdir(parents=True)
    left = place_socket(deep)
    control_socket.listen(left).close()
    again = place_socket(deep)
    assert again != left
    assert not left.parent.exists()
    again.parent.rmdir()
