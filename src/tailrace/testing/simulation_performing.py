"""The interpreter of the runtime's steps for a simulated world: each call takes its time, may fail, and may
be the last thing that a worker does.

Theory of operation. Steps are under way as an `Act`; each yield is one call. A write has its effect when it
is asked or when it is answered, by chance; an answer may be lost on its way, so that what was written is told
as failed. A worker that is to die counts its yields down and dies at one of them, before the effect or after
it: crash points are yields, whatever they are, and need no list.
Rules of this file: no decision about records and no copy of what the runtime does.
"""

import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import CodeType
from typing import Any, Final, assert_never

from tailrace.errors import LeaseLost, PortError, SourceError, StateConflict, StoreError, Unavailable
from tailrace.mapping.commands import Invoke, ParkKey, SaveCheckpoint
from tailrace.ports import Outcome, RecordBatch, TargetPosition
from tailrace.runtime.steps import (
    AskTime,
    Call,
    Concurrently,
    Get,
    Peek,
    PutTargetPosition,
    QueryRows,
    ReadShard,
    ReadTrimHorizon,
    Sleep,
    StampTarget,
    Steps,
    StreamOf,
    Transact,
    WriteBatch,
)
from tailrace.testing.simulation_roles import Act, SimulationRun, Tenure
from tailrace.testing.simulation_rows import STREAM
from tailrace.testing.simulation_sink import HANG_MS
from tailrace.testing.sinks import TransactionalMemory
from tailrace.views.at_once import at_once

LOST_ANSWERS: Final = 0.3
"""So many of a state store's failures are answers that were lost: it was written all the same."""
LONG: Final = 0.1
LONG_MS: Final = 8_000, 40_000
"""So often a change that is put back takes the handler so long that its claim must be renewed meanwhile."""
LATE_MS: Final = 50
"""How much later a write comes to the store that another worker races with."""
LATE_WRITES: Final = 0.3
MAY_COME_LATE: Final = ("start", "round", "release")
COMES_LATE_MS: Final = 100, 15_000
"""So often a write of a lease or a heartbeat that was given up is made later all the same."""
Yield = tuple[str, int]
"""Where steps stand: the file of the innermost generator, and the line of its yield."""


