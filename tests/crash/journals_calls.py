"""A process of tests/crash/journals.py that kills itself in the work of a journal: at one of the calls that
it makes, before it or after it.

Theory of operation: the environment names the kind of a call, `before` or `after`, and its number. Calls of
an archive are told apart by what they are about: a segment, a delta, a whole manifest, the head, a deletion;
a restore is told by its items. So nothing is between two calls that no kill can hit. What otherwise comes
after an hour, or after a hundred deltas, comes soon.
Rules of this file: imported by journals_app.py, and run as `python -m tests.crash.journals_calls COMMAND …`
in place of `tailrace COMMAND …`.
"""

import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from msgspec.structs import replace

from tailrace.app import archiving
from tailrace.archives.directory import DirectoryArchive
from tailrace.journal.run.archiver import Archiver
from tailrace.journal.run.restoring import Restorer
from tailrace.manifests.core import manifest
from tailrace.manifests.run import log

Result = TypeVar("Result")
CALL: Final = os.environ.get("TAILRACE_CRASH_CALL", ":before:0").split(":")
"""The kind of a call, `before` or `after` it, and its number."""
FAULT: Final = os.environ.get("TAILRACE_CRASH_FAULT", "")
KEEP_MS: Final = 1_000
FULL_EVERY: Final = 5
WINDOW_MS: Final = 50
PARTS: Final = {"/segments/": "segment", "/delta/": "delta", "/full/": "full", "/head.json": "head"}


class _Calls:
    """Counts the calls that are aimed at, from 1."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = int(CALL[2])

    @contextmanager
    def one(self, kind: str) -> Iterator[None]:
        """A call is made inside."""
        is_last = False
        if kind == CALL[0]:
            with self._lock:
                self._left -= 1
                is_last = self._left == 0
        if is_last and CALL[1] == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        yield
        if is_last:
            os.kill(os.getpid(), signal.SIGKILL)


CALLS: Final = _Calls()


def kind_of(name: str) -> str:
    """What a blob of a journal is."""
    return next((kind for part, kind in PARTS.items() if part in name), "")


def _counted(
    made: Callable[..., Awaitable[Result]], kind: Callable[[Any], str]
) -> Callable[..., Awaitable[Result]]:
    async def call(self: Any, first: Any, *arguments: Any) -> Result:
        with CALLS.one(kind(first)):
            return await made(self, first, *arguments)

    return call


def prepare() -> None:
    """Count the calls of this process, and let everything come soon."""
    archive: Any = DirectoryArchive
    for name in ("put_if_absent", "compare_and_put"):
        setattr(archive, name, _counted(getattr(archive, name), kind_of))
    archive.delete = _counted(archive.delete, lambda name: "deletion")
    restorer: Any = Restorer
    restorer._written = _counted(restorer._written, lambda step: "item")
    manifest.KEEP_MS = KEEP_MS  # type: ignore[misc]
    log.FULL_EVERY = FULL_EVERY  # type: ignore[misc]
    archiving.WINDOW_MS = WINDOW_MS  # type: ignore[misc]
    if FAULT:
        _lose()


def _lose() -> None:
    """The fault that the test of the harness plants: the first change of a batch is left out."""
    right: Any = Archiver.commit
    archiver: Any = Archiver

    async def commit(self: Any, batch: Any, position: Any) -> Any:
        return await right(self, replace(batch, records=batch.records[1:]), position)

    archiver.commit = commit


prepare()

if __name__ == "__main__":
    from tailrace.cli.main import main

    main()
