"""Which number each source of a table has: the generations of its changes, in one row of the app.

Theory of operation: a version says what is newer over every stream that a table has had, so the streams are
numbered, in the order of their labels, and never anew. A reader that sees a stream without a number lists all
of them and writes the row under compare-and-set: two that do it at once agree, because the loser reads what
the winner wrote. A stream that is older than a listed one with a number cannot be numbered any more, for
there is no room below: it is refused. Where none with a number is listed, the source is another one, and what
it has is newer whatever it is called. What keeps versions beside its rows keeps these numbers there too: a
row that was lost begins with them, and numbers that contradict it are of another history. Where such a place
does not answer then, streams that no other one knows are numbered far above whatever it may have, each as
what follows a reset without positions: the stream's own number stays free for what the place says later.
Rules of this file: a pure layout and its transition, format 1, docs/formats/state.md. Called by
runtime/reading.py and by the views that look a change up. Source: growth §2.2.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct, field
from msgspec.structs import replace

from tailrace.errors import SettingsError, SourceError
from tailrace.rows.kinds import SOURCES
from tailrace.rows.writes import VERSION, Absent, Equals, Write, readable
from tailrace.streams.shards import Shard
from tailrace.streams.version import FIRST_GENERATION, MOST_SEQUENCE

BEFORE: Final = ""
"""The source of rows that were written before there were numbers: they are of the first generation."""


FOLLOWING: Final = "+"
"""Stands between a stream's label and the number of a reset: the source of what follows that reset in it."""
WITH_RESETS: Final = 2
"""The format of a row that has resets. Versions that know only the first would number by half of it."""
TO_THE_END: Final = MOST_SEQUENCE
"""The position behind a shard that is over."""

ROOM: Final = 1_000_000
"""So many numbers are left free for a place that does not tell which it has."""


class Reset(Struct, frozen=True):
    """Where the changes before a scan end.

    Shape:   `generation` is the scan's; what follows in the stream `label` is of the next one. `positions` by
             shard: records at or below keep the number that they had; of a shard that is not there all
             follow.
    """

    generation: int
    label: str
    positions: Mapping[str, int] = field(default_factory=dict)

    @property
    def following(self) -> str:
        """The source of what follows."""
        return f"{self.label}{FOLLOWING}{self.generation}"

    def precedes(self, shard_id: str, sequence: int) -> bool:
        """Whether a record of its stream follows it."""
        return sequence > self.positions.get(shard_id, 0)


