"""The traffic of a plan: when changes are written, to which items, of which size, in which shard.

Theory of operation: traffic is described (a rate or a profile of rates, a distribution of keys, a size) or
was recorded. Either way it becomes columns: for each shard the numbers of its changes, their times and the
places of their items, from which records are made when they are read. So a million changes cost some bytes
each, and every setting of a sweep is given the very same ones. Arrivals are those of independent writers
(Poisson); items spread over shards and lanes by the hash that the engine has. AWS's hash is another: the
spread is alike, the places are not.
Rules of this file: pure; chance is given. Run by interpreter.py.
"""

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import accumulate
from math import log
from typing import Final, TypeAlias

import orjson
from msgspec import Struct

from tailrace.errors import SettingsError
from tailrace.planning.core.quantities import length_us, number, per_second, whole
from tailrace.streams.record import MILLISECOND, ChangeRecord
from tailrace.streams.shards import HASHES
from tailrace.tables.schema import TableSchema

Draw: TypeAlias = Callable[[], float]
"""Chance: a number from 0 to below 1."""
MOST_KEYS: Final = 10_000_000
MOST_CHANGES: Final = 50_000_000
MOST_SHARDS: Final = 10_000
DEFAULT_KEYS: Final = 10_000
KEYS_HELP: Final = "uniform:10000, zipf:1.1, zipf:1.1:100000 or hot:30%"
SCHEMA: Final = TableSchema("planned", 0, "", "key", "S")


class KeyShares(Struct, frozen=True):
    """How the changes spread over items. Shape: `cumulative` are the shares of the first keys, summed up; the
    keys above them have what is left in equal parts.
    """

    text: str
    count: int
    cumulative: tuple[float, ...] = ()

    @classmethod
    def read(cls, text: str) -> "KeyShares":
        """A distribution in words. Raises: SettingsError.

        >>> KeyShares.read("hot:30%").share(0), KeyShares.read("uniform:4").share(3)
        (0.3, 0.25)
        """
        word, _, rest = text.strip().partition(":")
        first, _, second = rest.partition(":")
        match word:
            case "uniform":
                return cls(text, whole("keys", rest or str(DEFAULT_KEYS), 1, MOST_KEYS))
            case "zipf" if first:
                skew = number("keys: the exponent of zipf", first, 0, 5)
                count = whole("keys", second or str(DEFAULT_KEYS), 1, 1_000_000)
                sums = list(accumulate(place**-skew for place in range(1, count + 1)))
                return cls(text, count, tuple(total / sums[-1] for total in sums))
            case "hot" if first.endswith("%"):
                percent = number("keys: the share of the hot one, in %", first[:-1], 0, 100)
                count = whole("keys", second or str(DEFAULT_KEYS), 2, MOST_KEYS)
                return cls(text, count, (percent / 100,))
        raise SettingsError(f"keys: {text!r} is no distribution of keys; write {KEYS_HELP}")

    def share(self, key: int) -> float:
        """How large a part of the changes is of one key."""
        sums = self.cumulative
        if key < len(sums):
            return sums[key] - (sums[key - 1] if key else 0.0)
        return (1 - (sums[-1] if sums else 0.0)) / (self.count - len(sums))

    def draw(self, chance: Draw) -> Callable[[], int]:
        """What draws one key after the other."""
        sums, rest = self.cumulative, self.count - len(self.cumulative)
        if not sums:
            return lambda: int(chance() * rest)
        if not rest:
            last = len(sums) - 1
            return lambda: min(bisect_right(sums, chance()), last)
        bound, first = sums[-1], len(sums)

        def drawn() -> int:
            if (at := chance()) < bound:
                return bisect_right(sums, at)
            return first + int(chance() * rest)

        return drawn


class RateProfile(Struct, frozen=True):
    """A rate, or several one after the other. Shape: pairs of changes a second and how long; the last one may
    last as long as is asked for (None). Units: microseconds.
    """

    text: str
    parts: tuple[tuple[float, int | None], ...]

    @classmethod
    def read(cls, text: str) -> "RateProfile":
        """A profile in words. Raises: SettingsError.

        >>> RateProfile.read("200/s:5m,5000/s:30s").parts
        ((200.0, 300000000), (5000.0, 30000000))
        """
        parts: list[tuple[float, int | None]] = []
        for part in text.split(","):
            rate, _, lasts = part.partition(":")
            parts.append((per_second("rate", rate), length_us("rate", lasts) if lasts else None))
        if any(lasts is None for _, lasts in parts[:-1]):
            raise SettingsError(
                f"rate: {text!r}: all but the last rate need a length: 200/s:5m,5000/s:30s,200/s"
            )
        if not any(rate for rate, _ in parts):
            raise SettingsError(f"rate: {text!r} is not allowed; nothing would be written")
        return cls(text, tuple(parts))

    def lasting(self, rest_us: int) -> list[tuple[float, int]]:
        """The parts, each with its length: the last one takes `rest_us` unless it has its own."""
        return [(rate, rest_us if lasts is None else lasts) for rate, lasts in self.parts]

    @property
    def is_open(self) -> bool:
        """Whether it does not say itself how long it lasts."""
        return self.parts[-1][1] is None


class KeyPlace(Struct, frozen=True, gc=False):
    """One item: its key as records have it. Shape: as of `ChangeRecord`."""

    key: bytes
    keys: bytes
    partition: int


