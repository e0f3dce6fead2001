"""An archive in memory: for tests, and what the others are compared with.

Rules of this file: nothing awaits between looking and writing, so that every call is one step of the loop.
Stands alone as every adapter of a port does.
"""

from collections.abc import Sequence

from tailrace.archives.names import check_name, tag_of
from tailrace.ports import Blob


class MemoryArchive:
    """The port ArchiveStore over a dictionary."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    def copy(self) -> "MemoryArchive":
        """Another one with the same blobs."""
        other = MemoryArchive()
        other._blobs = dict(self._blobs)
        return other

    async def get(self, name: str, start: int = 0, length: int | None = None) -> Blob | None:
        """A blob or a part of it."""
        data = self._blobs.get(check_name(name))
        if data is None:
            return None
        is_whole = start == 0 and length is None
        part = data[start:] if length is None else data[start : start + length]
        return Blob(part, len(data), tag_of(data) if is_whole else None)

    async def list(self, prefix: str, *, after: str = "", limit: int | None = None) -> Sequence[str]:
        """Names that begin with a prefix, in order."""
        return sorted(name for name in self._blobs if name.startswith(prefix) and name > after)[:limit]

    async def put_if_absent(self, name: str, data: bytes) -> str | None:
        """Write a new blob."""
        if check_name(name) in self._blobs:
            return None
        self._blobs[name] = bytes(data)
        return tag_of(data)

    async def compare_and_put(self, name: str, data: bytes, tag: str) -> str | None:
        """Replace a blob that is still the one that was read."""
        held = self._blobs.get(check_name(name))
        if held is None or tag_of(held) != tag:
            return None
        self._blobs[name] = bytes(data)
        return tag_of(data)

    async def delete(self, name: str) -> None:
        """Remove a blob."""
        self._blobs.pop(check_name(name), None)
