"""A stream that forgets, in a simulated run: old records are trimmed, and unhandled ones are saved before.

Rules of this file: the saving is the production code's (runtime/evacuation.py), performed like everything
else that a worker does: each yield takes its time, may fail, and may be the last. Here is only when a round
comes, and what the stream forgets.
"""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from tailrace.deadletters.core.evacuated import read_evacuated
from tailrace.errors import PortError
from tailrace.ports import Action
from tailrace.rows.kinds import EVACUATED, words_of
from tailrace.rows.writes import Write
from tailrace.runtime.evacuation import Evacuator, Unfinished
from tailrace.streams.moment import Now
from tailrace.testing.simulation_plan import WALL_MS
from tailrace.testing.simulation_roles import Act, Process, SimulatedMapping, SimulationRun
from tailrace.testing.simulation_rows import APP, STREAM

LEAD: Final = 4
"""The saving begins this part of the retention before the trim; production has two hours of twenty-four."""
ROUNDS: Final = 3
"""So often it looks in that time."""


class Retention:
    """The horizon of one run.

    Shape:   `looked` is when the last round began that saved a shard to its end for a mapping.
    """

    def __init__(self, run: SimulationRun) -> None:
        self._run = run
        self._retention_ms = run.plan.retention_ms
        self._lead_ms = self._retention_ms // LEAD
        self._round_ms = max(self._lead_ms // ROUNDS, 1)
        self.looked: dict[tuple[str, str], int] = {}

    def begin(self) -> None:
        """Forget for as long as the run lasts, when its plan has a retention."""
        if self._retention_ms:
            self._run.counts["fault retention"] += 1
            self._forget()

    def _forget(self) -> None:
        if not self._run.is_over:
            self._trim()
            self._run.after(self._round_ms, self._forget)

    def now(self) -> Now:
        """The clock of the saving, which never steps: a step is longer than a retention here."""
        return Now(WALL_MS + self._run.time_ms, self._run.time_ms)

    @property
    def saves(self) -> bool:
        """Whether anything is saved."""
        return bool(self._retention_ms) and any(map(self._is_saved, self._run.mappings))

    @staticmethod
    def _is_saved(mapped: SimulatedMapping) -> bool:
        """Lanes expire, as Lambda has it."""
        return mapped.plan.settings.order != "lane"

    def evacuator(self) -> Evacuator:
        """What a worker that begins saves with: it knows nothing yet."""
        return Evacuator(APP, self._retention_ms, self._lead_ms)

    def look(self, worker: Process, then: Callable[[PortError | None], None]) -> None:
        """A worker learns what others have saved."""
        load = worker.evacuator.load()
        self._run.performing.begin(Act("evacuation-look", worker, load, then, now=self.now))

    def begin_rounds(self, worker: Process) -> None:
        """A worker saves now and then, for as long as it lives."""
        if self.saves:
            self._run.after(self._run.random.randrange(self._round_ms), lambda: self._round(worker))

    def _round(self, worker: Process) -> None:
        if worker.is_alive:
            self.look(worker, lambda _: self._save(worker))

    def _save(self, worker: Process) -> None:
        """Every shard that it is not done with, all at once; the next round comes after the slowest."""
        run, begun_ms = self._run, self._run.time_ms
        unfinished = [
            (mapped, shard)
            for mapped in filter(self._is_saved, run.mappings)
            for shard in run.plan.shards
            if worker.may_save(mapped, shard)
        ]
        left = len(unfinished)

        def saved(there: tuple[str, str], copies: int | PortError) -> None:
            nonlocal left
            left -= 1
            if not isinstance(copies, PortError):
                self.looked[there] = max(self.looked.get(there, 0), begun_ms)
            if not left:
                run.after(self._round_ms, lambda: self._round(worker))

        for mapped, shard in unfinished:
            steps = worker.evacuator.save(Unfinished(mapped.place(shard), STREAM, run.source.known(shard)))
            then = partial(saved, (mapped.id, shard.shard_id))
            run.performing.begin(Act("evacuation", worker, steps, then, now=self.now))
        if not unfinished:
            run.after(self._round_ms, lambda: self._round(worker))

    def note_saved(self, writes: Sequence[Action]) -> None:
        """Let the observer see what became durable of a save."""
        prefix = EVACUATED.prefix(APP)
        copies = [
            (words_of(write.key), read_evacuated(write.fields))
            for write in writes
            if isinstance(write, Write) and write.fields is not None and write.key.startswith(prefix)
        ]
        self._run.counts["fault evacuated"] += len(copies)
        for (_, _, mapping_id, _, shard_id, *_), record in copies:
            self._run.mapping(mapping_id).observer.evacuated(shard_id, record)

    def _trim(self) -> None:
        run, oldest_ms = self._run, self.now().wall_ms - self._retention_ms
        for shard_id, log in run.source.log.items():
            gone = bisect_left(log, oldest_ms, key=lambda record: record.created_ms)
            if gone:
                run.source.trim(shard_id, log[gone - 1].sequence)

    def could_save(self, mapping_id: str, shard_id: str, created_ms: int) -> bool:
        """Whether a round that came to its end began after a record was due; it is asked at its trim."""
        due_ms = created_ms - WALL_MS + self._retention_ms - self._lead_ms
        return self.looked.get((mapping_id, shard_id), 0) > due_ms
