"""Asking a node: through its control socket, found by data directory or by port. A directory that is not in
use is asked directly.

Rules of this file: plain blocking sockets, so that a question costs little to start. The verbs are the
server's own (`server.control.VERBS`): beside a server and without one the answer is made by the same code.
Called by every command that asks; what only a running server can do says so.
"""

import json
import socket
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from tailrace.cli.failures import CommandFailure
from tailrace.cli.place import NodeAt, Place, StateAt
from tailrace.server import nodes
from tailrace.server.control_socket import socket_path
from tailrace.stores.directory import DirectoryInUse, is_owned, owner

VERSION: Final = 1
PATIENCE_S: Final = 15.0
"""How long a directory may be locked without its socket answering: its owner is starting or stopping."""
LOOK_S: Final = 0.05
ANSWER_S: Final = 60.0


def ask(place: Place, verb: str, arguments: Mapping[str, object] | None = None) -> Any:
    """The one value that a verb answers. Raises: CommandFailure, and what the verb raises."""
    # To its end: what was asked for is done then, and audited as such.
    values = list(answers(place, verb, arguments))
    if not values:
        raise CommandFailure(f"{verb} answered nothing.")
    return values[0]


def answers(
    place: Place,
    verb: str,
    arguments: Mapping[str, object] | None = None,
    *,
    endless: bool = False,
    is_nested: bool = False,
) -> Generator[Any, None, None]:
    """Every value that a verb answers, as they come; `endless` ones may be far apart. Raises: CommandFailure.

    Shape:   `is_nested`: the next question may come before the last value of this one, so a directory
             that is opened for it is closed first.
    """
    if isinstance(place, StateAt):
        from tailrace.cli.far import run_far

        yield from run_far(place, verb, arguments or {})
        return
    if isinstance(place, NodeAt):
        yield from _asked(reach(place), place, verb, arguments or {}, endless=endless)
        return
    if not place.is_dir():
        raise CommandFailure(f"There is no data directory {place}.", hint=_start_or_ask(place))
    deadline = time.monotonic() + PATIENCE_S
    while (connection := connect(place, deadline)) is None:
        try:
            values = _begun(_offline(place, verb, arguments or {}))
        except DirectoryInUse:  # another process began to start after the look
            if time.monotonic() > deadline:
                raise
            pause(LOOK_S)
            continue
        yield from (list(values) if is_nested else values)
        return
    yield from _asked(connection, place, verb, arguments or {}, endless=endless)


def _start_or_ask(directory: Path) -> str:
    """What to type where there is no data directory: perhaps a node in memory was meant."""
    urls = [f"--url http://localhost:{port}" for port in nodes.running()]
    runs = f"   (of yours {'runs' if len(urls) == 1 else 'run'}: {', '.join(urls)})" if urls else ""
    return f"tailrace serve --data {directory}{runs}"


def _asked(
    connection: socket.socket, place: Place, verb: str, arguments: Mapping[str, object], *, endless: bool
) -> Iterator[Any]:
    with connection:
        connection.settimeout(None if endless else ANSWER_S)
        request = {"v": VERSION, "verb": verb, "arguments": dict(arguments)}
        try:
            connection.sendall(json.dumps(request).encode() + b"\n")
            yield from read_answers(connection, place)
        except ConnectionError:  # it was killed with something of ours unread
            raise _gone(place) from None
        except TimeoutError:
            raise CommandFailure(
                f"The server of {place} has not answered for {ANSWER_S:g} s.", hint="look at its log"
            ) from None


def reach(node: NodeAt) -> socket.socket:
    """A connection to the node that serves a URL. Raises: CommandFailure when this user has none there."""
    directory = nodes.directory_of(node.port)
    if directory is not None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(ANSWER_S)
        try:
            connection.connect(str(socket_path(directory)))
            return connection
        except OSError:
            connection.close()  # it ended after the look
    others = [port for port in nodes.running() if port != node.port]
    there = f" Yours: {', '.join(f'http://localhost:{port}' for port in others)}." if others else ""
    if _is_served(node.port):
        raise CommandFailure(
            f"Something serves port {node.port}, but no node that this user has started here with this "
            f"version: a node answers the commands of its own user alone.{there}",
            hint="the same command as the user, or in the container, that runs it; or name its directory "
            "with --data",
        )
    raise CommandFailure(
        f"Nothing serves {node.url}.{there}",
        hint="the same command with one of those"
        if others
        else f"tailrace serve --port {node.port} --memory",
    )


def _is_served(port: int) -> bool:
    """Whether anything takes connections on this port of this machine."""
    for host in ("127.0.0.1", "::1"):
        with suppress(OSError), socket.create_connection((host, port), timeout=LOOK_S * 20):
            return True
    return False


def _begun(values: Iterator[Any]) -> Iterator[Any]:
    """The same values, the first of them taken already: what opening the directory raises, this raises."""
    first = list(islice(values, 1))
    return chain(first, values)


def read_answers(connection: socket.socket, place: Place) -> Iterator[Any]:
    """The values on a connection, up to the line that ends them. Raises: CommandFailure."""
    with connection.makefile("rb") as lines:
        for line in lines:
            answer = json.loads(line)
            if "value" in answer:
                yield answer["value"]
            elif "error" in answer:
                raise CommandFailure(answer["error"]["message"], hint=answer["error"]["hint"])
            else:
                return
    raise _gone(place)


def _gone(place: Place) -> CommandFailure:
    return CommandFailure(f"The server of {place} has gone.", hint="start it again, then repeat the command")


def connect(directory: Path, deadline: float | None = None) -> socket.socket | None:
    """A connection to the directory's server; None when the directory is not in use. Raises: CommandFailure.

    Units:   `deadline` of the monotonic clock: until then a server that starts is waited for; None:
             PATIENCE_S.
    """
    deadline = time.monotonic() + PATIENCE_S if deadline is None else deadline
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(ANSWER_S)
        try:
            connection.connect(str(socket_path(directory)))
            return connection
        except PermissionError as error:
            connection.close()
            raise CommandFailure(f"{directory} belongs to another user: {error.strerror}.") from error
        except OSError:
            connection.close()
        if not is_owned(directory):
            return None
        if time.monotonic() > deadline:
            raise CommandFailure(
                f"{directory} is in use by process {owner(directory) or 'unknown'}, which has not answered "
                f"on {socket_path(directory)} for {PATIENCE_S:g} s: it is still starting or stopping, or has "
                "no socket, as the demo and tests.",
                hint="repeat the command when it has started, or stop it",
            )
        pause(LOOK_S)


def pause(seconds: float) -> None:
    """Wait between two looks."""
    threading.Event().wait(seconds)  # time.sleep fails under libfaketime, by which people try other days


def _offline(directory: Path, verb: str, arguments: Mapping[str, Any]) -> Iterator[Any]:
    """Open the directory here and let the verb answer, as the server would."""
    from tailrace.cli.offline import run_offline

    yield from run_offline(directory, verb, arguments)
