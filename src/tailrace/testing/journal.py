"""What happened in a world, in lines: the last ones stand in the report of a test that failed.

Rules of this file: one line an event, with the virtual time; only the last ones are kept. Written by the
world and by what it lays around its workers, read by plugin.py.
"""

from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

from tailrace.app.change import Change
from tailrace.app.plain import to_plain_item
from tailrace.ports import Clock, RecordBatch
from tailrace.values.types import Item

KEPT: Final = 200
MOST_KEYS: Final = 3


class Journal:
    """The last events of a world."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.on_call: Callable[[str, Any], None] | None = None
        """Told of every call of a handler: its name, and what it is given."""
        self._lines: deque[tuple[int, str, tuple[Any, ...]]] = deque(maxlen=KEPT)

    def note(self, text: str, *values: Any) -> None:
        """An event; the values are put into the text's `{}` only when it is read."""
        self._lines.append((self.clock.now().wall_ms, text, values))

    def begin(self, handler: str, batch: RecordBatch) -> None:
        """A handler's sink is given a batch."""
        self.note("{} ← {}, attempt {}", handler, KeysOf(batch), batch.attempt)

    def lines(self, count: int = KEPT) -> list[str]:
        """The last of them, the oldest first."""
        return [
            f"{_time(wall_ms)}  {text.format(*values) if values else text}"
            for wall_ms, text, values in list(self._lines)[max(0, len(self._lines) - count) :]
        ]


class LazyAttributes:
    """An item's attributes, put into words only when they are read."""

    def __init__(self, item: Item) -> None:
        self._item = item

    def __str__(self) -> str:
        return ", ".join(f"{name}={value!s:.60}" for name, value in to_plain_item(self._item).items())


class KeysOf:
    """The keys of a batch, put into words only when they are read."""

    def __init__(self, batch: RecordBatch) -> None:
        self._batch = batch

    def __str__(self) -> str:
        table = self._batch.stream.table
        return named(Change(record, table).key for record in self._batch.records)


def named(keys: Iterable[Any]) -> str:
    """Some keys in words.

    >>> named(["o1", "o2", "o3", "o4", "o5"])
    'o1, o2, o3 and 2 more'
    """
    words = [str(key) for key in keys]
    more = len(words) - MOST_KEYS
    return ", ".join(words[:MOST_KEYS]) + (f" and {more} more" if more > 0 else "")


def _time(wall_ms: int) -> str:
    moment = datetime.fromtimestamp(wall_ms / 1_000, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{wall_ms % 1_000:03}"
