"""The `gaps` verbs: what handlers never saw, and that an operator knows it.

Rules of this file: gaps are a view (views/gaps.py); to acknowledge one is a row. Registered by `verbs`.
Stands alone as every family of verbs does.
"""

from tailrace.deadletters.core.gap import Gap
from tailrace.rows.bounds import slices
from tailrace.rows.writes import Write
from tailrace.runtime.watermark import MappingName
from tailrace.server.control import Arguments, Subject, verb
from tailrace.server.handlers import named
from tailrace.views.gaps import gap_value, gaps, open_gaps
from tailrace.views.progress import declared


@verb("gaps", works_afar=True)
async def gaps_of(subject: Subject, arguments: Arguments) -> object:
    """Arguments: handler, or none for all. Units: from_ms, until_ms since the epoch, when the first and the
    last of them can have been made; null: not known.
    """
    return [
        gap_value(mapping, gap)
        for mapping in await _named_mappings(subject, arguments)
        for gap in await gaps(subject.state, mapping)
    ]


@verb("gaps.acknowledge", changes=True, works_offline=True, works_afar=True)
async def acknowledge(subject: Subject, arguments: Arguments) -> object:
    """Arguments: handler, or none for all; dry_run. Answers the gaps that were open."""
    now_ms = subject.clock.now().wall_ms
    gaps: list[tuple[MappingName, Gap]] = []
    for mapping in await _named_mappings(subject, arguments):
        gaps += [(mapping, gap) for gap in await open_gaps(subject.state, mapping)]
    for some in () if arguments.get("dry_run") else slices(gaps):
        await subject.state.transact(
            [
                Write(gap.key(mapping.app, mapping.handler), gap.acknowledged(now_ms).fields())
                for mapping, gap in some
            ]
        )
    return [gap_value(mapping, gap) for mapping, gap in gaps]


async def _named_mappings(subject: Subject, arguments: Arguments) -> list[MappingName]:
    if arguments.get("handler") is None:
        return await declared(subject.reading)
    return [await named(subject, arguments)]
