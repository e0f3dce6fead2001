"""A lake's parts, made of what a sink was declared with: the only door to what needs pyarrow.

Stands alone because a sink is declared, and a lake's rows are read, where pyarrow is not installed.
Rules of this file: no behaviour.
"""

from msgspec import Struct

from tailrace.ports import ArchiveStore, Clock
from tailrace.sinks.lake.compaction import Compaction
from tailrace.sinks.lake.layout import LakeLayout
from tailrace.sinks.lake.mirror import LakeMirror
from tailrace.sinks.lake.table import LakeTable


class LakeParts(Struct, frozen=True):
    """What stands behind a sink."""

    table: LakeTable
    compaction: Compaction
    mirror: LakeMirror


def lake_parts(archive: ArchiveStore, layout: LakeLayout, clock: Clock, target_bytes: int) -> LakeParts:
    """Units: target_bytes of a file that is compacted."""
    made = LakeTable(archive, layout, clock)
    compaction = Compaction(made, target_bytes)
    return LakeParts(made, compaction, LakeMirror(made, compaction))
