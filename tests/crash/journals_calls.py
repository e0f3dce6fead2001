"""A process of tests/crash/journals.py that kills itself in the work of a journal, or of a live replay of it:
at one of the calls that it makes, before it or after it.

Theory of operation: the environment names the kind of a call, `before` or `after`, and its number. Calls of
an archive are told apart by what they are about: a segment, a delta, a whole manifest, the head, a deletion;
a restore is told by its items, a replay by the calls of its handler, the commits of what that recorded, and
what is saved of the run: how far it is, and its end. So nothing is between two calls that no kill can hit.
What otherwise comes after an hour, or after a hundred deltas, comes soon.
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
from tailrace.replays.run import live
from tailrace.runtime.effects import LIVE, REPLAY_RUN, Effects

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


def kind_of(name: str, *_: Any) -> str:
    """What a blob of a journal is."""
    return next((kind for part, kind in PARTS.items() if part in name), "")


def _counted(
    made: Callable[..., Awaitable[Result]], kind: Callable[..., str]
) -> Callable[..., Awaitable[Result]]:
    async def call(self: Any, *arguments: Any) -> Result:
        with CALLS.one(kind(*arguments)):
            return await made(self, *arguments)

    return call


def prepare() -> None:
    """Count the calls of this process, and let everything come soon."""
    archive: Any = DirectoryArchive
    for name in ("put_if_absent", "compare_and_put"):
        setattr(archive, name, _counted(getattr(archive, name), kind_of))
    archive.delete = _counted(archive.delete, lambda name: "deletion")
    restorer: Any = Restorer
    restorer._written = _counted(restorer._written, lambda *_: "item")
    effects: Any = Effects
    effects._apply_one = _counted(effects._apply_one, lambda change: "commit")
    replays: Any = live
    replays.save_run = _counted(
        replays.save_run, lambda run, write: "end" if write.fields is None else "save"
    )
    manifest.KEEP_MS = KEEP_MS  # type: ignore[misc]
    log.FULL_EVERY = FULL_EVERY  # type: ignore[misc]
    archiving.WINDOW_MS = WINDOW_MS  # type: ignore[misc]
    if FAULT:
        FAULTS[FAULT]()


# ---- faults that the tests of the harness plant ------------------------------------------------------------


def _lose() -> None:
    """The archiver leaves out the first change of a batch."""
    right: Any = Archiver.commit
    archiver: Any = Archiver

    async def commit(self: Any, batch: Any, position: Any) -> Any:
        return await right(self, replace(batch, records=batch.records[1:]), position)

    archiver.commit = commit


def _skip() -> None:
    """A replay that goes on leaves out a batch."""
    run_of: Any = live._LiveRun
    right: Any = live._LiveRun.go

    async def go(self: Any, run: Any, told: Any) -> Any:
        if run.taken > 1:
            batch = await anext(self._batches(run.reached))
            reached = live.Reached(batch[-1].record.version, batch[-1].shard)
            run = run.moved(reached, len(batch), 0, run.saved_ms)
        return await right(self, run, told)

    run_of.go = go


def _mark_as(run: Callable[[Any], str]) -> None:
    """Marks of a replay are those of another run."""
    effects: Any = Effects
    right: Any = Effects._mark

    def mark(self: Any, change: Any) -> str:
        self._marking = replace(self._marking, run_id=run(change))
        return str(right(self, change))

    effects._mark = mark


def _move_the_end() -> None:
    """A replay that goes on ends at another time."""
    replays: Any = live
    right = live.taken_up

    def taken_up(app: str, run: Any) -> Any:
        return right(app, replace(run, until_us=run.until_us + 1_000_000))

    replays.taken_up = taken_up


FAULTS: Final[dict[str, Callable[[], None]]] = {
    "a change is left out": _lose,
    "a batch is left out": _skip,
    "marks are those of the live traffic": lambda: _mark_as(lambda change: LIVE),
    "marks are those of a process": lambda: _mark_as(lambda change: f"{REPLAY_RUN}{os.getpid()}"),
    "the end is that of a process": _move_the_end,
}
prepare()

if __name__ == "__main__":
    from tailrace.cli.main import main

    main()
