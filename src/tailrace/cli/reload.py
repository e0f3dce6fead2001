"""Which files an app is made of, and when one of them changes.

Rules of this file: no dependency, no thread: modification times are compared when `dev` asks. A file that
vanishes for a moment (editors do that) counts as a change once it is back. Called by `dev`.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from importlib.util import cache_from_source
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple

_FOREIGN: Final = ("site-packages", "dist-packages", ".venv")


class Stamp(NamedTuple):
    """What tells two versions of a file apart: a save within the clock's grain mostly changes the size."""

    modified_ns: int
    size: int
    inode: int


def module_files(root: Path, modules: Mapping[str, ModuleType] | None = None) -> dict[str, Path]:
    """Names and files of the imported modules below a directory, installed packages aside."""
    loaded = dict(sys.modules if modules is None else modules)
    root = root.resolve()
    files: dict[str, Path] = {}
    for name, module in loaded.items():
        file = getattr(module, "__file__", None)
        if name == "__main__" or name.partition(".")[0] == "tailrace" or not isinstance(file, str):
            continue
        path = Path(file).resolve()
        if path.is_relative_to(root) and not any(part in _FOREIGN for part in path.relative_to(root).parts):
            files[name] = path
    return files


def forget_modules(root: Path) -> list[str]:
    """Drop the app's modules and their compiled files, so that they are read again. Returns: their names."""
    files = module_files(root)
    for name, path in files.items():
        sys.modules.pop(name, None)
        with suppress(OSError, NotImplementedError):
            # Python knows its compiled file by second and size: of two saves in a second it takes the first.
            Path(cache_from_source(str(path))).unlink(missing_ok=True)
    return sorted(files)


class Watch:
    """The files of an app, as they were when last looked at."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._stamps: dict[Path, Stamp | None] = {}
        self.extend(files)

    def extend(self, files: Iterable[Path]) -> None:
        """Watch further files, as they are now."""
        for path in files:
            self._stamps.setdefault(path, stamp(path))

    def changed(self) -> list[Path]:
        """The files that differ from the last look; each change is told once."""
        return list(self._compare())

    def _compare(self) -> Iterator[Path]:
        for path, before in self._stamps.items():
            now = stamp(path)
            if now is not None and now != before:
                self._stamps[path] = now
                yield path


def stamp(path: Path) -> Stamp | None:
    """A file's stamp; None when it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return Stamp(status.st_mtime_ns, status.st_size, status.st_ino)
