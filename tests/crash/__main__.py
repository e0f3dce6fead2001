"""`python -m tests.crash --kills N [--seed S]`: a campaign of kills, with progress and
a dated summary. Resumable.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tailrace.telemetry import WRITE_POINTS
from tests.crash import bank, data_streams, journals, places, sinks, transactions, transfers
from tests.crash.campaign import run
from tests.crash.progress import place_of
from tests.evidence import write_evidence


def tell(text: str) -> None:
    """Show how far it is, on one line."""
    print(f"\r\033[K{text}", end="", flush=True)


def main() -> int:
    """Run the campaign; 1 when anything does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="how many hard kills")
    parser.add_argument(
        "--seed", type=int, default=7, help="decides points and moments; the same one goes on"
    )
    parser.add_argument(
        "--example",
        choices=["transfers", "bank", "places", "sinks", "journals", "data-streams"],
        help="this campaign instead",
    )
    parser.add_argument("--sink", choices=sinks.NAMES, help="of the campaign sinks: only what this one needs")
    parser.add_argument(
        "--work",
        choices=["archiver", "merge", "restore", "replay"],
        help="of the campaign journals: kills in this work alone",
    )
    arguments = parser.parse_args()
    if arguments.example == "transfers":
        return run_transfers(arguments.seed, arguments.kills)
    if arguments.example == "bank":
        return run_bank(arguments.seed, arguments.kills)
    if arguments.example == "places":
        return run_places(arguments.seed, arguments.kills)
    if arguments.example == "sinks":
        return run_sinks(arguments.seed, arguments.kills, sinks.NAMES.get(arguments.sink, sinks.SINKS))
    if arguments.example == "journals":
        return run_journals(arguments.seed, arguments.kills, arguments.work)
    if arguments.example == "data-streams":
        return run_data_streams(arguments.seed, arguments.kills)
    return run_points(arguments.seed, arguments.kills)


