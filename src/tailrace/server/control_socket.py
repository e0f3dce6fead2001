"""Where the control socket of a data directory is.

Rules of this file: paths and permissions, no protocol; light, because every command that asks imports it. A
socket's path is short by law of the operating system: a directory whose own path is too long records another
place. Called by `control` (the owner) and `cli.connection` (the client).
"""

import contextlib
import json
import os
import socket
import stat
from pathlib import Path
from typing import Final

from tailrace.errors import StoreError

VERSION: Final = 1
PATH_LIMIT: Final = 103
"""The longest socket path that every Unix takes (Linux 107 bytes, macOS and BSD 103)."""
SOCKET: Final = "control.sock"
ELSEWHERE: Final = "control.json"
"""Says where the socket is when the data directory's own path is too long for one."""


def socket_path(directory: Path) -> Path:
    """Where a client finds the socket of a data directory (it may not exist)."""
    try:
        recorded = json.loads((directory / ELSEWHERE).read_bytes())
        return Path(recorded["socket"])
    except (OSError, ValueError, KeyError, TypeError):
        return directory.resolve() / SOCKET


def place_socket(directory: Path) -> Path:
    """Where the owner of a data directory puts its socket, with leftovers of an earlier owner removed.

    A path too long for a socket is replaced by one in a private temporary directory, recorded beside the
    data.
    Raises: StoreError when something else than a socket is in the way.
    """
    remove_leftovers(directory)
    path = directory.resolve() / SOCKET
    if len(os.fsencode(path)) <= PATH_LIMIT:
        return path
    import tempfile

    private = Path(tempfile.mkdtemp(prefix="tailrace-"))
    path = private / SOCKET
    if len(os.fsencode(path)) > PATH_LIMIT:
        private.rmdir()
        raise StoreError(
            f"No socket fits: {path} is longer than {PATH_LIMIT} bytes.",
            hint="set TMPDIR to a directory with a short path",
        )
    elsewhere = os.open(directory / ELSEWHERE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(elsewhere, "w") as stream:
        json.dump({"v": VERSION, "socket": str(path)}, stream)
    return path


def remove_leftovers(directory: Path) -> None:
    """Remove a socket that an earlier owner left, never anything else. Raises: StoreError."""
    path = socket_path(directory)
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise StoreError(f"{path} is in the way: it is not a socket.", hint=f"move {path} away")
        path.unlink()
    if path.parent != directory.resolve():
        with contextlib.suppress(OSError):
            path.parent.rmdir()
    (directory / ELSEWHERE).unlink(missing_ok=True)


def listen(path: Path) -> socket.socket:
    """A bound socket that only its owner may open."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        masked = os.umask(0o177)  # between binding and chmod others could connect
        try:
            listener.bind(str(path))
        finally:
            os.umask(masked)
        path.chmod(0o600)
    except OSError as error:
        listener.close()
        raise StoreError(f"The control socket {path} cannot be made: {error.strerror}.") from error
    return listener
