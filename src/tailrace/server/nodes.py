"""Finding this user's nodes by their port: one record a port, in a directory that this user alone may open.

Rules of this file: paths and permissions, no protocol; light, because every command that asks imports it. A
record names the directory whose control socket answers: the data directory, or for a node in memory one
beside the records. Nothing of the admin API is ever on the network. Called by `control` (the node) and
`cli.connection` (the client). Source: docs/decisions/0031, docs/formats/control.md.
"""

import contextlib
import json
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tailrace.errors import StoreError
from tailrace.server.control_socket import remove_leftovers, socket_path

VERSION: Final = 1
SUFFIX: Final = ".json"


def candidates() -> Iterator[Path]:
    """Where records may be: a node may have been started with another environment than the one that asks."""
    tried = {""}
    for place in _places():
        if place not in tried and Path(place).is_dir():
            yield Path(place) / f"tailrace-{os.getuid()}"
        tried.add(place)


def _places() -> Iterator[str]:
    yield os.environ.get("XDG_RUNTIME_DIR", "")
    yield f"/run/user/{os.getuid()}"
    import tempfile  # only for who comes this far: it brings four compressors along

    yield tempfile.gettempdir()


def is_private(directory: Path) -> bool:
    """Whether it is a directory that this user alone may open: what others laid there is not believed."""
    try:
        about = directory.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(about.st_mode) and about.st_uid == os.getuid() and not about.st_mode & 0o077


def records_directory() -> Path:
    """Where this node's record goes, made if need be. Raises: StoreError when there is no safe place."""
    for directory in candidates():
        with contextlib.suppress(OSError):
            directory.mkdir(mode=0o700, exist_ok=True)
        if is_private(directory):
            return directory
    raise StoreError(
        "No directory is private to this user, so `--url` will not find this node.",
        hint="set XDG_RUNTIME_DIR or TMPDIR to a directory in which you may make one of mode 0700",
    )


def place_in_memory(port: int) -> Path:
    """The directory for the socket of a node that has no data directory. Raises: StoreError."""
    directory = records_directory() / f"memory-{port}"
    if is_answering(directory):
        raise _port_taken(port)
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise StoreError(f"{directory} cannot be made: {error.strerror}.") from error
    return directory


def record(port: int, directory: Path) -> None:
    """Say that the node on this port answers on the socket of that directory. Raises: StoreError, also when
    another has the port.

    Records of nodes that were killed go: their sockets refuse. A node on the same port of another address
    keeps its own.
    """
    records = records_directory()
    for other, place in _read(records):
        if not is_answering(place):
            _remove(records, other, place)
        elif other == port and place != directory.resolve():
            raise _port_taken(port)
    written = records / f".{port}-{os.getpid()}"
    try:
        file = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(file, "w") as stream:
            json.dump({"v": VERSION, "directory": str(directory.resolve()), "pid": os.getpid()}, stream)
        written.replace(records / f"{port}{SUFFIX}")
    except OSError as error:
        raise StoreError(f"{records} cannot be written: {error.strerror}.") from error


def forget(port: int, directory: Path) -> None:
    """The node on this port ends; the record of another that has taken the port stays."""
    for records in candidates():
        for other, place in _read(records):
            if (other, place) == (port, directory.resolve()):
                _remove(records, port, place)


def directory_of(port: int) -> Path | None:
    """The directory whose socket answers for the node on this port; None: this user has none there."""
    for records in candidates():
        for other, place in _read(records):
            if other == port and is_answering(place):
                return place
    return None


def running() -> list[int]:
    """The ports of this user's nodes that answer."""
    ports = {port for records in candidates() for port, place in _read(records) if is_answering(place)}
    return sorted(ports)


def is_answering(directory: Path) -> bool:
    """Whether a server listens on the socket of a directory; one that is too busy to take another does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        try:
            connection.connect(str(socket_path(directory)))
        except BlockingIOError:
            return True
        except OSError:
            return False
    return True


def _port_taken(port: int) -> StoreError:
    return StoreError(
        f"Another node of this user serves port {port} on another address, and is the one that "
        "`--url` finds.",
        hint="give this one a port of its own",
    )


def _read(records: Path) -> Iterator[tuple[int, Path]]:
    if not is_private(records):
        return
    for file in sorted(records.glob(f"*{SUFFIX}")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            fields = json.loads(file.read_bytes())
            if fields["v"] == VERSION:
                yield int(file.stem), Path(fields["directory"])


def _remove(records: Path, port: int, directory: Path) -> None:
    (records / f"{port}{SUFFIX}").unlink(missing_ok=True)
    if directory.parent == records.resolve():  # a node in memory had it for its socket alone
        with contextlib.suppress(OSError, StoreError):
            remove_leftovers(directory)
            directory.rmdir()
