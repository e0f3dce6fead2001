"""Applying changes to one build of a projection: read its rows, fold, commit on the condition that no worker
wrote them meanwhile.

Theory of operation: the rows of the items and of their groups change in one transaction, each on the
condition that it still is as it was read. When one is not, because changes of another item of the group
were applied at the same time, everything is read and folded again. So each change counts once, by
whichever worker and however often it is delivered.
Rules of this file: the user's code runs in a thread, a run of changes a hop; what it raises is its change's
failure and nothing else's. This is no retry of a failed attempt: a lost condition has changed nothing, and
waiting would not help. Called by sinks/projected.py and by projector.py.
"""

from collections.abc import Sequence
from functools import partial
from typing import Final, TypeAlias

from msgspec import Struct, field
from msgspec.structs import replace

from tailrace.app.fence import FENCE
from tailrace.errors import ApiError, StateConflict
from tailrace.ports import Clock, ProjectionStore
from tailrace.projections.core.folding import Fold, ItemChange, Working
from tailrace.runtime.threads import in_thread

TRIES: Final = 8
CONTENDED_MS: Final = 20
"""How long to leave groups to those who were faster before all of it is applied again: what is applied is
ignored then.
"""
ROWS_A_STEP: Final = 3
"""The item, the group that it leaves, the group that it enters."""
Failures: TypeAlias = dict[int, Exception]
Numbered: TypeAlias = tuple[int, ItemChange]


class Contended(Exception):
    """Other changes of the same groups were faster every time: it is tried again later."""


class Applied(Struct, frozen=True):
    """What came of some steps. Shape: `failures` by index; `ignored` were applied before, or overtaken."""

    failures: Failures
    applied: int = 0
    ignored: int = 0

    @property
    def is_contended(self) -> bool:
        """Whether some step lost to others each time: nothing is wrong with it."""
        return any(isinstance(error, Contended) for error in self.failures.values())


async def apply_steps(
    store: ProjectionStore, fold: Fold, steps: Sequence[ItemChange], part: str = ""
) -> Applied:
    """Fold these steps in, in order, as many in one transaction as it may hold; images enter this part of
    their groups (core/parts.py), or the groups themselves.

    After a failure the later steps of that item are left out: neither failed nor applied.
    Raises:  StoreError, Unavailable: what is not applied then is not applied at all, and all of it may be
             repeated.
    """
    applying = _Applying(store, fold, part)
    grouped = await in_thread(lambda: applying.grouped(steps))
    at_once = max(1, store.rows_at_once // ROWS_A_STEP)
    for start in range(0, len(grouped), at_once):
        await applying.run(grouped[start : start + at_once])
    return Applied(applying.failures, applying.applied, applying.ignored)


async def apply_calmly(
    store: ProjectionStore, fold: Fold, steps: Sequence[ItemChange], clock: Clock
) -> Applied:
    """The same, again and again while delivery is faster each time: what is applied is ignored then."""
    applied = await apply_steps(store, fold, steps)
    while applied.is_contended:
        await clock.sleep_until(clock.now().monotonic_ms + CONTENDED_MS)
        applied = await apply_steps(store, fold, steps)
    return applied


class _Applying(Struct):
    """The steps of one batch on their way."""

    store: ProjectionStore
    fold: Fold
    part: str = ""
    failures: Failures = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    """The items of the failures: what follows of them is left out."""
    applied: int = 0
    ignored: int = 0

    def grouped(self, steps: Sequence[ItemChange]) -> list[Numbered]:
        """The steps with the groups of their images."""
        grouped: list[Numbered] = []
        for index, step in enumerate(steps):
            if step.key in self.failed:
                continue
            if step.image is not None:
                try:
                    with FENCE:
                        step = replace(step, group=self.fold.group_of(step.image) + self.part)
                except Exception as error:  # whatever the user's code raises is this change's failure
                    self._fail(index, step, error)
                    continue
            grouped.append((index, step))
        return grouped

    async def run(self, run: Sequence[Numbered]) -> None:
        """One transaction; when it cannot be had, one for each step."""
        run = [(index, step) for index, step in run if step.key not in self.failed]
        why: Exception = Contended(
            f"{TRIES} times another batch changed the same groups first; nothing was written"
        )
        for _ in range(TRIES if run else 0):
            working = await self._read([step for _, step in run])
            folded = await in_thread(partial(_folded, working, run))
            try:
                if changes := working.changes:
                    await self.store.commit(changes)
            except StateConflict:
                continue
            except ApiError as error:  # the place refuses a row: which step's it is shows when each is alone
                why = error
                break
            self._done(run, folded)
            return
        if len(run) == 1:
            self._fail(*run[0], why)
            return
        for numbered in run:
            await self.run([numbered])

    async def _read(self, steps: Sequence[ItemChange]) -> Working:
        working = Working(self.fold)
        keys = list(dict.fromkeys(step.key for step in steps))
        working.add_items(keys, await self.store.items(keys))
        groups = sorted(working.groups_for(steps))
        working.add_groups(groups, await self.store.groups(groups) if groups else ())
        return working

    def _done(self, run: Sequence[Numbered], folded: "FoldedRun") -> None:
        self.applied += folded.new
        self.ignored += folded.old
        for index, step in run:
            if index in folded.failures:
                self._fail(index, step, folded.failures[index])

    def _fail(self, index: int, step: ItemChange, error: Exception) -> None:
        self.failures[index] = error
        self.failed.add(step.key)


class FoldedRun(Struct):
    """What came of folding one run."""

    new: int = 0
    old: int = 0
    failures: Failures = field(default_factory=dict)


def _folded(working: Working, run: Sequence[Numbered]) -> FoldedRun:
    folded = FoldedRun()
    failed: set[str] = set()
    for index, step in run:
        if step.key in failed:
            continue
        try:
            with FENCE:
                is_new = working.apply(step)
        except Exception as error:  # whatever the user's code raises is this change's failure
            folded.failures[index] = error
            failed.add(step.key)
            continue
        folded.new += is_new
        folded.old += not is_new
    return folded
