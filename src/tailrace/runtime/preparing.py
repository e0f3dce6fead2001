"""What a batch comes to before it is written: judged, transformed and enriched.

Stands alone because rooms below the sinks ask for it (a snapshot writes it, a comparison only looks at it),
and sinks/streamed.py, above them, answers. Rules of this file: values and a protocol.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct, field

from tailrace.ports import Failure, RecordBatch


class Prepared(Struct, frozen=True):
    """What is to be written of a batch.

    Shape:   `batch` has a record for each value, and is the given batch itself where nothing had to be done;
             `places[n]` is where its n-th record stood in the given one. A place that is neither there nor in
             `failures` is not wanted: the filter refused it, or its value is None. `whole`: enrichment
             failed, and nothing is to be written.
    """

    batch: RecordBatch
    places: Sequence[int]
    failures: Mapping[int, Failure] = field(default_factory=dict)
    whole: Failure | None = None


class Prepares(Protocol):
    """A mapping without a handler, as it is asked what it would write."""

    async def prepared(self, batch: RecordBatch) -> Prepared:
        """What it would write. Nothing is written. Of a snapshot's batch (`is_snapshot`) the mapping's filter
        is asked here; other batches have passed it already. Repeatable.
        """
