"""Tables as an application declares them.

Rules of this file: declarations only. Locally a table is created; on AWS it is checked, never created.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Generic, Protocol, Self, TypeVar

import orjson

from tailrace.app.index import Index, KeyType, check_indexes
from tailrace.errors import SettingsError
from tailrace.streams.arns import ACCOUNT, TableArn, parse_table_arn, table_arn
from tailrace.streams.kinesis.names import source_name, stream_of_source
from tailrace.streams.record import VIEW_TYPES, EventName, ViewType
from tailrace.tables.schema import TableSchema
from tailrace.values.types import Item

NAME: Final = re.compile(r"[a-zA-Z0-9_.-]{3,255}")
PLACE: Final = re.compile(r"[a-z0-9-]{1,64}/[0-9]{12}")
LONGEST_KEY_NAME: Final = 255
MOST_KEPT: Final = 10_000
EVENTS: tuple[EventName, ...] = ("INSERT", "MODIFY", "REMOVE")


class Fitting(Protocol):
    """What tells its items by their keys: an entity, as far as its table asks it."""

    @property
    def parts(self) -> Sequence[object]:
        """What its keys are made of; empty: it is found by nothing in them."""

    @property
    def key_pattern(self) -> bytes | None:
        """A pattern over the JSON of its keys; None: keys must be read to know."""

    def fits(self, keys: Item) -> bool:
        """Whether a key is of it."""


E = TypeVar("E", bound=Fitting)


class Entities(list[E]):
    """The classes that are kept in a table, as they declare themselves; at most one of them fits a key.

    Theory of operation: every handler of a table asks for every record, so a key is judged without decoding
    it: one pattern over its JSON has a group for each class. What it does not match (something is escaped, a
    field must be read to know, or nothing fits) is decoded.
    """

    def __init__(self) -> None:
        super().__init__()
        self._pattern: re.Pattern[bytes] | None = None
        self._plain: list[E] = []
        self._found: dict[bytes, E | None] = {}

    def of(self, keys: bytes) -> E | None:
        """The entity of a record's keys (JSON). Raises: SettingsError when a class cannot be read."""
        matched = (self._pattern or self._compiled()).fullmatch(keys)
        if matched is not None and matched.lastindex is not None:
            return self._plain[matched.lastindex - 1]
        try:
            return self._found[keys]
        except KeyError:
            item = orjson.loads(keys)
            entity = next((entity for entity in self if entity.parts and entity.fits(item)), None)
            if len(self._found) >= MOST_KEPT:
                self._found = {}
            self._found[keys] = entity
            return entity

    def _compiled(self) -> re.Pattern[bytes]:
        patterns = [(entity, entity.key_pattern) for entity in self]
        self._plain = [entity for entity, pattern in patterns if pattern is not None]
        self._pattern = re.compile(
            b"|".join(b"(%b)" % pattern for _, pattern in patterns if pattern), re.DOTALL
        )
        return self._pattern

    def add(self, entity: E) -> None:
        """Enter an entity; the pattern of all is made anew at the next record."""
        self._forget()
        self.append(entity)

    def discard(self, entity: E) -> None:
        """Take an entity out."""
        self._forget()
        self.remove(entity)

    def _forget(self) -> None:
        self._pattern = None
        self._found.clear()


