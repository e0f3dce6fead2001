"""What is replayed on trial, and what the calls of a handler on trial have in common.

Rules of this file: kinds that keep rows of their own, other than windows, are refused, with what is for them.
Made by change_calls.py and window_calls.py, called by trial.py.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeVar

from msgspec import Struct

from tailrace.app.app import App
from tailrace.app.mapping import HandlerMapping, Where, archives_of
from tailrace.errors import SettingsError
from tailrace.journal.run.past import PastReader
from tailrace.ports import Failure, StateStore
from tailrace.replays.core.effects import ReplayCounts, ReplayedChange
from tailrace.replays.core.runs import ReplayQuestion
from tailrace.replays.run.noting import Notes, body_of
from tailrace.replays.run.recording import ReadingLoop
from tailrace.replays.run.stubs import NONE, Stubs
from tailrace.runtime.dependencies import Dependencies
from tailrace.runtime.effects import REPLAY_RUN

T = TypeVar("T")
PAGE: Final = 500
TRIAL: Final = f"{REPLAY_RUN}dry-run"
"""The run that `change.replay_id` says."""
OTHERWISE: Final = {
    "projection": "tailrace projection rebuild builds it again",
    "archive": "a journal is what is replayed",
}


class DryRun(Struct, frozen=True):
    """What is replayed on trial.

    Shape:   `opened` opens what reads an archive's journal; `until_us` is the end; `overrides` stand for
             providers; `alone`: the process does nothing else, so that threads of before are on trial, too.
    """

    app: App
    mapping: HandlerMapping
    question: ReplayQuestion
    until_us: int
    opened: Callable[[HandlerMapping], PastReader]
    where: Where | str | None = None
    stubs: Stubs = Stubs()
    overrides: Mapping[Callable[..., Any], Callable[..., Any]] = NONE
    alone: bool = False


def archive_of(app: App, mapping: HandlerMapping) -> HandlerMapping:
    """What keeps the journal that a handler is replayed from. Raises: SettingsError."""
    archived = archives_of(app.mappings).get(mapping.table.name)
    if archived is not None:
        return archived
    raise SettingsError(
        f"table {mapping.table.name!r} has no journal, so nothing of it can be replayed",
        hint=f"app.archive({mapping.table.name}, 'history/') keeps one from now on",
    )


def check_replayed(mapping: HandlerMapping) -> None:
    """Require a kind that can be replayed. Raises: SettingsError."""
    if mapping.kind in OTHERWISE:
        raise SettingsError(
            f"{mapping.id!r} is of the kind {mapping.kind} and is not replayed: {OTHERWISE[mapping.kind]}"
        )
    if mapping.settings.tumbling_window_ms:
        raise SettingsError(
            f"{mapping.id!r} has a tumbling window, and is not replayed: what its function carries is of one "
            "shard and of the batches that it was given"
        )


class TrialCalls(Protocol):
    """The calls of a handler on trial, one after the other: for changes, or for windows."""

    counts: ReplayCounts

    async def open(self) -> None:
        """Ask the journal. Raises: NotKnown, Unavailable."""

    async def count(self) -> int:
        """How many changes will be read. Raises: Unavailable."""

    def notes(self) -> tuple[str, ...]:
        """What it does not know, when everything was read."""

    def close(self) -> None:
        """Delete what was fetched."""

    def prepare(self, laid: HandlerMapping, state: StateStore, needed: Dependencies) -> None:
        """Make what is called. Shape: `laid` has the sink that notes outputs."""

    def made(self, told: Callable[[ReplayCounts], Any]) -> AsyncIterator[ReplayedChange]:
        """Call the handler for everything, and say now and then how far it is."""


async def pages(reading: ReadingLoop, read: AsyncIterator[T], most: int = PAGE) -> AsyncIterator[Sequence[T]]:
    """What is read in the reading loop, some of it at a time."""

    async def page() -> list[T]:
        some: list[T] = []
        async for one in read:
            some.append(one)
            if len(some) >= most:
                break
        return some

    while some := await reading.begin(page()):
        yield some


def note_failure(notes: Notes, failure: Failure) -> None:
    """What a handler that failed would leave."""
    name = failure.error.partition(":")[0]
    notes.note("deadletter", name, "", body_of({"error": failure.error}))
