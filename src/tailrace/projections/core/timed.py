"""Builds whose pages tell no position, as those of AWS and Alternator: which changes may precede a build.

Theory of operation: a row of such a page has generation 0, so any change beats it. That is right for changes
that come in order to their end. It is wrong where an older change comes alone, a duplicate, a dead letter
that is put back, because the newer one was settled before the build was there: it would stand for ever. So a
change that may be older than the build says only *that* its item changed; what is applied under its version
is the item as it is now, read after the build was known. Whatever changes the item after that read is behind
it in the stream and is delivered to this build. A change of after the build began is applied as it is: all
that are newer are delivered, too. No order between a page and a change is needed, and a removed item leaves
its tombstone as ever.
Rules of this file: pure. Called by sinks/projected.py and projections/run/projector.py. Source:
docs/decisions/0074.
"""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from tailrace.projections.core.builds import Build
from tailrace.projections.core.folding import ItemChange
from tailrace.streams.version import Version
from tailrace.values.types import Item

MARGIN_MS: Final = 3_600_000
"""By how much the clocks of a worker and of the server that has the table may differ."""
SCAN: Final = 0
"""The generation of rows of pages: older than every change."""


def page_version(read_us: int) -> Version:
    """The version of the rows of a page. Units: `read_us` since the epoch, before it was asked for."""
    return Version(SCAN, read_us)


def may_precede(created_ms: int, build: Build) -> bool:
    """Whether a change may have been made before a build was there, where pages tell no position. The time at
    which it was begun does not count: its row may have been written much later.

    >>> timed = Build("sales", "1", is_timed=True, seen_ms=10_000_000)
    >>> may_precede(13_599_999, timed), may_precede(13_600_000, timed), may_precede(0, Build("sales", "1"))
    (True, False, False)
    """
    return build.is_timed and (not build.seen_ms or created_ms < build.seen_ms + MARGIN_MS)


def as_present(
    steps: Sequence[ItemChange], created_ms: Sequence[int], present: dict[str, Item | None], build: Build
) -> list[ItemChange]:
    """The steps of a batch as a build takes them: of changes that may be older than it, the items as they are
    now. Shape: `created_ms` beside the steps; `present` by key, of all that may precede it.
    """
    return [
        replace(step, image=present[step.key]) if may_precede(at_ms, build) else step
        for step, at_ms in zip(steps, created_ms, strict=True)
    ]