@dataclass(frozen=True, slots=True)
class Over:
    """A data stream over which a table's changes come, and what that means for their order.

    Units:   disorder_ms: by so much a change comes late at most.
    """

    stream: str
    disorder_ms: int
    waits_always: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its name, its key, its secondary indexes, the view type of its stream (None: it has none).

    Shape:   `name` is the ARN of a table outside the app's region and the default account.
    """

    name: str
    pk: str
    sk: str | None = None
    pk_type: KeyType = "S"
    sk_type: KeyType = "S"
    ttl: str | None = None
    stream: ViewType | None = "NEW_AND_OLD_IMAGES"
    only_stream: str = ""
    """The ARN of the only stream that its mappings follow, as in Lambda's API; "": any of the table."""
    indexes: Mapping[str, Index] = field(default_factory=dict, hash=False)
    over: Over | None = None
    """The data stream that its mappings read it over; None: its own streams."""
    entities: Entities[Any] = field(default_factory=Entities, init=False, compare=False, repr=False)
    is_data: bool = field(init=False, compare=False, repr=False)
    """Whether it stands for a data stream: its items are records."""

    def __post_init__(self) -> None:
        place = self.place
        object.__setattr__(self, "is_data", stream_of_source(self.name) is not None)
        if not self.is_data and not NAME.fullmatch(self.name if place is None else place.table):
            raise SettingsError(
                f"table {self.name!r}: a name has 3 to 255 letters, digits, underscores, hyphens or dots"
            )
        for name in key_names(self):
            if not 0 < len(name.encode()) <= LONGEST_KEY_NAME:
                raise SettingsError(
                    f"table {self.name!r}: the key {name!r} is not 1 to {LONGEST_KEY_NAME} bytes"
                )
        if self.ttl is not None and (not self.ttl or self.ttl in (self.pk, self.sk)):
            raise SettingsError(
                f"table {self.name!r}: ttl={self.ttl!r} is not allowed; it is an attribute beside the key"
            )
        if self.sk == self.pk:
            raise SettingsError(f"table {self.name!r}: pk and sk are both {self.pk!r}")
        if self.stream is not None and self.stream not in VIEW_TYPES:
            raise SettingsError(
                f"stream: {self.stream!r} is not allowed; it is None or one of {', '.join(VIEW_TYPES)}"
            )
        for name in ("pk_type", "sk_type"):
            if getattr(self, name) not in ("S", "N", "B"):
                raise SettingsError(f"{name}: {getattr(self, name)!r} is not allowed; it is 'S', 'N' or 'B'")
        check_indexes(self)

    def __str__(self) -> str:
        return self.name

    @property
    def place(self) -> TableArn | None:
        """Region, account and name of a table that is elsewhere; None: its name is enough."""
        return parse_table_arn(self.name)

    @property
    def source(self) -> str:
        """What workers and rows call what its changes are read from: its name, or that of a data stream."""
        return self.name if self.over is None else source_name(self.over.stream)

    @property
    def order(self) -> dict[str, Any]:
        """Settings of the machine that follow from what it is read from."""
        if self.over is None:
            return {}
        return {"disorder_ms": self.over.disorder_ms, "waits_always": self.over.waits_always}

    def read_over(self, over: Over) -> "Table":
        """The same table, read over a data stream."""
        table = replace(self, over=over)
        object.__setattr__(table, "entities", self.entities)  # one list, whatever it is read over
        return table

    def is_among(self, tables: Mapping[str, "Table"]) -> bool:
        """Whether it is one of an app's, whatever it is read over."""
        own = tables.get(self.name)
        return own is self or (own is not None and own.entities is self.entities)

    @property
    def inserted(self) -> "Changes[Any]":
        """Its items that are new."""
        return Changes(self, ("INSERT",))

    @property
    def modified(self) -> "Changes[Any]":
        """Its items that were there and still are."""
        return Changes(self, ("MODIFY",))

    @property
    def removed(self) -> "Changes[Any]":
        """Its items that are gone."""
        return Changes(self, ("REMOVE",))


@dataclass(frozen=True, slots=True)
class Changes(Generic[E]):
    """Some kinds of changes of a table, or of one entity in it."""

    table: Table
    events: tuple[EventName, ...] = EVENTS
    entity: E | None = None
    unmatched: bool = False
    """Only those of items that are of no entity."""

    def read_over(self, over: Over) -> Self:
        """The same changes, read over a data stream."""
        return replace(self, table=self.table.read_over(over))


def name_in(name: str, region: str, account: str, here: str) -> str:
    """What the app and its rows call a table of a region and an account; `here` is the app's region.

    Raises:  SettingsError.
    """
    if (region, account) == (here, ACCOUNT):
        return name
    arn = table_arn(region, account, name)
    if not PLACE.fullmatch(f"{region}/{account}"):
        raise SettingsError(
            f"table {name!r}: region={region!r}, account={account!r} is not allowed; a region has small "
            "letters, digits and hyphens, an account 12 digits"
        )
    return arn


def key_names(table: Table) -> Iterable[str]:
    """The attributes of the key, the partition key's first."""
    return (table.pk,) if table.sk is None else (table.pk, table.sk)


def schema_of(table: Table) -> TableSchema:
    """What identifies a table's items, as the app declares it."""
    sort_type = table.sk_type if table.sk else None
    return TableSchema(table.name, 0, "", table.pk, table.pk_type, table.sk, sort_type)
