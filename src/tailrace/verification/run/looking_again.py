"""Looks again at what was suspect, until it is equal, stands still, or has moved too often.

Theory of operation: two looks at each suspect, with a mark of the mapping between them, are judged by the
core; what moves is looked at again, and so is what differs while a snapshot has still to bring rows: if it
was over before the first look, all that it brings was there. What stands still is told, or mended and then
counted as mended; a row that somebody newer has written meanwhile is looked at again. A key with a parked
change or a dead letter is told apart and not mended: its change is still to come, by hand.
Rules of this file: what differs is decided by core/judging.py. Called by comparing.py.
"""

import logging
from collections.abc import Sequence
from typing import Final

import orjson
from msgspec import Struct

from tailrace.deadletters.core.entry import deadletter_prefix, read_deadletter
from tailrace.deadletters.core.head import head_key
from tailrace.ports import Failure
from tailrace.runtime.pages import rows
from tailrace.streams.version import Version
from tailrace.tables.schema import HASH_BYTES
from tailrace.values.types import Item
from tailrace.verification.core.judging import NO_ROW, Kind, Look, SeenRow, before, judge
from tailrace.verification.run.expecting import Expecting
from tailrace.verification.run.mending import ToMend, mend
from tailrace.verification.run.pacing import LOOK_MS, Pacing
from tailrace.verification.run.reading import Compared
from tailrace.verification.run.report import WRITTEN, Mending, RowDifference, Told, VerificationReport
from tailrace.verification.run.unfinished import unfinished_snapshot

ROUNDS: Final = 6
"""How often what moves is looked at again."""
LETTERS: Final = 100
"""Dead letters in memory at once."""

_log: Final = logging.getLogger("tailrace.verification")


class _Seen(Struct, frozen=True):
    """A key that was looked at. Shape: `keys` None: it is none of the table's."""

    key: bytes
    keys: Item | None
    look: Look = Look(NO_ROW, None)
    image: Item | None = None
    kind: Kind = "different"


class LookingAgain:
    """Further looks at suspects."""

    def __init__(
        self, compared: Compared, expecting: Expecting, pacing: Pacing, report: VerificationReport
    ) -> None:
        self._compared = compared
        self._expecting = expecting
        self._pacing = pacing
        self._report = report
        self._letters: frozenset[bytes] | None = None
        self._wrong: set[bytes] = set()
        self._unfinished = ""

    async def look(self, keys: Sequence[bytes], mending: Mending) -> None:
        """Judge these keys, and tell the report. Raises: SourceError, StoreError, SinkError."""
        open_keys = [_Seen(key, self._keys(key)) for key in keys]
        for turn in range(1 if self._report.snapshot else ROUNDS):  # it has been waited for already
            open_keys = await self._once(open_keys, mending)
            if not open_keys:
                break
            await self._pacing.pause(LOOK_MS * 2**turn)
        self._report.snapshot = self._unfinished if open_keys else ""
        self._report.unjudged += len(open_keys)
        self._report.judged += len(keys)
        self._report.wrong_partitions = len(self._wrong)

    async def row(self, key: bytes) -> SeenRow:
        """As it is now; NO_ROW where there is none. Raises: SinkError."""
        some = await self._compared.mirror.rows(before(key), 1)
        return SeenRow(some[0].version, some[0].digest) if some and some[0].key == key else NO_ROW

    def _keys(self, key: bytes) -> Item | None:
        schema = self._compared.schema
        try:
            keys = schema.read_key(key)
            return keys if schema.key_bytes(keys) == key else None
        except Exception:  # the bytes of another table's key may be anything
            return None

    async def _once(self, some: Sequence[_Seen], mending: Mending) -> list[_Seen]:
        """Two looks at each. Returns: those that move."""
        self._unfinished = await unfinished_snapshot(self._compared)
        earlier = await self._looks(some)
        is_settled = await self._pacing.settled(self._compared.marks)
        later = await self._looks(some)
        there = [self._expecting.of_image(seen.image) for seen in later if seen.image is not None]
        digests = iter(await self._expecting.digests(there))
        moving: list[_Seen] = []
        stable: list[_Seen] = []
        for first, last in zip(earlier, later, strict=True):
            digest = b"" if last.image is None else next(digests)
            if isinstance(digest, Failure):
                self._tell(last, "failed", digest.error)
                continue
            match judge(first.look, last.look, digest, is_settled=is_settled):
                case "equal":
                    pass
                case "moving":
                    moving.append(last)
                case _ if self._unfinished:
                    moving.append(last)
                case kind:
                    stable.append(_Seen(last.key, last.keys, last.look, last.image, kind))
        return moving + await self._differ(stable, mending)

    async def _looks(self, some: Sequence[_Seen]) -> list[_Seen]:
        """The row of each, then its item: in this order nothing of an item is seen before its row is."""
        seen_rows = [await self.row(seen.key) for seen in some]
        keys = [seen.keys for seen in some if seen.keys is not None]
        images = iter(await self._pacing.patiently(lambda: self._compared.reader.items(keys)) if keys else ())
        looks = []
        for seen, row in zip(some, seen_rows, strict=True):
            image = None if seen.keys is None else next(images)
            content = None if image is None else orjson.dumps(image, option=orjson.OPT_SORT_KEYS)
            looks.append(_Seen(seen.key, seen.keys, Look(row, content), image))
        return looks

    async def _differ(self, stable: Sequence[_Seen], mending: Mending) -> list[_Seen]:
        """Tell of differences, or mend them. Returns: those whose rows were written meanwhile."""
        name, to_mend = self._compared.name, list[tuple[_Seen, ToMend]]()
        for seen in stable:
            if seen.keys is None:
                self._tell(seen, seen.kind, f"its key is none of table {name.table}: remove it where it is")
            elif await self._waits(seen.key):
                waits = "a change of it is parked or a dead letter"
                self._tell(seen, "waits", f"{seen.kind}; {waits}: tailrace dlq redrive {name.handler}")
            elif mending == "yes":
                to_mend.append((seen, ToMend(seen.keys, seen.image, seen.look.row.version)))
            else:
                self._tell(seen, seen.kind, mended="would be written" if mending == "dry" else "")
        if not to_mend:
            return []
        written = await mend(self._compared, self._expecting, [row for _, row in to_mend])
        for (seen, _), is_written in zip(to_mend, written, strict=True):
            if is_written:
                self._tell(seen, seen.kind, mended=WRITTEN)
        return [seen for (seen, _), is_written in zip(to_mend, written, strict=True) if not is_written]

    def _tell(self, seen: _Seen, kind: Told, reason: str = "", mended: str = "") -> None:
        version: Version | None = seen.look.row.version
        key = seen.key.hex() if seen.keys is None else seen.keys
        self._report.differs(
            RowDifference(kind, key, "" if version is None else version.text, reason, mended)
        )
        self._wrong.add(seen.key[:HASH_BYTES])
        if mended == WRITTEN:
            _log.info("sink %s: row %s: mended: %s", self._report.sink, kind, orjson.dumps(key).decode())

    async def _waits(self, key: bytes) -> bool:
        """Whether a change of an item is parked, or was given up and not put back yet."""
        state, name = self._compared.state, self._compared.name
        if await state.get(head_key(name.app, name.handler, key)) is not None:
            return True
        if self._letters is None:
            letters = rows(state, deadletter_prefix(name.app, name.handler), LETTERS)
            self._letters = frozenset([read_deadletter(row.fields).record.key async for row in letters])
        return key in self._letters
