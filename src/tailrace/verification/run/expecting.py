"""What the rows of items are to show: what the mapping would write, as the mirror digests it.

Rules of this file: an item is given to the mapping as the row of a scan is, so its filter, its transform and
its enrichment hold; nothing is written here. Called by the first look, by further looks and by repair.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import structs

from tailrace.ports import Failure, RecordBatch
from tailrace.streams.record import MILLISECOND, ChangeRecord, change_record
from tailrace.streams.version import Version
from tailrace.values.types import Item
from tailrace.values.wire import dump_item
from tailrace.verification.run.reading import Compared

PLACE: Final = "verification"
"""Stands where batches name a shard."""


class Expecting:
    """What is expected of one mirror."""

    def __init__(self, compared: Compared) -> None:
        self._compared = compared

    def record(self, keys: Item, image: Item | None, version: Version | None = None) -> ChangeRecord:
        """An item, or that there is none (`image` None), as a change. Shape: without a version it is the row
        of a scan that was read now: generation 0 and the present in microseconds.
        """
        target = self._compared.schema.locate_key(keys)
        now_ms = self._compared.clock.now().wall_ms
        new = None if image is None else dump_item(image)
        record = change_record(
            sequence=now_ms * MILLISECOND if version is None else version.sequence,
            shard=0,
            created_ms=now_ms,
            partition=target.partition,
            key=target.key_bytes,
            keys=target.keys,
            old=None,
            new=new,
            size_bytes=len(new or b""),
        )
        generation = 0 if version is None else version.generation
        event = "INSERT" if new is not None else "REMOVE"
        return structs.replace(record, generation=generation, event_name=event)

    def of_image(self, image: Item) -> ChangeRecord:
        """An item as the row of a scan."""
        return self.record(self._compared.schema.key_of(image), image)

    def batch(self, records: Sequence[ChangeRecord]) -> RecordBatch:
        """These records as the mapping is given them."""
        compared = self._compared
        return RecordBatch(records, compared.name.handler, compared.stream, PLACE, is_snapshot=True)

    async def digests(self, records: Sequence[ChangeRecord]) -> list[bytes | Failure]:
        """What the rows of these items are to show, empty for nothing; or why that is not known."""
        if not records:
            return []
        prepared = await self._compared.prepares.prepared(self.batch(records))
        if prepared.whole is not None:
            return [prepared.whole for _ in records]
        expected: list[bytes | Failure] = [b"" for _ in records]
        if prepared.batch.records:
            digests = await self._compared.mirror.digests(prepared.batch)
            for place, digest in reversed([*zip(prepared.places, digests, strict=True)]):
                expected[place] = digest  # of several values of one item a mirror keeps the first
        for place, failure in prepared.failures.items():
            expected[place] = failure
        return expected
