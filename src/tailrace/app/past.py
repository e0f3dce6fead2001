"""The past, as programs ask it: `app.as_of(time)`, `app.history`, `app.blame`, `app.diff`, each also awaited.

Theory of operation: the journal of a table is where `app.archive` keeps it; whoever runs the app (a world, a
node, a worker) says how it is read, with the live stream behind it, and else it is read from that place,
wherever the program is: beside a worker, or on a machine that has none. What is awaited is read in the loop
that awaits; the others wait, and share one loop beside them.
Rules of this file: signatures, keys and decoding; what is known and what is not the room `journal` says,
which is loaded at the first question. Nothing is guessed: what is not known raises NotKnown.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias, TypeVar, overload
from weakref import WeakKeyDictionary

import orjson
from msgspec import Struct

from tailrace.app.entity import Entity
from tailrace.app.mapping import HandlerMapping
from tailrace.app.moments import EPOCH, Moment, moment_us
from tailrace.app.plain import to_plain, to_plain_item
from tailrace.app.querying import query_of
from tailrace.app.table import Table, schema_of
from tailrace.app.typed import Named, entity_named, key_of
from tailrace.errors import NotKnown, SettingsError

if TYPE_CHECKING:
    from tailrace.streams.version import Version

T = TypeVar("T")
Fields: TypeAlias = Mapping[str, Any]
Opener: TypeAlias = Callable[[HandlerMapping], Any]
"""What reads the journal of an archive."""
RUN: Final = "tailrace.journal.run.opened_past"
BESIDE: Final = "tailrace.runtime.beside"


class PastItem(Struct, frozen=True):
    """What is known of an item at a moment.

    Shape:   `item` None: there was none; only where `unknown` is "", else that says why. `since` is when it
             became so, None: before the journal began. `near` are changes, by version, of which it is not
             sure on which side of the moment they were, where times are known to within a second. `later`
             says what the journal does not have yet, "".
    """

    item: Any
    unknown: str
    since: datetime | None
    version: str | None
    near: tuple[str, ...]
    later: str

    @property
    def is_known(self) -> bool:
        """Whether `item` says what was there."""
        return not self.unknown


class PastChange(Struct, frozen=True):
    """One change of an item.

    Shape:   `happened` is INSERT, MODIFY, REMOVE, or BASE: so it was when the whole table was read. `diff` by
             path, `address.city` → (before, after), absent is None. `who` made it, and `how` that is known:
             ttl, handler, actor, or "unknown" twice. `lost` is what is missing before it, "".
    """

    at: datetime
    happened: Literal["INSERT", "MODIFY", "REMOVE", "BASE"]
    old: Any
    new: Any
    diff: Mapping[str, tuple[Any, Any]]
    who: str
    how: str
    version: str
    lost: str


class Blamed(Struct, frozen=True):
    """Who last set a part of an item. Shape: `at` and `version` None: it was so when the journal began."""

    value: Any
    who: str
    how: str
    at: datetime | None
    version: str | None


class ItemChanged(Struct, frozen=True):
    """An item that differs between two moments. Shape: `key` are its key attributes; `diff` by path, as of
    PastChange.
    """

    key: Mapping[str, Any]
    happened: Literal["added", "removed", "changed"]
    before: Any
    after: Any
    diff: Mapping[str, tuple[Any, Any]]


class AskedTable(NamedTuple):
    """A table that is asked. Shape: with `entity` its items are of that; `actor` of its archive."""

    table: Table
    entity: Entity[Any] | None
    actor: str | None
    reader: Any

    def decoded(self, image: bytes | None) -> Any:
        """An image as the caller's kind of item."""
        if image is None:
            return None
        item = orjson.loads(image)
        return to_plain_item(item) if self.entity is None else self.entity.decode(item)

    def fits(self, image: bytes | None) -> bool:
        """Whether an image is of the entity that is asked."""
        return self.entity is None or image is None or self.entity.fits(orjson.loads(image))

    def key(self, key: Fields | None, fields: Fields) -> bytes:
        """The key that is asked. Raises: SettingsError, ItemError, ApiError."""
        target = self.table if self.entity is None else self.entity
        _, content = key_of(target, key, fields, _never)
        return schema_of(self.table).key_bytes(content)


