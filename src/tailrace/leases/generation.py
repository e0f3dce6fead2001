"""Which number each source of a table has: the generations of its changes, in one row of the app.

Theory of operation: a version says what is newer over every stream that a table has had, so the streams are numbered, in the order of their
labels, and never anew. Whoever sees a stream without a number lists all of them and writes the row under compare-and-set: two that do it at
once agree, because the loser reads what the winner wrote. A stream that is older than one with a number cannot be numbered any more, for there
is no room below: it is refused.
Rules of this file: a pure layout and its transition, format 1, docs/formats/state.md. Called by runtime/reading.py and by whoever
looks a change up. Source: growth §2.2.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tailrace.errors import SourceError
from tailrace.rows.kinds import SOURCES
from tailrace.rows.writes import VERSION, Absent, Equals, Write, readable
from tailrace.streams.version import FIRST_GENERATION


@dataclass(frozen=True, slots=True)
class Generations:
    """The numbers of a table's sources. Shape: by stream label; `revision` rises with every write, 0: there is no row."""

    app: str
    table: str
    numbers: Mapping[str, int] = field(default_factory=dict)
    revision: int = 0

    @property
    def key(self) -> str:
        """Its row."""
        return sources_key(self.app, self.table)

    @property
    def newest(self) -> int:
        """The largest number given so far; the first generation before there is one."""
        return max(self.numbers.values(), default=FIRST_GENERATION)

    def of(self, label: str) -> int:
        """The number of a stream. One without a number was there before there were any: it is of the first generation."""
        return self.numbers.get(label, FIRST_GENERATION)

    def lacks(self, labels: Iterable[str]) -> bool:
        """Whether one of these has no number."""
        return any(label not in self.numbers for label in labels)

    def with_labels(self, labels: Iterable[str], *, all_first: bool = False) -> "Generations":
        """Every one of these has a number, the next ones in the order of the labels.

        Shape:   `labels` are all that can be read now. `all_first`: the app has read this table before there were numbers, so sequence numbers
                 rise over all of these, and all are of the first generation.
        Raises:  SourceError for one that is older than one with a number.

        >>> Generations("shop", "orders").with_labels(["2026-11-02", "2026-11-01"]).numbers
        {'2026-11-01': 1, '2026-11-02': 2}
        """
        fresh = sorted(set(labels) - set(self.numbers))
        if all_first:
            return self._with(dict.fromkeys(fresh, FIRST_GENERATION))
        newest = max(self.numbers, default="")
        if fresh and fresh[0] < newest:
            raise SourceError(
                f"stream {fresh[0]} of table {self.table!r} is older than {newest}, which is generation {self.of(newest)} already, and was not "
                f"listed when that was numbered: its changes would count as newer than those that came after them, so it is not read"
            )
        begin = max(self.numbers.values(), default=FIRST_GENERATION - 1) + 1
        return self._with({label: begin + place for place, label in enumerate(fresh)})

    def _with(self, more: Mapping[str, int]) -> "Generations":
        return replace(self, numbers={**self.numbers, **more}, revision=self.revision + 1)

    def write(self) -> Write:
        """Its row, if the row is still the one before."""
        condition = Absent() if self.revision == 1 else Equals("revision", self.revision - 1)
        return Write(
            self.key, {"v": VERSION, "numbers": dict(self.numbers), "revision": self.revision}, condition
        )


def sources_key(app: str, table: str) -> str:
    """The row of a table's sources.

    >>> sources_key("shop", "orders")
    'sources/shop/orders'
    """
    return SOURCES.key(app, table)


def read_generations(app: str, table: str, fields: Mapping[str, Any] | None) -> Generations:
    """What the row says; without one nothing is numbered yet. Raises: StoreError when its format is not known."""
    if fields is None:
        return Generations(app, table)
    row = readable(fields, "row of a table's sources")
    return Generations(app, table, row["numbers"], row["revision"])
