"""Of which incarnation of its table a stream is: the table's id.

Theory of operation: no stream tells the id of its table, and a table that is gone tells nothing. So it is
asked while the table is there, once for each stream; of a stream whose table was gone by then the id is not
known, and its label stands for it. The id is asked before and after the streams: between two equal answers
the table was not made anew.
Stands alone because where tables are decides who answers, and the archiver knows neither.
Rules of this file: asks, and writes nothing.
"""

from collections.abc import Awaitable, Callable, Sequence

from tailrace.errors import SourceError, Unavailable
from tailrace.journal.core.places import JournaledStream, unknown_incarnation
from tailrace.ports import StreamRef


class TableIdentity:
    """One table's. Shape: `table_id` asks for the id of the table as it is now, `streams` for all that can be
    read; both raise SourceError.
    """

    def __init__(
        self,
        table: str,
        table_id: Callable[[str], Awaitable[str]],
        streams: Callable[[], Awaitable[Sequence[StreamRef]]],
    ) -> None:
        self._table = table
        self._table_id = table_id
        self._streams = streams

    async def identify(self, label: str) -> JournaledStream:
        """Of which incarnation a stream is. Raises: Unavailable."""
        try:
            before = await self._id()
            streams = await self._streams()
            after = await self._id()
        except SourceError as error:
            raise Unavailable(
                f"of which table stream {label} is cannot be asked: {error}",
                retry_after=error.retry_after_ms / 1_000,
            ) from error
        stream = next((one for one in streams if one.label == label), None)
        if stream is None or before != after:
            raise Unavailable(f"stream {label} of {self._table} is not listed at this moment")
        is_known = bool(before) and not stream.is_of_deleted
        return JournaledStream(label, before if is_known else unknown_incarnation(label), stream.arn)

    async def _id(self) -> str:
        """Returns: "" while there is no such table."""
        try:
            return await self._table_id(self._table)
        except SourceError:
            return ""
