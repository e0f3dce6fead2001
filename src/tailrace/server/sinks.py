"""Verbs about sinks: which there are, whether one is what its table is, and what makes it so again.

Rules of this file: a comparison needs the app's own code, so it is made where the app runs, or, of a fleet,
where the question is asked. It ends with its client and leaves nothing. What was mended is in the audit, also
when the repair was cut off. Registered by `verbs`.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any, Final

from tailrace.errors import TailraceError
from tailrace.server.audit import audited
from tailrace.server.control import Arguments, Subject, verb, verb_of_values
from tailrace.tables.costs import ReadingCost
from tailrace.verification.core.costs import cost_of
from tailrace.verification.core.sampling import SampleSize, read_sample
from tailrace.verification.run.comparing import How, Verification, segments_for
from tailrace.verification.run.mirrors import Mirrors
from tailrace.verification.run.reading import Compared
from tailrace.verification.run.report import Mending, VerificationReport
from tailrace.verification.run.unfinished import unfinished_snapshot

PROGRESS_S: Final = 0.5


@verb("sink.ls", works_afar=True)
async def sink_ls(subject: Subject, arguments: Arguments) -> object:
    """Every sink of changes that the app declares."""
    mirrors = _mirrors(subject)
    return [
        {
            "sink": mapping.id,
            "table": mapping.table.name,
            "kind": type(mapping.sink).__name__,
            "comparable": (why := mirrors.refused(mapping)) is None,
            "why": why or "",
        }
        for mapping in mirrors.sinks
    ]


@verb("sink.plan", works_afar=True)
async def sink_plan(subject: Subject, arguments: Arguments) -> object:
    """Arguments: sink, sample, read_units_per_s. What a comparison will read and cost."""
    compared = _named(subject, arguments)
    cost = await _cost(compared, arguments)
    snapshot = await unfinished_snapshot(compared)
    return {
        "sink": compared.name.handler, "table": compared.name.table, **cost.value, "snapshot": snapshot
    }  # fmt: skip


@verb_of_values("sink.verify", streams=True, works_afar=True)
async def sink_verify(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: sink, sample, read_units_per_s, yes. Answers: how far it is, and at the end the report."""
    async for value in _compare(subject, arguments, "no"):
        yield value


@verb_of_values("sink.repair", changes=True, streams=True, works_afar=True)
async def sink_repair(subject: Subject, arguments: Arguments) -> AsyncGenerator[object, None]:
    """Arguments: as `sink.verify`, and dry_run. Mends what differs; answers as that does."""
    async for value in _compare(subject, arguments, "dry" if arguments.get("dry_run") else "yes"):
        yield value


async def _compare(subject: Subject, arguments: Arguments, mending: Mending) -> AsyncGenerator[object, None]:
    compared = _named(subject, arguments)
    cost = await _cost(compared, arguments)
    if cost.asks and not arguments.get("yes"):
        raise TailraceError(
            f"This reads about {cost.read_units:,.0f} read units of table {compared.name.table!r}: "
            f"{cost.usd:,.2f} USD, {cost.seconds / 60:,.0f} minutes.",
            hint=f"tailrace sink {'verify' if mending == 'no' else 'repair'} {compared.name.handler} --yes, "
            "or with --sample 1%",
        )
    how = How(
        sample=_sample(arguments),
        mending=mending,
        segments=segments_for(cost.size_bytes, is_charged=cost.is_charged),
        read_units_per_s=_per_s(arguments),
        seed=subject.clock.now().wall_ms,
    )
    comparison = Verification(compared, how)
    running = asyncio.ensure_future(comparison.run())
    try:
        while not (await asyncio.wait((running,), timeout=PROGRESS_S))[0]:
            yield {"progress": comparison.report.progress}
        yield {"report": (await running).value}
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError, Exception):  # what it raised was told, or its client has gone
            await running
        await _note(subject, comparison.report)


async def _note(subject: Subject, report: VerificationReport) -> None:
    """Write into the audit what was mended."""
    if report.mended:
        rows = [[difference.kind, difference.key] for difference in report.differences if difference.mended]
        told = {"sink": report.sink, "rows": report.mended, "first": rows}
        async with audited(subject.state, subject.clock, "sink.mended", told, changes=True):
            pass


def _mirrors(subject: Subject) -> Mirrors:
    mirrors = subject.mirrors()
    if mirrors is None:
        raise TailraceError(
            "This needs the app that declares the sink, and no app runs here.",
            hint="tailrace dev app.py, and the same again; of a fleet: --state TARGET --app APP",
        )
    return mirrors


def _named(subject: Subject, arguments: Arguments) -> Compared:
    return _mirrors(subject).named(str(arguments.get("sink")))


def _sample(arguments: Arguments) -> SampleSize | None:
    sample = arguments.get("sample")
    return None if sample is None else read_sample(str(sample))


def _per_s(arguments: Arguments) -> float:
    per_s: Any = arguments.get("read_units_per_s") or 0
    if not isinstance(per_s, int | float) or per_s < 0:
        raise TailraceError("--read-units is a number of read units a second above 0.")
    return float(per_s)


async def _cost(compared: Compared, arguments: Arguments) -> ReadingCost:
    return cost_of(await compared.reader.size(), _sample(arguments), _per_s(arguments))
