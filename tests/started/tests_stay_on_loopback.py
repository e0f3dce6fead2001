"""Tests talk to this machine alone: what connects elsewhere, or asks for a name, is stopped and fails the
test, in the test's own process and in every Python process that it starts.

Theory of operation. Python says what it is about to do (`sys.audit`), C libraries that make sockets of
Python's included. A hook looks at connections, datagrams and names; what is not of this machine raises, and
is written to the file that the environment names: a program may catch the error, and often takes it for an
outage. `tests/conftest.py` reads the file after each test. uvloop resolves names and connects by itself, so
its loop is asked here. A process that is started without this folder on its path would not be seen, so that
is written down too.
Rules of this file: the standard library alone, little of it, nothing slow: it is loaded by every process of a
test. What is no Python is not seen (Node, a database's server): their tests give them addresses of loopback.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = str(Path(__file__).parent)
FILE = "TAILRACE_TESTS_BEYOND_LOOPBACK"
"""The variable that names the file; without one nothing is written, and all is stopped all the same."""
NAMES = ("localhost", "ip6-localhost", "localhost.")


class BeyondLoopback(OSError):
    """A test is about to talk to another machine. An error after which sockets are closed."""


def is_loopback(host: object) -> bool:
    """Whether an address, or a name, is of this machine. Shape: None and "" are, whoever binds or connects.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", b"localhost", None, "0.0.0.0", "10.0.0.1")]
    [True, True, True, True, True, False]
    >>> [is_loopback(host) for host in ("127.example.com", "a.localhost", "::ffff:127.0.0.1", "::1%lo")]
    [False, True, True, True]
    """
    text = host.decode() if isinstance(host, bytes) else host
    if not text:
        return True
    if not isinstance(text, str):
        return False
    name = text.lower().partition("%")[0]
    if name in NAMES or name.endswith(".localhost"):
        return True
    if not is_number(name):
        return False
    return name.removeprefix("::ffff:").startswith("127.") or name in ("::1", "0.0.0.0", "::")


def is_number(host: object) -> bool:
    """Whether a host is an address, so that nobody is asked for it.

    >>> is_number("10.0.0.1"), is_number("fe80::1%eth0"), is_number("10.example.com")
    (True, True, False)
    """
    import _socket  # not in a process that makes no socket

    text = (host.decode() if isinstance(host, bytes) else str(host)).partition("%")[0]
    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            _socket.inet_pton(family, text)
        except OSError:
            continue
        return True
    return False


def python_path(*folders: object) -> str:
    """PYTHONPATH of a process that a test starts, with these folders before what all have."""
    return os.pathsep.join([*map(str, folders), *filter(None, [os.environ.get("PYTHONPATH")])])


def record(words: str) -> None:
    """Write down what was done, with where, in one write: many processes have one file."""
    path = os.environ.get(FILE)
    if path is None:
        return
    command = " ".join(getattr(sys, "orig_argv", []))[:200].replace("\n", " ")
    out = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(out, f"{words} (in {command})\n".encode())
    os.close(out)


def _refuse(words: str) -> None:
    record(words)
    raise BeyondLoopback(f"{words}: tests talk to loopback only")


def _connects(_: object, address: object) -> None:
    """Shape: (host, port, …) of the Internet's families; a path, as text or bytes, is of this machine."""
    if isinstance(address, tuple) and address and not is_loopback(address[0]):
        _refuse(f"a connection to {address[0]}:{address[1]}")


def _asks(host: object, *_: object) -> None:
    if not is_loopback(host) and not is_number(host):
        _refuse(f"a question for the name {host!r}")


def _starts(
    _: object, arguments: Sequence[object], __: object, environment: Mapping[Any, Any] | None
) -> None:
    """A process that imports nothing of this folder is not seen."""
    given = os.environ if environment is None else environment
    path = given.get("PYTHONPATH") or given.get(b"PYTHONPATH") or ""
    folders = (path.decode() if isinstance(path, bytes) else str(path)).split(os.pathsep)
    words = [arguments] if isinstance(arguments, str | bytes) else list(arguments)
    program = os.path.basename(os.fsdecode(words[0])) if words else ""  # type: ignore[type-var]
    if FOLDER not in folders and program.startswith(("python", "tailrace", "pytest")):
        _refuse(f"a process that nobody watches: {words}")


CHECKS: dict[str, Callable[..., None]] = {
    "socket.connect": _connects,
    "socket.sendto": _connects,
    "socket.sendmsg": _connects,
    "socket.getaddrinfo": _asks,
    "socket.gethostbyname": _asks,
    "subprocess.Popen": _starts,
}
WATCHED: set[str] = set()


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    check = CHECKS.get(event)
    if check is not None:
        check(*arguments)
    elif event == "import" and arguments[0] == "uvloop" and "uvloop" not in WATCHED:
        WATCHED.add("uvloop")
        _watch_uvloop()


def _watch_uvloop() -> None:
    """uvloop's own calls are C's, which say nothing."""
    import uvloop

    loop: Any = uvloop.Loop
    resolve, connect = loop.getaddrinfo, loop.create_connection

    async def getaddrinfo(self: Any, host: Any, port: Any, **options: Any) -> Any:
        _asks(host)
        return await resolve(self, host, port, **options)

    async def create_connection(
        self: Any, factory: Any, host: Any = None, port: Any = None, **options: Any
    ) -> Any:
        _connects(self, (host, port))
        return await connect(self, factory, host, port, **options)

    loop.getaddrinfo, loop.create_connection = getaddrinfo, create_connection


def guard() -> None:
    """Watch this process until it ends. Repeatable."""
    if "process" not in WATCHED:
        WATCHED.add("process")
        if FOLDER not in sys.path:
            sys.path.append(FOLDER)  # processes of functions get the path of the one that starts them
        sys.addaudithook(_hook)
        if "uvloop" in sys.modules:
            WATCHED.add("uvloop")
            _watch_uvloop()