class Performing:
    """Carries acts out.

    Shape:   `crashed` counts yields; `names` has, for people, those at which a worker could have died.
    """

    def __init__(self, run: SimulationRun) -> None:
        self._run = run
        self.crashed: Counter[Yield] = Counter()
        self.names: dict[Yield, str] = {}

    def begin(self, act: Act) -> None:
        """Carry steps out, in their time."""
        self._resume(act, None, None)

    def _resume(self, act: Act, answer: Any, error: PortError | None) -> None:
        """An answer has come, if its worker lives; on to the next call that takes time."""
        if act.is_left():
            act.steps.close()
            return
        if self._run.time_ms < act.worker.frozen_ms:
            delay_ms = act.worker.frozen_ms - self._run.time_ms
            self._run.after(delay_ms, lambda: self._resume(act, answer, error))
            return
        try:
            call = act.steps.send(answer) if error is None else act.steps.throw(error)
            while isinstance(call, AskTime):
                if self._dies_here(act):
                    return
                call = act.steps.send(self._run.now if act.now is None else act.now())
            if act.is_left():  # its worker has died of what the steps told a machine
                act.steps.close()
                return
        except StopIteration as end:
            act.then(end.value)
        except PortError as raised:
            act.then(raised)
        else:
            self._call(act, call)

    def _dies_here(self, act: Act, call: Call | None = None) -> bool:
        """Note the yield; a worker whose time has come dies, perhaps after the effect of the call."""
        if not act.worker.can_die_at_a_yield:
            return False
        inner: Any = act.steps
        while (deeper := inner.gi_yieldfrom) is not None:
            inner = deeper
        code, line = inner.gi_code, inner.gi_frame.f_lineno
        place = (code.co_filename, line)
        is_new = place not in self.names
        if is_new:
            self.names[place] = f"{qualified(code)} +{line - code.co_firstlineno}"
        if not act.worker.is_doomed(act.kind, is_new=is_new):
            return False
        self.crashed[place] += 1
        self._run.counts[f"fault crash-{act.kind}"] += 1
        if self._run.random.random() < 0.5:
            self._happens_unheard(act, call)
        act.worker.crash()
        return True

    def _happens_unheard(self, act: Act, call: Call | None) -> None:
        match call:
            case Transact():
                self._written(act, call)
            case StampTarget() | PutTargetPosition():
                self._in_target(act, call)
            case WriteBatch(batch) if (
                act.tenure is not None and batch.position is not None and not batch.records
            ):
                self._moved(act.tenure, batch.position)
            case WriteBatch() if act.tenure is not None and isinstance(act.command, Invoke):
                act.tenure.mapped.observer.begun(act.tenure, act.command, self._run.now)
                with suppress(LeaseLost):
                    self._run.answer(act.tenure, act.command, hangs=False)
            case WriteBatch(batch) if act.handler is not None:
                act.handler(batch)
            case _:
                pass

    # ---- calls ---------------------------------------------------------------------------------------------

    def _call(self, act: Act, call: Call) -> None:
        if self._dies_here(act, call):
            return
        run = self._run
        match call:
            case Get() | QueryRows():
                error = self._failure(act)
                run.counts["fault evacuated-read"] += act.kind == "read"
                self._answer(act, None if error is not None else run.rows.answer(call, run.now), error)
            case Transact():
                self._transact(act, call)
            case WriteBatch(batch) if act.handler is not None:
                self._write_alone(act, act.handler, batch)
            case WriteBatch(batch) if batch.position is not None and not batch.records:
                self._target(act, partial(self._moved, _tenure_of(act), batch.position))
            case WriteBatch():
                self._write(act)
            case ReadShard():
                assert act.tenure is not None
                act.tenure.reading, act.call = act, call
                run.after(run.latency() // 4, lambda: run.source.look(act))
            case Peek():
                fails = SourceError("the source failed") if run.port_fails("peek-failure") else None
                self._answer(act, run.source.peek(call), fails)
            case ReadTrimHorizon(shard):
                self._answer(act, run.source.trimmed[shard.shard_id])
            case StreamOf():
                self._answer(act, STREAM)
            case Sleep(until_ms):
                run.after(max(until_ms - run.time_ms, 0), lambda: self._resume(act, None, None))
            case Concurrently(steps, beside):
                self._both(act, steps, beside)
            case StampTarget() | PutTargetPosition():
                self._target(act, partial(self._in_target, act, call))
            case AskTime():
                raise AssertionError("time is told at once")
            case _:
                assert_never(call)

    def _both(self, act: Act, steps: Steps[Any], beside: Steps[None]) -> None:
        """Carry steps out, and others as long as that lasts."""
        other = Act(act.kind, act.worker, beside, lambda _: None, now=act.now)

        def done(result: Any) -> None:
            other.steps.close()
            self._resume(act, *((None, result) if isinstance(result, PortError) else (result, None)))

        self.begin(other)
        if act.worker.is_alive:
            self.begin(Act(act.kind, act.worker, steps, done, now=act.now, handler=act.handler))

    def _answer(self, act: Act, answer: Any, error: PortError | None = None) -> None:
        """What was read is heard a little later; at once only where few steps tell no machine anything."""
        delay_ms = self._run.latency() // 4
        if delay_ms or act.tenure is not None or act.kind == "redrive":
            self._run.after(delay_ms, lambda: self._resume(act, answer, error))
        else:
            self._resume(act, answer, error)

    def _failure(self, act: Act) -> PortError | None:
        run = self._run
        if act.worker.is_cut_off:
            run.counts[f"fault {act.kind}-failure"] += 1
            return StoreError("the state store cannot be reached")
        if run.port_fails(f"{act.kind}-failure"):
            return StoreError("the state store failed")
        return None

    def _transact(self, act: Act, call: Transact) -> None:
        run = self._run
        error = self._failure(act)
        if error is not None:
            if not act.worker.is_cut_off and run.random.random() < LOST_ANSWERS:
                run.counts["fault state-answer-lost"] += 1
                run.counts["fault evacuation-answer-lost"] += act.kind == "evacuation"
                error = self._written(act, call) or error
            elif act.kind in MAY_COME_LATE and run.random.random() < LATE_WRITES:
                run.counts["fault state-write-late"] += 1
                run.after(run.random.randrange(*COMES_LATE_MS), lambda: self._write_unheard(act, call))
            run.after(run.latency(), lambda: self._resume(act, None, error))
        elif act.tenure is not None and run.is_raced(act.tenure, act.command):
            run.after(LATE_MS + 10 * run.plan.latency_ms, lambda: self._write_and_resume(act, call))
        elif run.random.random() < 0.5:
            conflict = self._written(act, call)
            run.after(run.latency(), lambda: self._resume(act, None, conflict))
        else:
            run.after(run.latency(), lambda: self._write_and_resume(act, call))

    def _target(self, act: Act, asked: Callable[[], Any]) -> None:
        """Ask a target that owns the checkpoint: its effect comes first, or with the answer, which may be
        lost.
        """
        run = self._run
        if run.port_fails("target-failure"):
            is_done = run.random.random() < LOST_ANSWERS
            run.counts["fault target-answer-lost"] += is_done
            if is_done:
                asked()
            away = Unavailable("the target does not answer")
            run.after(run.latency(), lambda: self._resume(act, None, away))
            return
        is_raced = act.tenure is not None and act.command is None and run.is_raced(act.tenure, None)
        answer = asked() if not is_raced and run.random.random() < 0.5 else None

        def heard() -> None:
            if act.worker.is_alive:
                told = asked() if answer is None else answer
                self._resume(act, *((None, told) if isinstance(told, PortError) else (told, None)))

        run.after(LATE_MS + 10 * run.plan.latency_ms if is_raced else run.latency(), heard)

    def _moved(self, tenure: Tenure, position: TargetPosition) -> Outcome | PortError:
        try:
            return self._run.move(tenure, position)
        except LeaseLost as lost:
            return lost

    @staticmethod
    def _in_target(act: Act, call: StampTarget | PutTargetPosition) -> TargetPosition | PortError | None:
        """What the target says to a question about its positions."""
        mapped = _tenure_of(act).mapped
        target = TransactionalMemory(mapped.target)
        try:
            if isinstance(call, StampTarget):
                return at_once(target.stamp(call.mapping_id, call.stream, call.shard_id, call.epoch))
            return at_once(target.put_position(call.mapping_id, call.position))
        except LeaseLost as lost:
            return lost

    def _write_unheard(self, act: Act, call: Transact) -> None:
        self._written(act, call)

    def _write_and_resume(self, act: Act, call: Transact) -> None:
        if act.worker.is_alive:
            self._resume(act, None, self._written(act, call))

    def _written(self, act: Act, call: Transact) -> PortError | None:
        """Write, and let the observer see what became durable. Returns: the conflict."""
        run, tenure = self._run, act.tenure
        behind = (
            tenure is not None
            and isinstance(act.command, ParkKey)
            and run.rows.is_parked(tenure.mapped.id, act.command.key)
        )
        try:
            run.rows.transact(call.writes)
        except StateConflict as conflict:
            run.counts["fault evacuation-conflict"] += act.kind == "evacuation"
            run.counts["fault redrive-conflict"] += act.kind == "redrive"
            return conflict
        if act.kind == "evacuation":
            run.retention.note_saved(call.writes)
        if tenure is not None:
            match act.command:
                case SaveCheckpoint() as save if call.done:
                    run.counts["fault suspended"] += save.checkpoint.suspended is not None
                    run.counts["fault window-lost"] += len(save.windows)
                    tenure.mapped.observer.saved(tenure, save)
                    if save.given_up:
                        run.something_failed(tenure.mapped)
                case ParkKey() as park:
                    run.counts["fault parked-behind"] += behind
                    tenure.mapped.observer.parked(tenure, park)
                    run.something_failed(tenure.mapped)
                case _:
                    pass
        return None

    def _write_alone(self, act: Act, handler: Callable[[RecordBatch], Outcome], batch: RecordBatch) -> None:
        """A change that is put back; its effect comes first, or with the answer."""
        run = self._run
        outcome = handler(batch) if run.random.random() < 0.5 else None

        def answer() -> None:
            if act.worker.is_alive:
                self._resume(act, handler(batch) if outcome is None else outcome, None)

        is_long = run.time_ms < run.plan.heal_ms and run.random.random() < LONG
        run.counts["fault redrive-long"] += is_long
        run.after(run.random.randrange(*LONG_MS) if is_long else 4 * run.latency(), answer)

    def _write(self, act: Act) -> None:
        run, tenure, command = self._run, act.tenure, act.command
        assert tenure is not None
        assert isinstance(command, Invoke)
        tenure.at_sink[command.id] = command
        tenure.mapped.observer.begun(tenure, command, run.now)
        hangs = tenure.mapped.sink.hangs(run.time_ms)

        def answer() -> None:
            if act.worker.is_alive:
                try:
                    outcome = run.answer(tenure, command, hangs=hangs)
                except LeaseLost as lost:
                    self._resume(act, None, lost)
                else:
                    self._resume(act, outcome, None)

        run.after(HANG_MS if hangs else run.latency(), answer)

    def answer_read(self, act: Act, answer: Any, *, fails: bool = False) -> None:
        """What came of a read that waited."""
        assert act.tenure is not None
        act.tenure.reading = None
        self._resume(act, answer, SourceError("the source failed") if fails else None)


def _tenure_of(act: Act) -> Tenure:
    assert act.tenure is not None
    return act.tenure


def qualified(code: CodeType) -> str:
    """A function's name with that of its class."""
    return code.co_qualname if sys.version_info >= (3, 11) else code.co_name
