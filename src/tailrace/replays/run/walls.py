"""The walls of a trial: what a handler calls outside of itself is refused, by name, before it leaves.

Theory of operation: Python tells hooks of what a process does: connections, look-ups of names, processes,
files opened for writing. One hook, there for good from the first trial on and idle between them, refuses what
a handler does. Clients of AWS are refused where they say which operation they want, before they look for
credentials; PostgreSQL's where it connects, for libpq is no Python.
Rules of this file: it refuses and never answers. What a C library opens by itself (libpq elsewhere, gRPC,
DuckDB) and what is written to files that were open before is not seen here; docs/replay.md says so.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, TypeAlias

from tailrace.replays.run.noting import is_on, note_thread, notes_here

Name: TypeAlias = Callable[[tuple[Any, ...]], str | None]
WRITING: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _address(args: tuple[Any, ...]) -> str:
    address = args[1]
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else _text(address)


def _host(args: tuple[Any, ...]) -> str | None:
    host, port = args[0], args[1] if len(args) > 1 else None
    return None if host is None else f"{_text(host)}:{port}" if port else _text(host)


def _program(args: tuple[Any, ...]) -> str:
    return f"the program {_text(args[0])}"


def _file(args: tuple[Any, ...]) -> str | None:
    path, mode, flags = (*args, None, None)[:3]
    if isinstance(path, int) or path is None:
        return None
    is_written = (
        any(letter in mode for letter in "wax+") if isinstance(mode, str) else bool((flags or 0) & WRITING)
    )
    text = _text(path)
    if not is_written or text == os.devnull or "__pycache__" in text:
        return None
    return f"the file {text}"


def _changed(args: tuple[Any, ...]) -> str | None:
    return None if "__pycache__" in _text(args[0]) else f"the file {_text(args[0])}"


def _database(args: tuple[Any, ...]) -> str | None:
    return None if args[0] == ":memory:" else f"the database {_text(args[0])}"


SEALED: Final[Mapping[str, Name]] = {
    "socket.connect": _address,
    "socket.sendto": _address,
    "socket.sendmsg": lambda args: None if args[1] is None else _address(args),
    "socket.getaddrinfo": _host,
    "socket.gethostbyname": _host,
    "socket.gethostbyaddr": _host,
    "subprocess.Popen": _program,
    "os.system": _program,
    "os.exec": _program,
    "os.posix_spawn": _program,
    "os.spawn": lambda args: _program(args[1:]),
    "sqlite3.connect": _database,
    "open": _file,
    "os.remove": _changed,
    "os.rename": _changed,
    "os.mkdir": _changed,
    "os.rmdir": _changed,
    "os.link": _changed,
    "os.symlink": _changed,
    "os.truncate": _changed,
}
"""By Python's names of what it tells hooks."""


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if not is_on():
        return
    named = SEALED.get(event)
    if named is None or (notes := notes_here()) is None:
        return
    call = named(args)
    if call is not None:
        notes.refuse(call)


_LAID: Final[list[tuple[Any, str, Any]]] = []
_HOOKED: Final[list[bool]] = []


@contextmanager
def walled() -> Iterator[None]:
    """Refuse what handlers on trial call, in this block."""
    if not _HOOKED:
        sys.addaudithook(_hook)
        _HOOKED.append(True)
    _lay()
    try:
        yield
    finally:
        while _LAID:
            owner, name, before = _LAID.pop()
            setattr(owner, name, before)


def _lay() -> None:
    """Lay names over clients that would look for credentials first, or are no Python; know threads."""
    _put(threading.Thread, "start", _start)
    if find_spec("botocore") is not None:  # also where a handler imports it when it is called
        _put(import_module("botocore.client").BaseClient, "_make_api_call", _botocore)
    ours = sys.modules.get("tailrace.aws.client")
    if ours is not None:
        _put(ours, "about_to_send", _about_to_send)
    psycopg = sys.modules.get("psycopg")
    if psycopg is not None:
        for kind in (psycopg.Connection, psycopg.AsyncConnection):
            _put(kind, "connect", _postgresql)
        _put(psycopg, "connect", _postgresql)


def _put(owner: Any, name: str, made: Callable[[Any], Any]) -> None:
    _LAID.append((owner, name, vars(owner)[name]))
    setattr(owner, name, made(getattr(owner, name)))


def _start(start: Callable[[threading.Thread], None]) -> Any:
    def note_and_start(self: threading.Thread) -> None:
        note_thread(self)
        start(self)

    return note_and_start


def _botocore(call: Callable[..., Any]) -> Any:
    def refuse_or_call(self: Any, operation: str, parameters: Any) -> Any:
        if (notes := notes_here()) is not None:
            notes.refuse(f"{self.meta.service_model.service_name}.{operation}")
        return call(self, operation, parameters)

    return refuse_or_call


def _about_to_send(about: Callable[[str, str], None]) -> Any:
    def refuse_or_tell(url: str, call: str) -> None:
        if (notes := notes_here()) is not None:
            notes.refuse(call)
        about(url, call)

    return refuse_or_tell


def _postgresql(connect: Callable[..., Any]) -> Any:
    def refuse_or_connect(*args: Any, **named: Any) -> Any:
        if (notes := notes_here()) is not None:
            notes.refuse("PostgreSQL")
        return connect(*args, **named)

    return refuse_or_connect


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(_text, value))
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