class AsyncAsOf:
    """Everything at one moment, for coroutines. Every method raises NotKnown where the journal does not say
    it, and Unavailable.
    """

    def __init__(self, asked: Callable[[Any], AskedTable], at_us: int, incomplete: bool) -> None:
        self._asked = asked
        self._at_us = at_us
        self._incomplete = incomplete

    @overload
    async def get(self, target: Table | str, key: Fields) -> dict[str, Any] | None: ...
    @overload
    async def get(
        self, target: type[T] | Entity[T], key: Fields | None = None, **fields: Any
    ) -> T | None: ...
    async def get(self, target: Any, key: Fields | None = None, **fields: Any) -> Any:
        """An item as it was; None: there was none."""
        known = await self.look(target, key, **fields)
        if not known.is_known:
            raise NotKnown(
                f"{target if isinstance(target, str | Table) else _name(target)} "
                f"{_shown(key, fields)}: {known.unknown}"
            )
        return known.item

    async def look(self, target: Any, key: Fields | None = None, **fields: Any) -> PastItem:
        """What is known of an item, and how well."""
        asking = self._asked(target)
        then = await asking.reader.at(self._at_us, incomplete=self._incomplete)
        state = await then.state(asking.key(key, fields))
        return PastItem(
            asking.decoded(state.item),
            state.unknown,
            _moment(state.since_us),
            _version(state.version),
            tuple(version.text for version in state.near),
            then.later,
        )

    async def query(
        self,
        target: Any,
        expression: str | None = None,
        *,
        names: Mapping[str, str] | None = None,
        values: Fields | None = None,
        reverse: bool = False,
        limit: int | None = None,
        **fields: Any,
    ) -> list[Any]:
        """The items of one partition as they were, in order. Shape: as `Client.query`, without indexes."""
        asking = self._asked(target)
        asked = query_of(
            target if asking.entity is None else asking.entity,
            expression, None, names, values, fields, _never, reverse=reverse,
        )  # fmt: skip
        from tailrace.expressions.keys import parse_key_condition
        from tailrace.expressions.placeholders import Placeholders

        schema, members = schema_of(asking.table), asked.members
        placeholders = Placeholders(
            members.get("ExpressionAttributeNames"), members.get("ExpressionAttributeValues")
        )
        condition = parse_key_condition(
            members["KeyConditionExpression"], placeholders, schema.hash_names, schema.range_names
        )
        then = await asking.reader.at(self._at_us, incomplete=self._incomplete)
        images = [image async for _, image in then.partition(schema, condition) if asking.fits(image)]
        ordered = images[::-1] if reverse else images
        return [asking.decoded(image) for image in ordered[:limit]]

    async def scan(self, target: Any) -> AsyncIterator[Any]:
        """Every item of a table or an entity as it was; memory does not grow with the table."""
        asking = self._asked(target)
        then = await asking.reader.at(self._at_us, incomplete=self._incomplete)
        async for _, image in then.items():
            if asking.fits(image):
                yield asking.decoded(image)

    async def relation(self, table: Table) -> Any:
        """A table as it was, for DuckDB: `key`, `generation`, `sequence`, `created_us` and `item`, DynamoDB
        JSON as text: `item->'status'->>'S'`.
        """
        then = await self._asked(table).reader.at(self._at_us, incomplete=self._incomplete)
        return (await then.relation()).relation

    async def unknown(self, table: Table) -> str:
        """Why not all of a table is known at that moment; "": all is."""
        then = await self._asked(table).reader.at(self._at_us, incomplete=True)
        return str(then.unknown)


