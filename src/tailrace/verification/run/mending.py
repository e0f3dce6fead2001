"""Writes rows as they must be, by compare and set on the version that was seen.

Theory of operation: a row keeps the version it has, and one that is not there gets generation 0 and the time
of the look, as a scan's row; what is gone or not wanted becomes a tombstone of that version. So every change
that was not seen is newer than what is written here, whenever it comes, and a row that somebody has written
since is left as it is.
Stands alone because what is written, and under which version, is its own question. Rules of this file: what
is mended was judged to stand still. Called by looking_again.py. Source: growth §4.
"""

from collections.abc import Sequence

from msgspec import Struct, structs

from tailrace.ports import RecordBatch
from tailrace.streams.record import ChangeRecord
from tailrace.streams.version import Version
from tailrace.values.types import Item
from tailrace.verification.run.expecting import Expecting
from tailrace.verification.run.reading import Compared


class ToMend(Struct, frozen=True):
    """A row that is wrong. Shape: `image` is what it is to show, None: nothing; `seen` its version, None:
    there is no row.
    """

    keys: Item
    image: Item | None
    seen: Version | None


async def mend(compared: Compared, expecting: Expecting, some: Sequence[ToMend]) -> list[bool]:
    """Write them. Returns: which were written; of the others somebody has written the row, or it is not known
    what it is to show. Raises: SinkError.
    """
    records = [expecting.record(one.keys, one.image, one.seen) for one in some]
    present = [place for place, one in enumerate(some) if one.image is not None]
    batch = expecting.batch([records[place] for place in present])
    prepared = await compared.prepares.prepared(batch)
    if prepared.whole is not None:
        return [False for _ in some]
    first: dict[int, int] = {}
    for number, place in enumerate(prepared.places):
        first.setdefault(present[place], number)
    unknown = {present[place] for place in prepared.failures}
    gone = [place for place in range(len(some)) if place not in first and place not in unknown]
    written = [False for _ in some]
    for places, chosen in (
        ([*first], _chosen(prepared.batch, [*first.values()])),
        (gone, expecting.batch([_removed(records[place]) for place in gone])),
    ):
        if places:
            answers = await compared.mirror.mend(chosen, [some[place].seen for place in places])
            for place, answer in zip(places, answers, strict=True):
                written[place] = answer
    return written


def _chosen(batch: RecordBatch, numbers: Sequence[int]) -> RecordBatch:
    values = None if batch.values is None else [batch.values[number] for number in numbers]
    return structs.replace(batch, records=[batch.records[number] for number in numbers], values=values)


def _removed(record: ChangeRecord) -> ChangeRecord:
    return structs.replace(record, event_name="REMOVE", new=None)