class Generations(Struct, frozen=True):
    """The numbers of a table's sources. Shape: by stream label, and of what follows `resets`, the oldest
    first; `revision` rises with every write, 0: there is no row.
    """

    app: str
    table: str
    numbers: Mapping[str, int] = field(default_factory=dict)
    revision: int = 0
    resets: tuple[Reset, ...] = ()

    @property
    def key(self) -> str:
        """Its row."""
        return sources_key(self.app, self.table)

    @property
    def newest(self) -> int:
        """The largest number given so far; the first generation before there is one."""
        return max(self.numbers.values(), default=FIRST_GENERATION)

    def of(self, label: str) -> int:
        """The number of a stream, before any reset that has positions. One without a number was there before
        there were any: it is of the first generation.
        """
        number = self.numbers.get(label)
        if number is None and self.resets:
            number = next((one.generation + 1 for one in self.resets if one.label == label), None)
        return FIRST_GENERATION if number is None else number

    def of_record(self, label: str, shard_id: str, sequence: int) -> int:
        """The number of one record: that of the last reset that it follows, else its stream's.

        Guarantee: inside a shard, and from a shard to those that continue it, it never falls.
        """
        return next(
            (
                reset.generation + 1
                for reset in reversed(self.resets)
                if reset.label == label and reset.precedes(shard_id, sequence)
            ),
            self.of(label),
        )

    @property
    def newest_stream(self) -> str | None:
        """The label of the stream with the largest number; None: nothing is numbered."""
        return max(self._streams, key=lambda label: (self._present(label), label), default=None)

    @property
    def _streams(self) -> set[str]:
        """The labels of all that have numbers."""
        labels = {label for label in self.numbers if label != BEFORE and FOLLOWING not in label}
        return labels | {reset.label for reset in self.resets}

    def _present(self, label: str) -> int:
        """What the newest records of a stream are numbered."""
        follows = (reset.generation + 1 for reset in reversed(self.resets) if reset.label == label)
        return next(follows, self.of(label))

    def with_reset(self, positions: Mapping[str, int], present: Iterable[str] | None = None) -> "Generations":
        """One more reset in the newest stream, behind everything that has a number.

        Shape:   `positions` as `cut` makes them; `present` are the shards that can still be read: what older
                 resets say of others is left out (None: of none). Raises: SourceError before anything is
                 numbered.

        >>> Generations("shop", "orders", {"2026-11-01": 1}).with_reset({"shard-1": 7}).numbers
        {'2026-11-01': 1, '2026-11-01+2': 3}
        """
        label = self.newest_stream
        if label is None:
            raise SourceError(
                f"no stream of table {self.table!r} has a number yet: nothing of it was ever listed"
            )
        generation = self.newest + 1
        reset = Reset(generation, label, dict(positions))
        kept = [_without(former, label, present) for former in self.resets]
        after = self._with({reset.following: generation + 1})
        return replace(after, resets=(*kept, reset))

    def lacks(self, labels: Iterable[str]) -> bool:
        """Whether one of these has no number."""
        return any(not self._has(label) for label in labels)

    def _has(self, label: str) -> bool:
        return label in self.numbers or any(reset.label == label for reset in self.resets)

    def with_labels(
        self, labels: Iterable[str], *, all_first: bool = False, leaves_room: bool = False
    ) -> "Generations":
        """Every one of these has a number, the next ones in the order of the labels.

        Shape:   `labels` are all that can be read now. `all_first`: the app has read this table before there
                 were numbers, so sequence numbers rise over all of these, and all are of the first
                 generation. `leaves_room` for a place that may have numbers of these.
        Raises:  SourceError for one that is older than one with a number.

        >>> Generations("shop", "orders").with_labels(["2026-11-02", "2026-11-01"]).numbers
        {'2026-11-01': 1, '2026-11-02': 2}
        """
        labels = set(labels)
        fresh = sorted(label for label in labels if not self._has(label))
        if all_first:
            return self._with(dict.fromkeys(fresh, FIRST_GENERATION))
        newest = max(labels - set(fresh), default="")
        if fresh and fresh[0] < newest:
            raise SourceError(
                f"stream {fresh[0]} of table {self.table!r} is older than {newest}, which is "
                f"generation {self.of(newest)} already, and was not "
                "listed when that was numbered: its changes would count as newer than those that "
                "came after them, so it is not read"
            )
        if leaves_room:
            begin = (self.newest // ROOM + 1) * ROOM
            apart = [Reset(begin + 2 * place, label) for place, label in enumerate(fresh)]
            numbered = self._with({reset.following: reset.generation + 1 for reset in apart})
            return replace(numbered, resets=(*self.resets, *apart))
        begin = max(self.numbers.values(), default=FIRST_GENERATION - 1) + 1
        return self._with({label: begin + place for place, label in enumerate(fresh)})

    def with_kept(self, sources: Mapping[str, int], place: str, *, is_read: bool = True) -> "Generations":
        """With the numbers that are kept beside the rows of a place.

        Shape:   `sources` are those of every table, as `ports.Versioned` gives them; `place` says whose they
                 are. `is_read`: records may have been numbered by these already.
        Raises:  SettingsError when they are not of one history with these, naming both.

        >>> kept = {"orders/2026-11-01": 3, "users/2026-11-01": 1}
        >>> Generations("shop", "orders").with_kept(kept, "the sink of 'mirror'").numbers
        {'2026-11-01': 3}
        """
        for label, number in self._of_table(sources) if self.numbers else ():
            here = self.numbers.get(label)
            if here is not None and here != number:
                raise self._contradicted(place, label, number, f"generation {here}")
            if here is None and FOLLOWING in label:
                if is_read and not self._is_below(label.partition(FOLLOWING)[0], number):
                    # What is read here would count as older than what is there, and be ignored.
                    raise self._contradicted(place, label, number, "no such reset")
                continue
            if here is None and label != BEFORE and (other := self._instead_of(label, number)):
                raise self._contradicted(place, label, number, f"{other} as generation {self.of(other)}")
        return self.also(sources)

    def also(self, sources: Mapping[str, int]) -> "Generations":
        """With those of these that have no number here: itself when all have. What follows a reset whose
        positions are lost is all of its stream that is read from now on.
        """
        fresh = {label: number for label, number in self._of_table(sources) if label not in self.numbers}
        if not fresh:
            return self
        lost = [
            Reset(number - 1, label.partition(FOLLOWING)[0])
            for label, number in fresh.items()
            if FOLLOWING in label
        ]
        resets = sorted([*self.resets, *lost], key=lambda reset: reset.generation)
        return replace(self._with(fresh), resets=tuple(resets))

    def _is_below(self, label: str, number: int) -> bool:
        """Whether all that is read here of a stream and of newer ones is above a number."""
        present = [self._present(other) for other in self._streams if other >= label]
        return bool(present) and min(present) > number

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
        fields: dict[str, Any] = {"v": VERSION, "numbers": dict(self.numbers), "revision": self.revision}
        if self.resets:
            fields |= {"v": WITH_RESETS, "resets": [_reset_fields(reset) for reset in self.resets]}
        return Write(self.key, fields, condition)


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
    row = readable(fields, "row of a table's sources", WITH_RESETS)
    resets = tuple(_read_reset(reset) for reset in row.get("resets", ()))
    return Generations(app, table, row["numbers"], row["revision"], resets)


# ---- resets ------------------------------------------------------------------------------------------------


def cut(shards: Sequence[Shard], watermarks: Mapping[str, int]) -> dict[str, int]:
    """The positions of a reset: how far readers are in the shards of the newest stream.

    Shape:   `watermarks` by shard, the furthest of any reader; those of a shard that a reader has finished
             are `TO_THE_END`.
    Guarantee: a shard that another one continues in which something was read is read to its end: so an item's
               changes never fall back to an older number. Nothing is beyond what is in the stream now, for a
               shard that is continued is closed.

    >>> cut([Shard("a", 1, last=9), Shard("b", 10, ("a",))], {"a": 4, "b": 12})["a"] == TO_THE_END
    True
    """
    positions = {shard.shard_id: watermarks.get(shard.shard_id, 0) for shard in shards}
    parents = {shard.shard_id: shard.parents for shard in shards}
    pending = [shard_id for shard_id, position in positions.items() if position > 0]
    while pending:
        for parent in parents[pending.pop()]:
            if positions.get(parent, TO_THE_END) < TO_THE_END:
                positions[parent] = TO_THE_END
                pending.append(parent)
    return {shard_id: position for shard_id, position in positions.items() if position > 0}


def _without(reset: Reset, label: str, present: Iterable[str] | None) -> Reset:
    """Positions of shards that nothing reads any more need not be kept. Of an older stream those that are
    still there are not known here.
    """
    if present is None or reset.label != label:
        return reset
    there = set(present)
    positions = {shard_id: at for shard_id, at in reset.positions.items() if shard_id in there}
    return replace(reset, positions=positions)


def _reset_fields(reset: Reset) -> dict[str, Any]:
    """As a row has it. Numbers of records are text, for those of other streams are wider than JSON's."""
    positions = {shard_id: "end" if at == TO_THE_END else str(at) for shard_id, at in reset.positions.items()}
    return {"generation": reset.generation, "stream": reset.label, "positions": positions}


def _read_reset(fields: Mapping[str, Any]) -> Reset:
    positions = {
        shard_id: TO_THE_END if at == "end" else int(at) for shard_id, at in fields["positions"].items()
    }
    return Reset(fields["generation"], fields["stream"], positions)
