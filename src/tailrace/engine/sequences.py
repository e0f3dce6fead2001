"""The one allocator of sequence numbers and creation times of a data directory.

Rules of this file: a number is never issued twice, whatever is lost. A start begins above the block its
predecessor reserved; a block is reserved in the commit that first uses it, and that commit is fully synced,
so nobody has seen a number of a block that power loss could forget. Creation times never go back. Called by
`engine.engine` and lineage.
"""

from typing import Final

import msgspec

from tailrace.engine.committer import Committer
from tailrace.engine.documents import CATALOG, decode
from tailrace.streams.sequence import BLOCK, following

KEY: Final = b"sequence"


class SequenceDocument(msgspec.Struct, frozen=True):
    """The high-water mark: every number that may have been issued is at most `reserved`."""

    reserved: int = 0
    v: int = 1


class Sequences:
    """Issues numbers and times; both only grow."""

    def __init__(self, committer: Committer) -> None:
        self._committer = committer
        self._reserved = 0
        self.last = 0
        self.created_ms = 0

    def load(self, *, is_start: bool) -> None:
        """Read the high-water mark. A start never issues below it; after a failed commit numbers just go
        on.
        """
        data = self._committer.get(CATALOG, KEY)
        self._reserved = 0 if data is None else decode(KEY, data, SequenceDocument).reserved
        if is_start:
            self.last = self._reserved

    def next(self, wall_ms: int) -> int:
        """The next number."""
        number = following(self.last, wall_ms)
        if number > self._reserved:
            self._reserved = number + BLOCK
            document = SequenceDocument(self._reserved)
            self._committer.put_row(CATALOG, KEY, msgspec.json.encode(document))
            self._committer.need_sync()
        self.last = number
        return number

    def created(self, wall_ms: int) -> int:
        """The creation time of a record written now. Units: milliseconds since the epoch."""
        if wall_ms > self.created_ms:
            self.created_ms = wall_ms
        return self.created_ms