class ShardColumns:
    """The changes of one shard, in order. Shape: all columns have one length; `sequences` rise over all
    shards; `places` say which item. Units: times in milliseconds from the beginning; sizes in bytes.
    """

    __slots__ = ("places", "sequences", "sizes", "times")

    def __init__(self) -> None:
        self.sequences = array("q")
        self.times = array("q")
        self.places = array("q")
        self.sizes = array("q")

    def __len__(self) -> int:
        return len(self.sequences)


class PlannedTraffic(Struct, frozen=True):
    """All changes of a plan.

    Shape:   `items` are known by their places; `refused` are the sequence numbers of changes that no filter
             of the handler lets through; `hottest` is the place of the item with the most changes, which has
             `hottest_count` of them; `text` says in words what it is.
    Units:   begins_ms since the epoch; length_us of the time over which changes are written; item_bytes of
             one image, where all are alike (0: they are not).
    """

    text: str
    shards: tuple[ShardColumns, ...]
    items: Sequence[KeyPlace]
    begins_ms: int
    length_us: int
    item_bytes: int
    hottest: int
    hottest_count: int
    hottest_name: str
    refused: frozenset[int] = frozenset()

    @property
    def changes(self) -> int:
        """How many there are."""
        return sum(map(len, self.shards))

    def records(self, number: int, first: int, end: int) -> list[ChangeRecord]:
        """Some changes of one shard, by their places in its columns."""
        columns, items = self.shards[number], self.items
        image = b" " * self.item_bytes
        base = self.begins_ms
        spans = (column[first:end] for column in (columns.sequences, columns.times, columns.places))
        if self.item_bytes:
            size = 2 * self.item_bytes
            return [
                ChangeRecord(sequence, number, "MODIFY", (base + at) * MILLISECOND, size,
                             (item := items[place]).partition, item.key, item.keys, image, image)
                for sequence, at, place in zip(*spans, strict=True)
            ]  # fmt: skip
        return [
            ChangeRecord(sequence, number, "MODIFY", (base + at) * MILLISECOND, size,
                         (item := items[place]).partition, item.key, item.keys, None, bytes(size))
            for sequence, at, place, size in zip(*spans, columns.sizes[first:end], strict=True)
        ]  # fmt: skip


class Arrivals(Struct, frozen=True):
    """Changes in the order in which they are written. Shape: columns of one length. Units: times in
    milliseconds from the beginning.
    """

    times: Sequence[int]
    places: Sequence[int]
    sizes: Sequence[int] = ()


def drawn_arrivals(rates: Sequence[tuple[float, int]], keys: KeyShares, chance: Draw) -> Arrivals:
    """Described traffic: independent writers at these rates. Units: lengths in microseconds. Raises:
    SettingsError for more changes than a plan takes.
    """
    expected = sum(rate * lasts / 1_000_000 for rate, lasts in rates)
    if expected > MOST_CHANGES:
        raise SettingsError(
            f"{expected:,.0f} changes are not allowed; a plan takes at most {MOST_CHANGES:,}",
            hint="a shorter --for, or a smaller --rate",
        )
    times = array("q")
    add, begins = times.append, 0.0
    for rate, lasts in rates:
        length, at = lasts / 1_000, 0.0
        scale = 1_000 / rate if rate else 0.0
        while scale:
            at -= log(1.0 - chance()) * scale
            if at >= length:
                break
            add(int(begins + at))
        begins += length
    draw = keys.draw(chance)
    return Arrivals(times, array("q", [draw() for _ in range(len(times))]))


class DrawnItems(Sequence[KeyPlace]):
    """Items of described traffic, made when they are first asked for."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._known: dict[int, KeyPlace] = {}

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: int) -> KeyPlace:  # type: ignore[override]
        known = self._known.get(place)
        if known is None:
            target = SCHEMA.locate_key({"key": {"S": f"key-{place}"}})
            known = KeyPlace(target.key_bytes, orjson.dumps(target.keys), target.partition)
            self._known[place] = known
        return known


def traffic_of(
    text: str,
    arrivals: Arrivals,
    items: Sequence[KeyPlace],
    shards: int,
    begins_ms: int,
    length_us: int,
    *,
    item_bytes: int = 0,
    names: Callable[[int], str] = "key-{}".format,
    refused: frozenset[int] = frozenset(),
) -> PlannedTraffic:
    """Arrivals spread over so many shards by the hashes of their items; numbers rise with time. Raises:
    SettingsError for none at all.
    """
    if not len(arrivals.times):
        raise SettingsError(f"no change is written ({text})", hint="a longer --for, or a higher --rate")
    columns = tuple(ShardColumns() for _ in range(shards))
    owners: dict[int, ShardColumns] = {}
    sizes = arrivals.sizes or [0] * len(arrivals.times)
    rows = zip(arrivals.times, arrivals.places, sizes, strict=True)
    for sequence, (at, place, size) in enumerate(rows, 1):
        owner = owners.get(place)
        if owner is None:
            owner = owners[place] = columns[items[place].partition * shards // HASHES]
        owner.sequences.append(sequence)
        owner.times.append(at)
        owner.places.append(place)
        if not item_bytes:
            owner.sizes.append(size)
    hottest, count = Counter(arrivals.places).most_common(1)[0]
    return PlannedTraffic(
        text, columns, items, begins_ms, length_us, item_bytes, hottest, count, names(hottest), refused
    )
