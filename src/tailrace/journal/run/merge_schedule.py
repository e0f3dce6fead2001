"""Merging now and then, beside what archives: every so often the segments of an app's journals, one journal
after the other, each in a process of its own.

Theory of operation: of several workers the one that has the duty merges; that two do it at once would cost
work and nothing else. A process takes the memory and the processor that sorting needs away from delivery, and
what it had goes with it. It is the command that people type. An archive of the app's own cannot be told to
another process: it is merged in a thread here.
Rules of this file: what fails is told and tried by the next round. Made by compose_parts.py. ADR 86.
"""

import asyncio
import logging
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Final

from msgspec import Struct

from tailrace.app.archiving import ArchivePlan
from tailrace.errors import TailraceError, Unavailable
from tailrace.ports import ArchiveStore, Clock

LOG: Final = logging.getLogger("tailrace.worker")
FEWEST: Final = 8
"""Segments that are merged by themselves: each round writes what it merges once more."""
NICENESS: Final = 10


class MergedPlace(Struct, frozen=True):
    """A journal that is merged. Shape: `table` is its name there."""

    table: str
    plan: ArchivePlan


class MergeSchedule:
    """The merges of an app. Shape: `places` are asked every round; `may` says whether this worker does it.
    Units: every_ms between two rounds.
    """

    def __init__(
        self,
        places: Callable[[], Iterable[MergedPlace]],
        every_ms: int,
        clock: Clock,
        may: Callable[[], Awaitable[bool]],
    ) -> None:
        self._places = places
        self._every_ms = every_ms
        self._clock = clock
        self._may = may
        self.rounds = 0
        """That were done here since the start."""

    async def run(self) -> None:
        """Merge until cancelled."""
        while True:
            await self._clock.sleep_until(self._clock.now().monotonic_ms + self._every_ms)
            if not await self._may():
                continue
            for place in self._places():
                try:
                    await merge_place(place, self._clock)
                except TailraceError as error:
                    LOG.warning("the journal of %s is not merged, and will be later: %s", place.table, error)
            self.rounds += 1


async def merge_place(place: MergedPlace, clock: Clock) -> None:
    """Merge and clean a table's journals, of all its incarnations. Raises: Unavailable."""
    if place.plan.archive is None:
        await _in_a_process(place.table, place.plan)
    else:
        await _here(place.table, place.plan.archive, clock)


async def _here(table: str, archive: ArchiveStore, clock: Clock) -> None:
    from tailrace.journal.run.merging import merge_journals

    async for _ in merge_journals(archive, clock, table, FEWEST):
        pass


async def _in_a_process(table: str, plan: ArchivePlan) -> None:
    """Raises: Unavailable with the last words of the process; what is cancelled ends it."""
    words = ["journal", "merge", plan.place, "--table", table, "--fewest", str(FEWEST)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path)}
    if plan.access is not None:
        for option, value in (("--endpoint", plan.access.endpoint_url), ("--region", plan.access.region)):
            words += [option, value] if value else []
        environment |= {"AWS_PROFILE": plan.access.profile} if plan.access.profile else {}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tailrace", *words,
        stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, env=environment, start_new_session=True,
    )  # fmt: skip
    try:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        _, said = await process.communicate()
    except BaseException:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()  # what it has written and not named goes an hour later
            await process.wait()
        raise
    if process.returncode:
        lines = said.decode(errors="replace").strip().splitlines() or [f"it ended with {process.returncode}"]
        raise Unavailable(lines[0], hint=f"tailrace journal merge {plan.place}")
