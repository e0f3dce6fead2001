"""`app.table(…, indexes={"by_country": Index("country", "total")})`: secondary indexes as they are declared.

Rules of this file: declarations only, checked as a table's key is. An index is made with its table, or added
to a table that is there, where it runs locally; on AWS it is checked, never made.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias

from tailrace.errors import SettingsError
from tailrace.tables.indexes import IndexDefinition, KeyAttribute
from tailrace.tables.limits import GLOBAL_INDEXES, LOCAL_INDEXES, PROJECTED_ATTRIBUTES

KeyType: TypeAlias = Literal["S", "N", "B"]
KEY_TYPES: Final = ("S", "N", "B")
NAME: Final = re.compile(r"[a-zA-Z0-9_.-]{3,255}")


@dataclass(frozen=True, slots=True)
class Index:
    """A secondary index: `Index("country", "total")` is a global one; without a partition key,
    `Index(sk="total")`, it is local to the table's.

    Shape:   `pk`, `sk` are attributes; their types are those that the table's key or another index gives the
             attribute, else "S". `projection` is what an entry holds beside the keys: "ALL", "KEYS_ONLY", or
             the names of attributes.
    """

    pk: str | None = None
    sk: str | None = None
    pk_type: KeyType | None = None
    sk_type: KeyType | None = None
    projection: Literal["ALL", "KEYS_ONLY"] | tuple[str, ...] = "ALL"

    @property
    def is_local(self) -> bool:
        """Whether it shares the table's partition key."""
        return self.pk is None


class Indexed(Protocol):
    """What has indexes: a table as it is declared."""

    @property
    def name(self) -> str:
        """The table's name."""

    @property
    def pk(self) -> str:
        """Its partition key."""

    @property
    def sk(self) -> str | None:
        """Its sort key; None: it has none."""

    @property
    def pk_type(self) -> KeyType:
        """The partition key's type."""

    @property
    def sk_type(self) -> KeyType:
        """The sort key's type, if there is one."""

    @property
    def indexes(self) -> Mapping[str, Index]:
        """The indexes by name."""


def check_indexes(table: Indexed) -> None:
    """Refuse what no table has. Raises: SettingsError."""
    for name, index in table.indexes.items():
        where = f"table {table.name!r}: index {name!r}"
        if not isinstance(index, Index):
            raise SettingsError(
                f"{where}: {index!r} is no index: from tailrace import Index; indexes={{{name!r}: "
                f"Index('country', 'total')}}"
            )
        if not NAME.fullmatch(name):
            raise SettingsError(f"{where}: a name has 3 to 255 letters, digits, underscores, hyphens or dots")
        _check_key(where, table, index)
        _check_projection(where, index)
    for kind, most, count in (
        ("global", GLOBAL_INDEXES, sum(not index.is_local for index in table.indexes.values())),
        ("local", LOCAL_INDEXES, sum(index.is_local for index in table.indexes.values())),
    ):
        if count > most:
            raise SettingsError(f"table {table.name!r}: {count} {kind} indexes; a table has at most {most}")
    _ = key_types(table)


def _check_key(where: str, table: Indexed, index: Index) -> None:
    if index.is_local and (index.sk is None or table.sk is None or index.sk == table.sk):
        raise SettingsError(
            f"{where}: without a partition key it is local, and that takes a sort key of its own and a table "
            "with one: Index('country') is a global one"
        )
    if index.is_local and index.pk_type is not None:
        raise SettingsError(
            f"{where}: pk_type={index.pk_type!r}, but a local index has the table's partition key"
        )
    if index.sk_type is not None and index.sk is None:
        raise SettingsError(f"{where}: sk_type={index.sk_type!r}, but it has no sort key")
    if index.pk is not None and index.pk == index.sk:
        raise SettingsError(f"{where}: pk and sk are both {index.pk!r}")
    for attribute in (index.pk, index.sk):
        if attribute is not None and not 0 < len(attribute.encode()) <= 255:
            raise SettingsError(f"{where}: the key {attribute!r} is not 1 to 255 bytes")
    for word, kind in (("pk_type", index.pk_type), ("sk_type", index.sk_type)):
        if kind not in (None, *KEY_TYPES):
            raise SettingsError(f"{where}: {word}: {kind!r} is not allowed; it is 'S', 'N' or 'B'")


def _check_projection(where: str, index: Index) -> None:
    named = index.projection
    if named in ("ALL", "KEYS_ONLY"):
        return
    if (
        not isinstance(named, tuple | list)
        or not named
        or not all(isinstance(attribute, str) for attribute in named)
    ):
        raise SettingsError(
            f"{where}: projection={named!r} is not allowed; it is 'ALL', 'KEYS_ONLY' or the names of "
            "attributes, ('total', 'status')"
        )
    if len(set(named)) < len(named) or len(named) > PROJECTED_ATTRIBUTES:
        raise SettingsError(f"{where}: projection has different names, at most {PROJECTED_ATTRIBUTES}")


def key_types(table: Indexed) -> dict[str, KeyType]:
    """The types of the key attributes of a table and its indexes. Raises: SettingsError when one has two."""
    types: dict[str, KeyType] = {table.pk: table.pk_type}
    if table.sk is not None:
        types[table.sk] = table.sk_type
    pairs = [
        (name, attribute, kind)
        for name, index in table.indexes.items()
        for attribute, kind in ((index.pk, index.pk_type), (index.sk, index.sk_type))
        if attribute is not None
    ]
    for name, attribute, kind in pairs:
        if kind is not None and types.setdefault(attribute, kind) != kind:
            raise SettingsError(
                f"table {table.name!r}: index {name!r}: {attribute!r} is of type {kind}, and of type "
                f"{types[attribute]} in another key"
            )
    for _, attribute, _ in pairs:
        types.setdefault(attribute, "S")
    return types


def index_keys(table: Indexed, name: str) -> tuple[str, ...]:
    """The attributes of an index's key. Raises: SettingsError when the table declares none of that name."""
    index = table.indexes.get(name)
    if index is None:
        known = ", ".join(table.indexes) or "none: app.table(…, indexes={'by_country': Index('country')})"
        raise SettingsError(f"table {table.name!r} declares no index {name!r}; there are {known}")
    return tuple(
        attribute
        for attribute in (table.pk if index.pk is None else index.pk, index.sk)
        if attribute is not None
    )


def definitions(table: Indexed) -> tuple[IndexDefinition, ...]:
    """The indexes as CreateTable takes them, the local ones first."""
    types = key_types(table)

    def definition(name: str, index: Index) -> IndexDefinition:
        keys = [KeyAttribute(attribute, types[attribute]) for attribute in index_keys(table, name)]
        named = index.projection if index.projection in ("ALL", "KEYS_ONLY") else "INCLUDE"
        included = tuple(index.projection) if named == "INCLUDE" else ()
        return IndexDefinition(
            name, "LOCAL" if index.is_local else "GLOBAL", tuple(keys[:1]), tuple(keys[1:]), named, included
        )

    declared: Mapping[str, Index] = table.indexes
    made = [definition(name, index) for name, index in declared.items()]
    return tuple(sorted(made, key=lambda index: index.kind != "LOCAL"))
