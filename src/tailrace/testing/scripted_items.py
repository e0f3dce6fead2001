"""A table in memory that is read as of exact positions, for tests of what is built from a table's items.

Rules of this file: what a test writes is there at once, durable, and has the next number. Public, as
`tailrace.testing.ScriptedItems`. Stands alone because it is another port's double than scripted.py's.
"""

from collections.abc import Callable, Mapping
from typing import Any
from zlib import crc32

from tailrace.errors import SourceError
from tailrace.ports import ItemsPage
from tailrace.values.types import Item


class ScriptedItems:
    """A `TableItems` over one table.

    Shape:   `writes` are (key in hex, image, number) of every write, an image of None for a removal; `before`
             is called with what a page is asked for, and may write or raise.
    """

    def __init__(
        self,
        table: str = "orders",
        key_name: str = "id",
        *,
        before: Callable[[Mapping[str, Any] | None], object] = lambda _: None,
    ) -> None:
        self.writes: list[tuple[str, Item | None, int]] = []
        self.items: dict[str, Item] = {}
        self._table = table
        self._key_name = key_name
        self._before = before

    @property
    def last(self) -> int:
        """The number of the last write; 0 before the first."""
        return len(self.writes)

    def write(self, name: str, image: Item | None) -> int:
        """Put an item, or with None remove it. Returns: the write's number."""
        self.writes.append((name.encode().hex(), image, self.last + 1))
        if image is None:
            self.items.pop(name, None)
        else:
            self.items[name] = {self._key_name: {"S": name}, **image}
        return self.last

    async def page(
        self, table: str, after: Mapping[str, Any] | None, limit: int, segment: tuple[int, int] | None = None
    ) -> ItemsPage:
        """The next items, in the order of their names. Raises: SourceError for another table."""
        if table != self._table:
            raise SourceError(f"table {table!r} is not there")
        self._before(after)
        first = "" if after is None else str(after[self._key_name]["S"])
        number, total = segment or (0, 1)
        names = [
            name for name in sorted(self.items) if name > first and crc32(name.encode()) % total == number
        ]
        items = [
            (name.encode().hex(), {self._key_name: {"S": name}}, dict(self.items[name]))
            for name in names[:limit]
        ]
        more = {self._key_name: {"S": names[limit - 1]}} if len(names) > limit else None
        return ItemsPage(items, self.last, more)
