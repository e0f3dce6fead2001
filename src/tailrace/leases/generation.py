"""Which number each source of a table has: the generations of its changes, in one row of the app.

Theory of operation: a version says what is newer over every stream that a table has had, so the streams are
numbered, in the order of their labels, and never anew. A reader that sees a stream without a number lists all
of them and writes the row under compare-and-set: two that do it at once agree, because the loser reads what
the winner wrote. A stream that is older than a listed one with a number cannot be numbered any more, for
there is no room below: it is refused. Where none with a number is listed, the source is another one, and what
it has is newer whatever it is called. What keeps versions beside its rows keeps these numbers there too: a
row that was lost begins with them, and numbers that contradict it are of another history.
Rules of this file: a pure layout and its transition, format 1, docs/formats/state.md. Called by
runtime/reading.py and by the views that look a change up. Source: growth §2.2.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct, field
from msgspec.structs import replace

from tailrace.errors import SettingsError, SourceError
from tailrace.rows.kinds import SOURCES
from tailrace.rows.writes import VERSION, Absent, Equals, Write, readable
from tailrace.streams.version import FIRST_GENERATION

BEFORE: Final = ""
"""The source of rows that were written before there were numbers: they are of the first generation."""


class Generations(Struct, frozen=True):
    """The numbers of a table's sources. Shape: by stream label; `revision` rises with every write, 0: there
    is no row.
    """

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
        """The number of a stream. One without a number was there before there were any: it is of the first
        generation.
        """
        return self.numbers.get(label, FIRST_GENERATION)

    def lacks(self, labels: Iterable[str]) -> bool:
        """Whether one of these has no number."""
        return any(label not in self.numbers for label in labels)

    def with_labels(self, labels: Iterable[str], *, all_first: bool = False) -> "Generations":
        """Every one of these has a number, the next ones in the order of the labels.

        Shape:   `labels` are all that can be read now. `all_first`: the app has read this table before there
                 were numbers, so sequence numbers rise over all of these, and all are of the first
                 generation.
        Raises:  SourceError for one that is older than one with a number.

        >>> Generations("shop", "orders").with_labels(["2026-11-02", "2026-11-01"]).numbers
        {'2026-11-01': 1, '2026-11-02': 2}
        """
        labels = set(labels)
        fresh = sorted(labels - set(self.numbers))
        if all_first:
            return self._with(dict.fromkeys(fresh, FIRST_GENERATION))
        newest = max(labels & set(self.numbers), default="")
        if fresh and fresh[0] < newest:
            raise SourceError(
                f"stream {fresh[0]} of table {self.table!r} is older than {newest}, which is "
                f"generation {self.of(newest)} already, and was not "
                "listed when that was numbered: its changes would count as newer than those that "
                "came after them, so it is not read"
            )
        begin = max(self.numbers.values(), default=FIRST_GENERATION - 1) + 1
        return self._with({label: begin + place for place, label in enumerate(fresh)})

    def with_kept(self, sources: Mapping[str, int], place: str) -> "Generations":
        """With the numbers that are kept beside the rows of a place.

        Shape:   `sources` are those of every table, as `ports.Versioned` gives them; `place` says whose they
                 are.
        Raises:  SettingsError when they are not of one history with these, naming both.

        >>> kept = {"orders/2026-11-01": 3, "users/2026-11-01": 1}
        >>> Generations("shop", "orders").with_kept(kept, "the sink of 'mirror'").numbers
        {'2026-11-01': 3}
        """
        for label, number in self._of_table(sources) if self.numbers else ():
            here = self.numbers.get(label)
            if here is not None and here != number:
                raise self._contradicted(place, label, number, f"generation {here}")
            if here is None and label != BEFORE and (other := self._instead_of(label, number)):
                raise self._contradicted(place, label, number, f"{other} as generation {self.of(other)}")
        return self.also(sources)

    def also(self, sources: Mapping[str, int]) -> "Generations":
        """With those of these that have no number here: itself when all have."""
        fresh = {label: number for label, number in self._of_table(sources) if label not in self.numbers}
        return self._with(fresh) if fresh else self

    def _instead_of(self, label: str, number: int) -> str:
        """The source that has a number, or is newer by its label and has a smaller one; none: an unknown
        source is what its place says.
        """
        return next(
            (
                other
                for other, generation in self.numbers.items()
                if other != BEFORE and (generation == number or (other > label and generation < number))
            ),
            "",
        )

    def _of_table(self, sources: Mapping[str, int]) -> Iterator[tuple[str, int]]:
        for source, number in sources.items():
            table, _, label = source.partition("/")
            if source == BEFORE or table == self.table:
                yield label, number

    def _contradicted(self, place: str, label: str, number: int, instead: str) -> SettingsError:
        return SettingsError(
            f"{place} keeps stream {label} of table {self.table!r} as generation {number}, and the "
            f"state of app {self.app!r} has {instead}: they are "
            "not of one history, and newer changes could count as older there",
            hint="give the app the state that this place was written with, or let it write to an empty place",
        )

    @property
    def kept(self) -> dict[str, int]:
        """What is to be kept beside rows."""
        return {f"{self.table}/{label}": number for label, number in self.numbers.items() if label != BEFORE}

    def _with(self, more: Mapping[str, int]) -> "Generations":
        return replace(self, numbers={**self.numbers, **more}, revision=self.revision + 1)

    def write(self) -> Write:
        """Its row, if the row is still the one before."""
        condition = Absent() if self.revision == 1 else Equals("revision", self.revision - 1)
        return Write(
            self.key, {"v": VERSION, "numbers": dict(self.numbers), "revision": self.revision}, condition
        )


def check_kept(place: str, there: Mapping[str, int], sources: Mapping[str, int]) -> None:
    """What `ports.Versioned.keep_sources` refuses. Raises: SettingsError.

    >>> check_kept("table orders", {"orders/2026-11-01": 1}, {"orders/2026-11-02": 2})
    """
    for source, number in sources.items():
        if (generation := there.get(source, number)) != number:
            raise SettingsError(
                f"{place} keeps {source} as generation {generation}, and it is generation {number} here: "
                "they are not of one history"
            )


def sources_key(app: str, table: str) -> str:
    """The row of a table's sources.

    >>> sources_key("shop", "orders")
    'sources/shop/orders'
    """
    return SOURCES.key(app, table)


def read_generations(app: str, table: str, fields: Mapping[str, Any] | None) -> Generations:
    """What the row says; without one nothing is numbered yet. Raises: StoreError when its format is not
    known.
    """
    if fields is None:
        return Generations(app, table)
    row = readable(fields, "row of a table's sources")
    return Generations(app, table, row["numbers"], row["revision"])