def run_points(seed: int, kills: int) -> int:
    """Kills at every named point, and in transactions; 1 when anything does not hold, or a point was never
    killed at.
    """
    print(f"crash: {kills} kills, seed {seed}", flush=True)
    report = run(seed, kills, tell, place_of("crash", seed, kills))
    print()
    for point, times in sorted(report.kills.items()):
        print(f"  {point:<18} {times:>5}")
    print(f"  {report.writes_acknowledged} acknowledged writes, {report.records} records")
    for text in report.violations:
        print(f"VIOLATION {text}")
    with tempfile.TemporaryDirectory(prefix="tailrace-crash-") as directory:
        outcome = transactions.run(Path(directory), seed, max(len(WRITE_POINTS), kills // 4), tell)
    print(f"\n  {outcome.acknowledged} acknowledged transactions, {outcome.kills.total()} kills among them")
    for text in outcome.violations:
        print(f"VIOLATION {text}")
    report.violations += outcome.violations
    missing = report.never_killed_at() if kills >= 16 else []
    for point in missing:
        print(f"NEVER KILLED AT {point}")
    if kills >= 100:
        write_evidence(
            "crash",
            {
                "seed": report.seed,
                "kills": dict(report.kills),
                "acknowledged_writes": report.writes_acknowledged,
                "records": report.records,
                "acknowledged_transactions": outcome.acknowledged,
                "violations": report.violations,
            },
        )
    print("crash: holds" if not report.violations and not missing else "crash: DOES NOT HOLD")
    return 1 if report.violations or missing else 0


def run_transfers(seed: int, kills: int) -> int:
    """The transfers of the example; 1 when an account differs by a cent."""
    print(f"transfers: {kills} kills, seed {seed}", flush=True)
    outcome = transfers.run(seed, kills, tell, place_of("transfers", seed, kills))
    print()
    for text in outcome.violations:
        print(f"VIOLATION {text}")
    print(f"  {outcome.transfers} transfers, {outcome.kills.total()} kills")
    if kills >= 100:
        write_evidence(
            "transfers",
            {
                "seed": seed,
                "kills": dict(outcome.kills),
                "transfers": outcome.transfers,
                "violations": outcome.violations,
            },
        )
    print("transfers: balances agree to the cent" if not outcome.violations else "transfers: DOES NOT HOLD")
    return 1 if outcome.violations else 0


def run_bank(seed: int, kills: int) -> int:
    """The bank of the example; 1 when a balance differs by a cent, or a command was not applied once."""
    print(f"bank: {kills} kills, seed {seed}", flush=True)
    outcome = bank.run(seed, kills, tell, place_of("bank", seed, kills))
    print()
    for text in outcome.violations:
        print(f"VIOLATION {text}")
    print(f"  {outcome.commands} commands, {outcome.repeated} repeated, {outcome.kills.total()} kills")
    if kills >= 100:
        write_evidence(
            "bank",
            {
                "seed": seed,
                "kills": dict(outcome.kills),
                "commands": outcome.commands,
                "repeated": outcome.repeated,
                "violations": outcome.violations,
            },
        )
    print("bank: each command is applied once" if not outcome.violations else "bank: DOES NOT HOLD")
    return 1 if outcome.violations else 0


def run_places(seed: int, kills: int) -> int:
    """Ends of `dev` and `serve` where they do more than to write and deliver; 1 when anything does not hold,
    or a kind never happened.
    """
    print(f"places: {kills} kills, seed {seed}", flush=True)
    outcome = places.run(seed, kills, tell, place_of("places", seed, kills))
    print()
    for kind in places.KINDS:
        print(f"  {kind:<24} {outcome.kills[kind]:>5}")
    print(f"  {outcome.acknowledged} acknowledged writes, {outcome.records} records")
    missing = outcome.never_killed_at() if kills >= len(places.KINDS) else []
    for text in [
        *(f"VIOLATION {violation}" for violation in outcome.violations),
        *(f"NEVER KILLED: {point}" for point in missing),
    ]:
        print(text)
    if kills >= 100:
        write_evidence(
            "places",
            {
                "seed": seed,
                "kills": dict(outcome.kills),
                "acknowledged_writes": outcome.acknowledged,
                "records": outcome.records,
                "violations": outcome.violations,
            },
        )
    holds = not outcome.violations and not missing
    print("places: holds" if holds else "places: DOES NOT HOLD")
    return 0 if holds else 1


def run_data_streams(seed: int, kills: int) -> int:
    """Puts and reshards of data streams; 1 when a record that was acknowledged is not once in its place."""
    print(f"data streams: {kills} kills, seed {seed}", flush=True)
    outcome = data_streams.run(seed, kills, tell, place_of("data-streams", seed, kills))
    print()
    for text in outcome.violations:
        print(f"VIOLATION {text}")
    print(f"  {outcome.acknowledged} records, {outcome.reshards} reshards, {outcome.kills.total()} kills")
    if kills >= 100:
        write_evidence(
            "crash-data-streams",
            {
                "seed": seed,
                "kills": dict(outcome.kills),
                "acknowledged_records": outcome.acknowledged,
                "reshards": outcome.reshards,
                "violations": outcome.violations,
            },
        )
    print("data streams: hold" if not outcome.violations else "data streams: DO NOT HOLD")
    return 1 if outcome.violations else 0


def run_sinks(seed: int, kills: int, names: tuple[str, ...]) -> int:
    """Kills in the work of sinks; 1 when a target is not the table, or a kind of kill never happened."""
    print(f"sinks: {kills} kills, seed {seed}: {', '.join(names)}", flush=True)
    outcome = sinks.run(seed, kills, tell, names, place_of(f"sinks-{'-'.join(names)}", seed, kills))
    print()
    for kind, times in sorted(outcome.kills.items()):
        print(f"  {kind:<28} {times:>5}")
    print(f"  {outcome.writes} writes, {outcome.changes} changes")
    missing = outcome.never_killed(names) if kills >= sinks.LONG else []
    for text in [
        *(f"VIOLATION {violation}" for violation in outcome.violations),
        *(f"NEVER KILLED: {kind}" for kind in missing),
    ]:
        print(text)
    if kills >= 100 and names == sinks.SINKS:
        write_evidence(
            "crash-sinks",
            {
                "seed": seed,
                "sinks": names,
                "kills": dict(outcome.kills),
                "writes": outcome.writes,
                "changes": outcome.changes,
                "violations": outcome.violations,
            },
        )
    holds = not outcome.violations and not missing
    print("sinks: each target is the table, each change counted once" if holds else "sinks: DOES NOT HOLD")
    return 0 if holds else 1


def run_journals(seed: int, kills: int, work: str | None) -> int:
    """Kills in the work of a journal; 1 when it is not what was written, or a kind of kill never happened."""
    kinds = journals.kinds_of(work)
    name = "journals" if work is None else f"journals-{work}"
    print(f"{name}: {kills} kills, seed {seed}", flush=True)
    outcome = journals.run(seed, kills, tell, kinds, place_of(name, seed, kills))
    print()
    for kind in kinds:
        print(f"  {kind:<34} {outcome.kills[kind]:>5}")
    print(
        f"  {outcome.writes} writes, {outcome.changes} changes, {outcome.replays} live replays to their end"
    )
    missing = outcome.never_killed(kinds) if kills >= len(kinds) else []
    for text in [
        *(f"VIOLATION {violation}" for violation in outcome.violations),
        *(f"NEVER KILLED: {kind}" for kind in missing),
    ]:
        print(text)
    if kills >= 100:
        write_evidence(
            f"crash-{name}",
            {
                "seed": seed,
                "kills": dict(outcome.kills),
                "writes": outcome.writes,
                "changes": outcome.changes,
                "replays": outcome.replays,
                "violations": outcome.violations,
            },
        )
    holds = not outcome.violations and not missing
    words = "each is what was written, verifies, restores and replays"
    print(f"{name}: {words}" if holds else f"{name}: DOES NOT HOLD")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