class AsOf:
    """Everything at one moment: `app.as_of("2026-10-31T23:59Z").get(Order, id="o1")`. Every method waits, and
    raises NotKnown where the journal does not say it, and Unavailable.
    """

    def __init__(self, awaited: AsyncAsOf) -> None:
        self._awaited = awaited

    @overload
    def get(self, target: Table | str, key: Fields) -> dict[str, Any] | None: ...
    @overload
    def get(self, target: type[T] | Entity[T], key: Fields | None = None, **fields: Any) -> T | None: ...
    def get(self, target: Any, key: Fields | None = None, **fields: Any) -> Any:
        """An item as it was; None: there was none."""
        return _waited_for(self._awaited.get(target, key, **fields))

    def look(self, target: Any, key: Fields | None = None, **fields: Any) -> PastItem:
        """What is known of an item, and how well; it raises no NotKnown."""
        return _waited_for(self._awaited.look(target, key, **fields))

    def query(
        self,
        target: Any,
        expression: str | None = None,
        *,
        names: Mapping[str, str] | None = None,
        values: Fields | None = None,
        reverse: bool = False,
        limit: int | None = None,
        **fields: Any,
    ) -> list[Any]:
        """The items of one partition as they were, in order. Shape: as `Client.query`, without indexes."""
        return _waited_for(
            self._awaited.query(
                target, expression, names=names, values=values, reverse=reverse, limit=limit, **fields
            )
        )

    def scan(self, target: Any) -> Iterator[Any]:
        """Every item of a table or an entity as it was; memory does not grow with the table."""
        return _iterated(self._awaited.scan(target))

    def relation(self, table: Table) -> Any:
        """A table as it was, for DuckDB: `key`, `generation`, `sequence`, `created_us` and `item`, DynamoDB
        JSON as text: `item->'status'->>'S'`.
        """
        return _waited_for(self._awaited.relation(table))

    def unknown(self, table: Table) -> str:
        """Why not all of a table is known at that moment; "": all is."""
        return _waited_for(self._awaited.unknown(table))


class Past:
    """The past of an app's tables. `App` is one of these."""

    region: str
    tables: dict[str, Table]

    def __init__(self) -> None:
        super().__init__()
        self._opener: Opener | None = None
        self._readers: WeakKeyDictionary[Any, dict[str, Any]] = WeakKeyDictionary()

    def bind_past(self, opener: Opener) -> None:
        """Say what reads journals of this app; called by whoever runs it."""
        self._opener = opener
        self._readers.clear()

    def as_of(self, time: Moment, *, incomplete: bool = False) -> AsOf:
        """Everything as it was: `app.as_of("2026-10-31T23:59Z").get(Order, id="o1")`.

        Shape:   `time` is ISO 8601 with a zone, a datetime with one, or seconds since 1970. Scans, queries
                 and diffs want a moment of which everything is known; with `incomplete` they answer with
                 the items that are.
        Raises:  SettingsError.
        """
        return AsOf(self.async_as_of(time, incomplete=incomplete))

    def async_as_of(self, time: Moment, *, incomplete: bool = False) -> AsyncAsOf:
        """`as_of` for coroutines: each call is awaited."""
        return AsyncAsOf(self._asking, moment_us(time), incomplete)

    def history(
        self, target: Any, key: Fields | None = None, *, actor: str | None = None, **fields: Any
    ) -> list[PastChange]:
        """Every change of an item, the oldest first: `app.history(Order, id="o1")`.

        Shape:   `actor` is the attribute in which the app says who writes; that of `app.archive` unless told.
        Raises:  SettingsError, NotKnown where nothing is there to be told from, Unavailable.
        """
        return _waited_for(self.async_history(target, key, actor=actor, **fields))

    async def async_history(
        self, target: Any, key: Fields | None = None, *, actor: str | None = None, **fields: Any
    ) -> list[PastChange]:
        """`history` for coroutines."""
        asking = self._asking(target)
        entries = await asking.reader.history(asking.key(key, fields))
        author_of = import_module("tailrace.journal.core.attributes").author_of
        return [
            _past_change(asking, entry, author_of(entry.change, actor or asking.actor)) for entry in entries
        ]

    def blame(
        self, target: Any, key: Fields | None = None, *, actor: str | None = None, **fields: Any
    ) -> dict[str, Blamed]:
        """Which change last set each part of an item, by path: `app.blame(Order, id="o1")["status"].who`.

        Raises:  SettingsError, NotKnown, Unavailable.
        """
        return _waited_for(self.async_blame(target, key, actor=actor, **fields))

    async def async_blame(
        self, target: Any, key: Fields | None = None, *, actor: str | None = None, **fields: Any
    ) -> dict[str, Blamed]:
        """`blame` for coroutines."""
        asking = self._asking(target)
        blamed = await asking.reader.blame(asking.key(key, fields), actor or asking.actor)
        return {
            one.name: Blamed(
                to_plain(one.value), one.author.who, one.author.how, _moment(one.created_us),
                _version(one.version),
            )
            for one in blamed
        }  # fmt: skip

    def diff(
        self, since: Moment, until: Moment, target: Any = None, *, incomplete: bool = False
    ) -> Iterator[ItemChanged]:
        """The items that are not the same at two moments. Shape: of a table or an entity; without one of the
        only table that has a journal. Raises: SettingsError, NotKnown, Unavailable.
        """
        return _iterated(self.async_diff(since, until, target, incomplete=incomplete))

    async def async_diff(
        self, since: Moment, until: Moment, target: Any = None, *, incomplete: bool = False
    ) -> AsyncIterator[ItemChanged]:
        """`diff` for coroutines."""
        asking = self._asking(target)
        schema = schema_of(asking.table)
        changed = asking.reader.diff(moment_us(since), moment_us(until), incomplete=incomplete)
        async for one in changed:
            if not (asking.fits(one.before) and asking.fits(one.after)):
                continue
            image = orjson.loads(one.before or one.after)
            yield ItemChanged(
                to_plain_item(schema.key_of(image)), one.happened, asking.decoded(one.before),
                asking.decoded(one.after), _plain(one.differences),
            )  # fmt: skip

    def _asking(self, target: Any) -> AskedTable:
        """The table that is asked, and what reads its journal. Raises: SettingsError."""
        archives = self._archives()
        entity: Entity[Any] | None = None
        if target is None:
            if len(archives) != 1:
                named = ", ".join(sorted(archives)) or "none"
                raise SettingsError(f"name a table; those with a journal are: {named}")
            target = next(iter(archives))
        if isinstance(target, Table | str):
            name = str(target)
        else:
            entity = entity_named(target, self._entity_of)
            name = entity.table.name
        mapping = archives.get(name)
        if mapping is None:
            raise SettingsError(
                f"table {name!r} has no journal, so its past is not known",
                hint=f"app.archive({name}, 'history/') keeps one from now on",
            )
        actor = None if mapping.archive is None else mapping.archive.actor
        return AskedTable(mapping.table, entity, actor, self._reader(mapping))

    def _reader(self, mapping: HandlerMapping) -> Any:
        """What reads a journal in the loop that runs: kept, for it knows the manifest."""
        from asyncio import get_running_loop  # not for who imports an app alone

        try:
            place: Any = get_running_loop()
        except RuntimeError:
            place = self
        readers = self._readers.setdefault(place, {})
        if mapping.id not in readers:
            opener = self._opener or partial(import_module(RUN).open_past, self.region)
            readers[mapping.id] = opener(mapping)
        return readers[mapping.id]

    def _archives(self) -> dict[str, HandlerMapping]:
        raise NotImplementedError

    def _entity_of(self, cls: type[Any]) -> Entity[Any]:
        raise NotImplementedError


