"""The faults of a simulated run that have a moment: what a plan wants to happen, and to whom.

Rules of this file: it strikes, and decides nothing else; each fault that happens is counted.
"""

from tailrace.mapping.commands import Pause, Resume, Stop
from tailrace.mapping.outcomes import FailureKind
from tailrace.testing.simulation_plan import ACTS, Fault
from tailrace.testing.simulation_redrive import begin_redrive
from tailrace.testing.simulation_roles import Process, SimulationRun, Tenure

ASKS = 4
"""So many times a person who sees an outage may ask for a redrive while it lasts."""
LATEST_YIELD = 6
"""A crash strikes at one of the next yields of the act it waits for."""


def happen(run: SimulationRun, fault: Fault) -> None:
    """One fault of the plan."""
    run.counts["fault " + fault.kind] += fault.kind != "target-emptied"  # which counts what it strikes
    match fault.kind:
        case "outage" | "throttle":
            kind = FailureKind.UNAVAILABLE if fault.kind == "outage" else FailureKind.THROTTLED
            mapped = run.random.choice(run.mappings)
            mapped.sink.begin_outage(kind, run.time_ms + fault.length_ms)
            for _ in range(ASKS):
                run.after(run.random.randrange(fault.length_ms), lambda: run.something_failed(mapped))
        case "clock-step":
            for mapped in run.mappings:
                mapped.observer.clock_steps(run.now)
            step_ms = run.random.choice((-90_000, -1_000, 1_000, 90_000))
            run.counts["fault clock-forward" if step_ms > 0 else "fault clock-back"] += 1
            run.wall_step_ms += step_ms
        case "trim":
            for shard_id, log in run.source.log.items():
                if log:
                    run.source.trim(shard_id, log[len(log) // 2].sequence)
        case "target-emptied":
            _empty(run)
        case "redrive":
            begin_redrive(run)
        case "join":
            run.hire()
        case "crash" | "cut-off" | "worker-stop" | "freeze" | "twin":
            _strike_worker(run, fault)
        case _:
            _strike_tenure(run, fault)


def _empty(run: SimulationRun) -> None:
    """Targets lose everything, as long as no shard is finished: those are not looked at again (ADR 68)."""
    for mapped in run.mappings:
        if mapped.plan.settings.is_transactional and not mapped.finished and not run.rows.finished(mapped.id):
            run.counts["fault target-emptied"] += 1
            mapped.target.positions.clear()
            mapped.target.arrived.clear()
            mapped.observer.emptied()


def _strike_worker(run: SimulationRun, fault: Fault) -> None:
    alive = [worker for worker in run.workers if worker.is_alive]
    if not alive:
        return
    worker = run.random.choice(alive)
    match fault.kind:
        case "crash" if run.random.random() < 0.1:
            run.counts["fault crash-now"] += 1
            worker.crash()
        case "crash":
            worker.doom(run.random.choice(("", *ACTS)), run.random.randrange(LATEST_YIELD))
        case "cut-off":
            worker.cut_off(min(run.time_ms + fault.length_ms, run.plan.heal_ms))
        case "freeze":
            until_ms = min(run.time_ms + fault.length_ms, run.plan.heal_ms)
            worker.frozen_ms = max(worker.frozen_ms, until_ms)  # its timers wait for the longer one
        case "twin":
            run.hire(worker.number)
        case _:
            worker.stop()


def _strike_tenure(run: SimulationRun, fault: Fault) -> None:
    alive = run.tenures()
    if not alive:
        return
    tenure = run.random.choice(alive)
    step = tenure.worker.step
    match fault.kind:
        case "theft":
            steal(run, tenure)
        case "stop":
            step(tenure, Stop())
        case "pause":
            step(tenure, Pause())
            run.after(min(fault.length_ms, 10_000), lambda: step(tenure, Resume()))


def steal(run: SimulationRun, tenure: Tenure) -> None:
    """Another worker takes a shard whose owner lives."""
    _thief(run, tenure).look_at(tenure.shard)


def _thief(run: SimulationRun, tenure: Tenure) -> Process:
    """Another worker, which may take the shard from its owner; where there is none, one more begins."""
    others = [worker for worker in run.workers if worker.is_alive and worker is not tenure.worker]
    thief = run.random.choice(others) if others else run.hire()
    thief.steals.add(tenure.shard.shard_id)
    return thief
