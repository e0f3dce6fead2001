"""The data directory: one owner, one format, and the place of every file in it.

Rules of this file: the process that opens a directory holds its lock until close; a second owner is told who
has it. The lock is the kernel's, so a killed owner leaves none behind. Layout: docs/formats/store.md.
"""

import fcntl
import os
from pathlib import Path
from typing import Final

from tailrace.errors import StoreError
from tailrace.stores.private import exposure, keep_private

FORMAT: Final = "1"
LOCK: Final = "lock"
SOCKET: Final = "control.sock"
FORMAT_FILE: Final = "format"


class DirectoryInUse(StoreError):
    """A living process has the directory."""


class DataDirectory:
    """An owned directory; a new one has mode 0700, and every file in it 0600.

    Shape: `database`, `socket` are the paths of its parts; `exposure` says what others may do with a
           directory that was there before, None: nothing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.database = path / "tailrace.db"
        self.socket = path / SOCKET
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock: int | None = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            for file in (LOCK, FORMAT_FILE):
                keep_private(path / file)
        except OSError as error:
            raise StoreError(
                f"the data directory {path} cannot be used: {error.strerror}",
                hint="check the permissions, or choose another directory with --data",
            ) from error
        try:
            self._take(self._lock)
            self._check_format()
            self.exposure = exposure(path)
        except BaseException:  # whatever it was, what is open is given back before it goes on
            self.close()
            raise

    def _take(self, lock: int) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DirectoryInUse(
                f"the data directory {self.path} is in use by process {owner(self.path) or 'unknown'}",
                hint=f"ask it through its control socket (tailrace status --data {self.path}), stop it, "
                "or choose another directory with --data",
            ) from error
        try:
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
        except OSError:
            pass  # the number is only for people; a full disk shows where it matters, at the first commit

    def _check_format(self) -> None:
        file = self.path / FORMAT_FILE
        try:
            if not file.exists():
                _write_durably(file, f"{FORMAT}\n")
            format_text = file.read_text(errors="replace").strip()
        except OSError as error:
            raise StoreError(
                f"{file} cannot be used: {error.strerror}", hint="check the permissions of the data directory"
            ) from error
        if format_text != FORMAT:
            raise StoreError(
                f"{self.path} has format {format_text!r}; this version of tailrace reads format {FORMAT}",
                hint="open it with the version that wrote it, or choose another directory with --data",
            )

    def close(self) -> None:
        """Give the lock back. Repeatable."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _write_durably(file: Path, text: str) -> None:
    """Write a file that is there whole or not at all, whenever the process is killed or the power fails."""
    new = file.with_name(f"{file.name}.new")
    keep_private(new, make=True)
    with new.open("w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(file)
    directory = os.open(file.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def owner(path: Path) -> int | None:
    """The process that has the directory, as its lock file says; None: none is written."""
    try:
        text = (path / LOCK).read_text()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def is_owned(path: Path) -> bool:
    """Whether a living process holds the directory."""
    try:
        lock = os.open(path / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(lock)