def _waited_for(coroutine: Coroutine[Any, Any, T]) -> T:
    result: T = import_module(BESIDE).waited_for(coroutine)
    return result


def _iterated(items: AsyncIterator[T]) -> Iterator[T]:
    result: Iterator[T] = import_module(BESIDE).iterated(items)
    return result


def _past_change(asking: AskedTable, entry: Any, author: Any) -> PastChange:
    change = entry.change
    return PastChange(
        EPOCH + timedelta(microseconds=change.created_us),
        entry.happened,
        asking.decoded(change.old),
        asking.decoded(change.new),
        _plain(entry.differences),
        author.who,
        author.how,
        change.version.text,
        entry.lost,
    )


def _plain(differences: Any) -> dict[str, tuple[Any, Any]]:
    return {
        one.name: (
            None if one.before is None else to_plain(one.before),
            None if one.after is None else to_plain(one.after),
        )
        for one in differences
    }


def _moment(us: int | None) -> datetime | None:
    return None if us is None else EPOCH + timedelta(microseconds=us)


def _version(version: "Version | None") -> str | None:
    return None if version is None else version.text


def _name(target: Named) -> str:
    return target.__name__ if isinstance(target, type) else repr(target)


def _shown(key: Fields | None, fields: Fields) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in {**(key or {}), **fields}.items())


def _never(cls: type[Any]) -> Entity[Any]:
    raise SettingsError(f"{cls.__name__} is no entity")


__all__ = ["AsOf", "AsyncAsOf", "Blamed", "ItemChanged", "Past", "PastChange", "PastItem"]
