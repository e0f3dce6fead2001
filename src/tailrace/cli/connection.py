"""Asking a data directory something: through its server's control socket, or directly when nobody has it.

Rules of this file: plain blocking sockets, so that a question costs little to start. The verbs are the server's own
(`server.control.VERBS`): beside a server and without one the answer is made by the same code. Called by every command
that asks; what only a running server can do says so.
"""

import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from tailrace.cli.failures import CommandFailure
from tailrace.server.control_socket import socket_path
from tailrace.stores.directory import DirectoryInUse, is_owned, owner

VERSION: Final = 1
PATIENCE_S: Final = 15.0
"""How long a directory may be locked without its socket answering: its owner is starting or stopping."""
LOOK_S: Final = 0.05
ANSWER_S: Final = 60.0


def ask(directory: Path, verb: str, arguments: Mapping[str, object] | None = None) -> Any:
    """The one value that a verb answers. Raises: CommandFailure, and what the verb raises."""
    for value in answers(directory, verb, arguments):
        return value
    raise CommandFailure(f"{verb} answered nothing.")


def answers(
    directory: Path, verb: str, arguments: Mapping[str, object] | None = None, *, endless: bool = False,
    is_nested: bool = False,
) -> Iterator[Any]:  # fmt: skip
    """Every value that a verb answers, as they come; `endless` ones may be far apart. Raises: CommandFailure.

    Shape:   `is_nested`: the next question may come before the last value of this one, so a directory that is opened for it is closed first.
    """
    if not directory.is_dir():
        raise CommandFailure(
            f"There is no data directory {directory}.", hint=f"tailrace serve --data {directory}"
        )
    deadline = time.monotonic() + PATIENCE_S
    while (connection := connect(directory, deadline)) is None:
        try:
            values = _begun(_offline(directory, verb, arguments or {}))
        except DirectoryInUse:  # somebody began to start after the look
            if time.monotonic() > deadline:
                raise
            _pause(LOOK_S)
            continue
        yield from (list(values) if is_nested else values)
        return
    with connection:
        connection.settimeout(None if endless else ANSWER_S)
        request = {"v": VERSION, "verb": verb, "arguments": dict(arguments or {})}
        try:
            connection.sendall(json.dumps(request).encode() + b"\n")
            yield from read_answers(connection, directory)
        except TimeoutError:
            raise CommandFailure(
                f"The server of {directory} has not answered for {ANSWER_S:g} s.", hint="look at its log"
            ) from None


def _begun(values: Iterator[Any]) -> Iterator[Any]:
    """The same values, the first of them taken already: what opening the directory raises, this raises."""
    first = list(islice(values, 1))
    return chain(first, values)


def read_answers(connection: socket.socket, directory: Path) -> Iterator[Any]:
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
    raise CommandFailure(
        f"The server of {directory} has gone.", hint="start it again, then repeat the command"
    )


def connect(directory: Path, deadline: float | None = None) -> socket.socket | None:
    """A connection to the directory's server; None when nobody has the directory. Raises: CommandFailure.

    Units:   `deadline` of the monotonic clock, until which a server that starts is waited for; None: as long as usual.
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
                f"{directory} is in use by process {owner(directory) or 'unknown'}, which has not answered on {socket_path(directory)} for "
                f"{PATIENCE_S:g} s: it is still starting or stopping, or has no socket, as the demo and tests.",
                hint="repeat the command when it has started, or stop it",
            )
        _pause(LOOK_S)


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)  # time.sleep fails under libfaketime, by which people try other days


def is_answering(directory: Path) -> bool:
    """Whether a server has the directory and listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_S)
        try:
            connection.connect(str(socket_path(directory)))
        except OSError:
            return False
    return True


def _offline(directory: Path, verb: str, arguments: Mapping[str, Any]) -> Iterator[Any]:
    """Open the directory here and let the verb answer, as the server would."""
    from tailrace.cli.offline import run_offline

    yield from run_offline(directory, verb, arguments)
