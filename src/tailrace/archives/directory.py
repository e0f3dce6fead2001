"""An archive in a directory: one file a blob, under the blob's own name, readable by any program.

Theory of operation: a blob is written beside the others (`.parts/`), synced, and moved to its name in one
step, so that under a name there is a whole blob or nothing, whenever a process is killed or the power fails.
Looking and moving happen under the kernel's lock of `.lock`, which no killed writer keeps; writing and
syncing do not, so that two writers wait for each other only for the moment of the move. A part is locked by
its writer as long as it lives: one that can be locked was left behind, and is removed when the archive is
opened next.
Rules of this file: any number of processes and threads may write at once; what blocks runs in a thread;
readers take no lock.
"""

import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Final

from tailrace.archives.names import check_name, is_name, tag_of
from tailrace.errors import ArchiveError
from tailrace.ports import Blob
from tailrace.runtime.threads import in_thread

LOCK: Final = ".lock"
PARTS: Final = ".parts"
MODE: Final = 0o600
NUMBERS: Final = count()
FULL: Final = (errno.ENOSPC, errno.EDQUOT)


class DirectoryArchive:
    """The port ArchiveStore over a directory, made when something is written."""

    def __init__(self, path: str | Path) -> None:
        self._root = Path(path)
        self._is_open = False

    async def get(self, name: str, start: int = 0, length: int | None = None) -> Blob | None:
        """A blob or a part of it. Raises: ArchiveError."""
        return await in_thread(self._get, check_name(name), start, length)

    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> Sequence[str]:
        """Names in order. Raises: ArchiveError."""
        return await in_thread(self._list, prefix, after, limit)

    async def put_if_absent(self, name: str, data: bytes) -> str | None:
        """Write a new blob. Raises: ArchiveError."""
        return await in_thread(self._put, check_name(name), bytes(data), None)

    async def compare_and_put(self, name: str, data: bytes, tag: str) -> str | None:
        """Replace a blob that is still the one that was read. Raises: ArchiveError."""
        return await in_thread(self._put, check_name(name), bytes(data), tag)

    async def delete(self, name: str) -> None:
        """Remove a blob. Raises: ArchiveError."""
        await in_thread(self._delete, check_name(name))

    def path(self, name: str) -> Path:
        """Where a blob is, or would be."""
        return self._root / check_name(name)

    # ---- in a thread ---------------------------------------------------------------------------------------

    def _get(self, name: str, start: int, length: int | None) -> Blob | None:
        try:
            with (self._root / name).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(start)
                data = file.read() if length is None else file.read(length)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        except OSError as error:
            raise self._failed(name, error) from error
        is_whole = start == 0 and length is None
        return Blob(data, size, tag_of(data) if is_whole else None)

    def _list(self, prefix: str, after: str, limit: int | None) -> Sequence[str]:
        folders, has_folders, _ = prefix.rpartition("/")
        if has_folders and not is_name(folders):
            return []
        names: list[str] = []
        try:
            for place, below, files in os.walk(self._root / folders, onerror=_raise):
                below[:] = [name for name in below if not name.startswith(".")]
                above = Path(place).relative_to(self._root)
                names += [(above / name).as_posix() for name in files if not name.startswith(".")]
        except OSError as error:
            raise self._failed(prefix, error) from error
        # What others have put there under names that no archive has, such as editors' copies, are no blobs.
        own = (name for name in names if name.startswith(prefix) and name > after and is_name(name))
        return sorted(own)[:limit]

    def _put(self, name: str, data: bytes, tag: str | None) -> str | None:
        try:
            with self._part() as (part, file):
                _write_all(file, data)
                os.fsync(file)
                with self._alone():
                    place = self._root / name
                    is_expected = not place.is_file() if tag is None else self._tag(name) == tag
                    if not is_expected:
                        return None
                    made = _make_folders(place.parent)
                    part.replace(place)
                    for folder in (place.parent, *made):
                        _sync_folder(folder)
        except OSError as error:
            raise self._failed(name, error) from error
        return tag_of(data)

    def _delete(self, name: str) -> None:
        try:
            with self._alone():
                place = self._root / name
                try:
                    place.unlink()
                except (FileNotFoundError, NotADirectoryError):
                    return
                _sync_folder(place.parent)
        except OSError as error:
            raise self._failed(name, error) from error

    def _tag(self, name: str) -> str | None:
        """What is there now. Called with the lock, so it stays so until that is given back."""
        held = self._get(name, 0, None)
        return None if held is None else held.tag

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """With the lock of the whole archive."""
        if not self._is_open:
            (self._root / PARTS).mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(self._root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self._is_open:
                self._remove_parts()
                self._is_open = True
            yield
        finally:
            os.close(lock)

    @contextmanager
    def _part(self) -> Iterator[tuple[Path, int]]:
        """A file of our own to write, locked while we live; it is gone afterwards, or has become a blob."""
        file = -1
        with self._alone():  # so that no other writer sees it before it is locked
            while file < 0:
                # No name is used twice: it is removed once more after its file has moved.
                part = self._root / PARTS / f"{os.getpid()}-{next(NUMBERS)}"
                with suppress(FileExistsError):
                    file = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield part, file
        finally:
            part.unlink(missing_ok=True)
            os.close(file)

    def _remove_parts(self) -> None:
        for part in (self._root / PARTS).iterdir():
            try:
                file = os.open(part, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # its writer has just removed it
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                part.unlink(missing_ok=True)
            except BlockingIOError:
                pass  # its writer lives
            finally:
                os.close(file)

    def _failed(self, name: str, error: OSError) -> ArchiveError:
        hint = "make room there: nothing that was written before is touched" if error.errno in FULL else None
        # The reason first: names are long, and where there is little room the end is left out.
        return ArchiveError(f"archive {self._root}: {error.strerror}: {name}", hint=hint)


def _write_all(file: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder and those above it. Returns: the folders that have a new entry by it."""
    changed: list[Path] = []
    below = folder
    while not below.is_dir():
        below = below.parent
        changed.append(below)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return changed


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error
