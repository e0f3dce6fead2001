"""The columns of one table in a target: they only grow, and are kept in the target as JSON.

Rules of this file: nothing is ever dropped, narrowed or renamed. The first kind of a column that conflicts
with another stays, so of two schemas the target's own is the one that is merged into.
"""

from typing import Final, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from tailrace.columns.kinds import NOTHING, Kind, widened
from tailrace.columns.naming import EVERYWHERE, Naming
from tailrace.errors import InternalError, SettingsError

FORMAT: Final = 1
T = TypeVar("T", bound=Struct)


class Column(Struct, frozen=True):
    """A column. Shape: `attribute` is the item's, `name` the target's."""

    name: str
    attribute: str
    kind: Kind = NOTHING


class AddColumn(Struct, frozen=True):
    """A nullable column that the target lacks."""

    column: Column


class WidenColumn(Struct, frozen=True):
    """A column that needs a wider type.

    Shape:   `older` is what it was. Where a decimal becomes digits, what is there already has zeros behind it
             that no number of DynamoDB has: they go, as `trim_scale` does in PostgreSQL.
    """

    column: Column
    older: Kind


ColumnChange: TypeAlias = AddColumn | WidenColumn


class TableColumns(Struct, frozen=True):
    """The columns of one table, for one entity.

    Shape:   `name` is the target's name of the table; `keys` are the key attributes, partition key first:
             they are columns as others, and never NULL. `version` counts how often it has grown: two that
             grew apart can have the same one. Columns of the kind `nothing` have no place in the target yet;
             `stored` are the others.
    """

    name: str
    entity: str
    keys: tuple[str, ...]
    columns: tuple[Column, ...] = ()
    version: int = 0
    naming: Naming = EVERYWHERE

    @property
    def stored(self) -> tuple[Column, ...]:
        """The columns that a target has, in the order in which they came."""
        return tuple(column for column in self.columns if column.kind != NOTHING)

    def column(self, attribute: str) -> Column | None:
        """Where an attribute stands; None: nowhere yet, or in `_extra` for good."""
        return next((column for column in self.columns if column.attribute == attribute), None)

    def grown(self, kinds: dict[str, Kind]) -> "TableColumns":
        """The same with room for values of these kinds, by attribute: wider, and with what is new.

        What has no place (a kind that conflicts, a column too many) changes nothing: `self` then.
        """
        columns = [
            msgspec.structs.replace(column, kind=widened(column.kind, kinds[column.attribute]) or column.kind)
            if column.attribute in kinds
            else column
            for column in self.columns
        ]
        known = {column.attribute for column in columns}
        new = sorted(kinds.keys() - known, key=lambda attribute: (attribute not in self.keys, attribute))
        new = new[: max(0, self.naming.columns - len(columns))]
        names = self.naming.names(new, [column.name for column in columns], self.keys)
        columns += [Column(names[attribute], attribute, kinds[attribute]) for attribute in new]
        if tuple(columns) == self.columns:
            return self
        return msgspec.structs.replace(self, columns=tuple(columns), version=self.version + 1)

    def merged(self, other: "TableColumns") -> "TableColumns":
        """These columns with room for those of another schema of the same table; names and kinds of these
        stay, so a batch that was made by the others is made again by the merged ones. `self` when it has room
        already.
        """
        return self.grown({column.attribute: column.kind for column in other.columns})

    def changes_from(self, older: "TableColumns") -> list[ColumnChange]:
        """What a target with the older columns lacks, in the order in which to add it.

        Raises:  InternalError when these have not grown from the older ones.
        """
        now = {column.attribute: column for column in self.columns}
        changes: list[ColumnChange] = []
        before = {column.attribute: column for column in older.stored}
        for attribute, column in before.items():
            wider = now.get(attribute)
            if wider is None or wider.name != column.name or widened(column.kind, wider.kind) != wider.kind:
                raise InternalError(f"table {self.name}: column {column.name} has shrunk to {wider}")
        for column in self.stored:
            known = before.get(column.attribute)
            if known is None:
                changes.append(AddColumn(column))
            elif known.kind.stored != column.kind.stored:
                changes.append(WidenColumn(column, known.kind))
        return changes

    def as_json(self) -> str:
        """What is kept in the target."""
        return write_kept(self)

    @classmethod
    def from_json(cls, text: str) -> "TableColumns":
        """What `as_json` wrote. Raises: SettingsError for another format, or a text that is none."""
        return read_kept(text, cls)


# ---- what is kept ------------------------------------------------------------------------------------------


def write_kept(value: Struct) -> str:
    """A struct as JSON text that says its format."""
    return msgspec.json.encode({"format": FORMAT, "value": value}).decode()


def read_kept(text: str, shape: type[T]) -> T:
    """What `write_kept` wrote. Raises: SettingsError."""
    try:
        kept = msgspec.json.decode(text)
        if kept["format"] != FORMAT:
            raise SettingsError(
                f"the target's {shape.__name__} has format {kept['format']!r}, and this version of tailrace "
                f"reads format {FORMAT}",
                hint="run the version that wrote it, or give the sink another table",
            )
        return msgspec.convert(kept["value"], shape)
    except (msgspec.MsgspecError, UnicodeError, KeyError, TypeError) as error:
        raise SettingsError(
            f"the target's {shape.__name__} cannot be read: {error}; it begins {text[:60]!r}",
            hint="restore the target's schema row from a backup, or give the sink another table",
        ) from error
