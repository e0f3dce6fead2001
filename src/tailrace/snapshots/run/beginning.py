"""What a mirror had when its mapping began to write to it.

Theory of operation: exports may only complete what the changes of one stream alone have made, and a mirror
does not say where its rows are from. So before the first change of a mapping is written, it is kept in the
state, once and for ever, of which stream that change is, and whether the mirror was empty.
Rules of this file: rows of snapshots decide nothing here. Made by sinks/making.py, asked by run/exporting.py.
Stands alone because it is in the way of delivery, and the rest of the room is beside it.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress

from msgspec import Struct

from tailrace.errors import StateConflict
from tailrace.ports import Clock, Mirror, Outcome, RecordBatch, Sink, StateStore
from tailrace.rows.kinds import MIRROR_BEGAN
from tailrace.rows.writes import VERSION, Absent, StateRow, Write, readable


class MirrorBegan(Struct, frozen=True):
    """How a mapping began to write. Shape: `stream` is the label of the first change's."""

    stream: str
    was_empty: bool

    def write(self, app: str, mapping_id: str) -> Write:
        """Its row, if there is none."""
        fields = {"v": VERSION, "id": mapping_id, "stream": self.stream, "was_empty": self.was_empty}
        return Write(MIRROR_BEGAN.key(app, mapping_id), fields, Absent())


def read_began(row: StateRow | None) -> MirrorBegan | None:
    """What a row says; None: no change was written yet. Raises: StoreError for an unknown format."""
    if row is None:
        return None
    fields = readable(row.fields, MIRROR_BEGAN.name)
    return MirrorBegan(fields["stream"], fields["was_empty"])


class BegunMirror:
    """A mapping's sink that keeps how it began. Shape: `mirror` is what it writes to, ready in `opened`."""

    def __init__(
        self,
        sink: Sink,
        mirror: Mirror,
        opened: Callable[[], AbstractAsyncContextManager[None]],
        state: StateStore,
        app: str,
        mapping_id: str,
    ) -> None:
        self._sink = sink
        self._mirror = mirror
        self._opened = opened
        self._state = state
        self._app, self._mapping_id = app, mapping_id
        self._is_kept = False

    async def open(self, clock: Clock) -> None:
        """Open the sink."""
        await self._sink.open(clock)

    async def write(self, batch: RecordBatch) -> Outcome:
        """What the sink says. Raises: StoreError, what the mirror raises."""
        if not self._is_kept and not batch.is_snapshot:
            self._is_kept = await self._keep(batch.stream.label)
        return await self._sink.write(batch)

    def close(self) -> Awaitable[None]:
        """Close the sink."""
        return self._sink.close()

    async def _keep(self, stream: str) -> bool:
        """Keep how it begins. Returns: whether that is kept; a mirror that does not answer is asked again
        with the next batch, and is not empty then if it took this one.
        """
        if await self._state.get(MIRROR_BEGAN.key(self._app, self._mapping_id)) is not None:
            return True
        try:
            async with self._opened():
                was_empty = not await self._mirror.rows(b"", 1)
        except Exception:  # whatever it is, `write` meets it too, and says so
            return False
        with suppress(StateConflict):  # another shard, or another worker, was first: this one writes after it
            await self._state.transact([MirrorBegan(stream, was_empty).write(self._app, self._mapping_id)])
        return True
