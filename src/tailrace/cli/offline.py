"""Answering a question without a server: open the data directory, let the verb read, close it again.

Rules of this file: verbs that change something are refused, but for those that say they work here. Stands
alone because it costs the engine's imports, and is imported only when no process has the directory.
"""

from collections.abc import AsyncGenerator, Iterator, Mapping
from pathlib import Path
from typing import Any

from tailrace.cli.answering import one_by_one
from tailrace.cli.failures import CommandFailure
from tailrace.clocks.system import SystemClock
from tailrace.compose import EngineOptions, open_engine
from tailrace.server.audit import audited
from tailrace.server.control import Subject, Verb, find_verb
from tailrace.server.remembered import recall_time


def run_offline(directory: Path, name: str, arguments: Mapping[str, Any]) -> Iterator[Any]:
    """Every value of a verb. Raises: CommandFailure, StoreError, what the verb raises."""
    asked = find_verb(name)
    if (asked.changes and not asked.works_offline) or name.startswith("clock."):
        raise CommandFailure(
            f"No server runs on {directory}, so there is nothing to tell it.",
            hint=_server(directory, name),
        )
    yield from one_by_one(_answers(directory, asked, arguments))


def _server(directory: Path, name: str) -> str:
    """What to start, so that there is a server to tell."""
    match name.partition(".")[0]:
        case "clock":
            return f"tailrace serve --clock manual --data {directory}"
        case "projection":
            return f"tailrace dev app.py --data {directory}"
    return f"tailrace serve --data {directory}"


async def _answers(directory: Path, asked: Verb, arguments: Mapping[str, Any]) -> AsyncGenerator[Any, None]:
    # Time stands still while the question is answered: the present, or where a manual clock was left.
    now_ms = SystemClock().now().wall_ms
    engine = open_engine(
        EngineOptions(directory=directory, checksums=None, clock="manual", clock_start_ms=now_ms)
    )
    try:
        subject = Subject(engine, engine.clock, is_offline=True)
        await recall_time(subject.state, subject.clock)
        async with audited(subject.state, subject.clock, asked.name, arguments, changes=asked.changes):
            async for value in asked.run(subject, arguments):
                yield value
    finally:
        engine.close()
