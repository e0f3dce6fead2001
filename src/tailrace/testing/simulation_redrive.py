"""A redriver in the simulated world: the production steps (deadletters/redriving.py), carried out with latency, crashes and rivals.

Rules of this file: it decides nothing about changes; what it does between two steps is what the world does to everybody. Called by
simulation.py.
"""

from collections import Counter
from typing import Any

from tailrace.deadletters.entry import (
    DeadLetter,
    deadletter_prefix,
    read_deadletter,
)
from tailrace.deadletters.redriving import (
    Claimant,
    Deliver,
    Ended,
    Hold,
    ReadPassed,
    Redriving,
    Refusal,
    Step,
    WriteRows,
    put_back_key,
    put_back_letter,
)  # fmt: skip
from tailrace.errors import StateConflict
from tailrace.mapping.commands import Redriven, Released
from tailrace.mapping.outcomes import Failed, Written
from tailrace.rows.writes import Check
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import NOTHING, Version
from tailrace.testing.simulation import Run
from tailrace.testing.simulation_plan import plan
from tailrace.testing.simulation_roles import Mapped, Observer, Tenure
from tailrace.testing.simulation_rows import APP


class Redriver:
    """One redrive of everything: the parked keys, then the discarded changes, one after the other."""

    def __init__(self, run: Run, mapped: Mapped) -> None:
        self._run = run
        self._mapped = mapped
        run.redrivers += 1
        run.counts["fault redrive-rival"] += run.redrivers > len(run.mappings)
        self._name = f"redriver-{run.random.randrange(1 << 30)}"
        self._work: list[tuple[bytes | None, Redriving]] = []
        self._held: list[tuple[Tenure, bytes]] = []
        self._handled = NOTHING
        """The last change that the handler accepted."""

    def begin(self) -> None:
        """Choose, and go on step by step."""
        run = self._run
        keys = [head.key for head in run.rows.heads(self._mapped.id) if head.count]
        claims = run.claims
        claimant = Claimant(
            self._name,
            self._mapped.id,
            lambda head: claims.is_taken(head, f"{self._name}/{self._mapped.id}", run.now.monotonic_ms),
        )
        self._work = [(key, put_back_key(APP, key, claimant, lambda: run.now.wall_ms)) for key in keys]
        if run.random.random() < 0.5 and self._mapped.plan.settings.order != "lane":
            prefix = deadletter_prefix(APP, self._mapped.id)
            letters = [read_deadletter(row) for name, row in run.rows.items() if name.startswith(prefix)]
            for letter in letters:
                later = [each.record.version for each in letters if each.record.key == letter.record.key]
                again = put_back_letter(
                    APP, letter, claimant, lambda: run.now.wall_ms, later, even_if_overtaken=False
                )
                self._work.append((None, again))
        self._next()

    def _next(self) -> None:
        if not self._work:
            self._run.redrivers -= 1
            return
        self._go_on(*self._work.pop(0), None)

    def _go_on(self, key: bytes | None, steps: Redriving, answer: Any) -> None:
        run = self._run
        if run.time_ms < run.plan.heal_ms and run.random.random() < 0.03:
            self._crash()
            return
        try:
            step = steps.send(answer)
        except StopIteration as end:
            self._ended(key, end.value)
            return
        delay = (
            4 * run.latency()
            if isinstance(step, Deliver)
            else run.latency()
            if isinstance(step, WriteRows)
            else 0
        )
        run.after(delay, lambda: self._carry_out(key, steps, step))

    def _carry_out(self, key: bytes | None, steps: Redriving, step: Step) -> None:
        if not all(tenure.is_alive for tenure, _ in self._held):
            # It is part of the worker that held the key, and ends with it. That one which only lost its lease goes on as long
            # as its call takes, as any batch at the sink does, is not played: nothing but marks would stop it.
            self._crash()
            return
        self._go_on(key, steps, self._answer(step))

    def _crash(self) -> None:
        self._run.counts["fault redrive-crash"] += 1
        self._run.redrivers -= 1
        self._release()

    def _release(self) -> None:
        held, self._held = self._held, []
        for tenure, key in held:
            tenure.worker.step(tenure, Released(key, self._handled))
        self._handled = NOTHING

    def _ended(self, key: bytes | None, ended: Ended) -> None:
        run = self._run
        self._release()
        if key is not None and ended.how == "done":
            fate = run.random.random()
            if fate < 0.3:
                run.counts["fault redriven-lost"] += 1
            else:
                delay = run.random.randrange(2_000) if fate < 0.6 else 0
                run.counts["fault redriven-late" if delay else "fault redriven"] += 1
                run.after(delay, lambda: self._tell(Redriven(key, ended.tail, ended.passed)))
        run.counts["fault redrive-letter"] += key is None and ended.how == "done"
        run.counts[f"fault redrive-{ended.how}"] += 1
        run.after(1, self._next)

    def _tell(self, word: Redriven) -> None:
        for tenure in self._tenures():
            tenure.worker.step(tenure, word)

    def _tenures(self) -> list[Tenure]:
        return [tenure for tenure in self._run.tenures() if tenure.mapped is self._mapped]

    def _answer(self, step: Step) -> Any:
        run = self._run
        match step:
            case ReadPassed(key):
                alive = [tenure.machine.last_passed(key) for tenure in self._tenures()]
                noted: Version | None = run.rows.put_back(self._mapped.id, step)
                last = max([noted or NOTHING, *alive])
                return None if noted is None and last == NOTHING else last
            case Deliver(letter):
                return self._deliver(letter)
            case WriteRows():
                try:
                    return run.rows.put_back(self._mapped.id, step)
                except StateConflict:
                    run.counts["fault redrive-conflict"] += 1
                    return False
            case Hold(letter):
                return self._hold(letter.record)
            case _:
                return run.rows.put_back(self._mapped.id, step)

    def _hold(self, record: ChangeRecord) -> tuple[Check, ...] | None:
        """Only beside one living machine, as the runtime does: the key's shard is read here and nowhere else; or where all is read."""
        shards = {shard.shard_id for shard in self._run.plan.shards if shard.has(record.partition)}
        alive = [tenure for tenure in self._tenures() if tenure.shard.has(record.partition)]
        if not alive and self._mapped.finished.issuperset(shards):
            return ()
        if len(alive) != 1 or not alive[0].machine.hold(record.key):
            return None
        self._held.append((alive[0], record.key))
        return (alive[0].delivery.settling.fence,)

    def _deliver(self, letter: DeadLetter) -> Refusal | None:
        accepted, outcome = self._mapped.sink.judge([letter.record], self._run.time_ms)
        self._mapped.observer.put_back(letter.record, accepted=bool(accepted))
        if outcome == Written():
            self._handled = letter.record.version
            return None
        self._run.counts["fault redrive-refused"] += 1
        failure = outcome.whole if isinstance(outcome, Failed) else None
        return Refusal(failure.error if failure else "refused")


def simulate(seed: int, observer: Observer) -> Run:
    """Run one seed; one observer is told of every mapping. The same seed gives the same run, whatever happened before."""
    return Run(plan(seed), lambda _: observer, begin_redrive).run()


def counted(run: Run) -> Counter[str]:
    """How often each command, completion, setting and fault occurred."""
    return run.counts


def begin_redrive(run: Run) -> None:
    """Somebody redrives everything that is parked and discarded, while all goes on."""
    for mapped in run.mappings:
        Redriver(run, mapped).begin()
